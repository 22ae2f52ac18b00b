"""A stand-in for vLLM's server over the tiny model, whose routes, errors and log-probabilities are vLLM's.

It is no vLLM: it was written after `vllm/entrypoints/openai` and `vllm/v1/sample/sampler.py`, and shares no
code with ours: `peft` reads the adapters, `transformers` computes. A field of a request that vLLM does not
know is refused, though vLLM would ignore it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from peft import PeftConfig, PeftModel
from pydantic import BaseModel, ConfigDict

from agent.policy import tiny
from agent.ports import free_port

BASE = "the-base"
EPSILON = 1e-5
Answers = Callable[[dict[str, Any]], Response]


class Completion(BaseModel):
    """Of vLLM's CompletionRequest, the fields that are sent."""

    model_config = ConfigDict(extra="forbid")
    model: str
    prompt: list[list[int]]
    logprobs: int | None = None
    max_tokens: int = 16
    n: int = 1
    seed: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop_token_ids: list[int] = []
    return_token_ids: bool = False
    return_tokens_as_token_ids: bool = False


class Load(BaseModel):
    lora_name: str
    lora_path: str


class Unload(BaseModel):
    lora_name: str


def error(status: int, message: str, kind: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": status}}, status)


@dataclass
class Model:
    """The tiny model with adapters by name."""

    max_lora_rank: int = 16
    loaded: dict[str, str] = field(default_factory=dict)
    """Paths by name."""

    def __post_init__(self) -> None:
        self._base = tiny.load()
        self._peft: PeftModel | None = None

    def load(self, name: str, path: str) -> None:
        rank = PeftConfig.from_pretrained(path).r
        if rank > self.max_lora_rank:
            raise ValueError(f"LoRA rank {rank} is greater than max_lora_rank {self.max_lora_rank}.")
        if self._peft is None:
            self._peft = PeftModel.from_pretrained(self._base, path, adapter_name=name)
        else:
            self._peft.load_adapter(path, adapter_name=name)
        self._peft.eval()
        self.loaded[name] = path

    def unload(self, name: str) -> None:
        del self.loaded[name]  # peft keeps its own, which nobody can ask for

    @contextmanager
    def of(self, name: str) -> Iterator[Any]:
        """Give the model with an adapter, or without any."""
        if self._peft is None:
            yield self._base
        elif name == BASE:
            with self._peft.disable_adapter():
                yield self._peft
        else:
            self._peft.set_adapter(name)
            yield self._peft


class VllmStandIn:
    """One server at one address, which can be killed and started anew without its adapters."""

    def __init__(self, *, key: str = "", mode: str = "processed_logprobs", max_lora_rank: int = 16) -> None:
        self.key, self.mode, self.max_lora_rank = key, mode, max_lora_rank
        self.updates_loras = True
        self.is_well = True
        self.slow_s = 0.0
        self.instead: Answers | None = None
        """Answers completions in the model's place."""
        self.models: Callable[[], Response] | None = None
        """Answers what is served in its place."""
        self.asked: list[Completion] = []
        self.paths: list[str] = []
        self.model = Model(max_lora_rank)
        self.port = free_port()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.model = Model(self.max_lora_rank)
        config = uvicorn.Config(
            self._app(),
            host="127.0.0.1",
            port=self.port,
            log_level="error",
            ws="none",
            lifespan="off",
            access_log=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        until = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < until, "the stand-in does not start"
            time.sleep(0.005)

    def kill(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            self._thread.join(10)
            assert not self._thread.is_alive()
        self._server = self._thread = None

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.middleware("http")
        async def guard(request: Request, call_next: Any) -> Response:  # noqa: ANN401
            self.paths.append(request.url.path)
            wrong = self.key and request.headers.get("authorization") != f"Bearer {self.key}"
            if wrong and request.url.path.startswith("/v1"):
                return JSONResponse({"error": "Unauthorized"}, 401)
            answer: Response = await call_next(request)
            return answer

        app.get("/health")(self._health)
        app.get("/v1/models")(self._models)
        app.post("/v1/completions")(self._complete)
        if self.updates_loras:
            app.post("/v1/load_lora_adapter")(self._load)
            app.post("/v1/unload_lora_adapter")(self._unload)
        return app

    async def _health(self) -> Response:
        return Response(status_code=200 if self.is_well else 503)

    async def _models(self) -> Response:
        if self.models is not None:
            return self.models()
        base = {"id": BASE, "object": "model", "root": "/models/tiny", "parent": None}
        adapters = [
            {"id": name, "object": "model", "root": path, "parent": BASE}
            for name, path in self.model.loaded.items()
        ]
        return JSONResponse({"object": "list", "data": [base, *adapters]})

    async def _load(self, body: Load) -> Response:
        name = body.lora_name
        if name in self.model.loaded:
            return error(400, f"The lora adapter '{name}' has already been loaded.", "InvalidUserInput")
        if not Path(body.lora_path).is_dir():  # noqa: ASYNC240 - one request at a time
            return error(404, f"Loading lora {name} failed: No adapter found", "NotFoundError")
        try:
            self.model.load(name, body.lora_path)
        except Exception as failure:  # noqa: BLE001 - as vLLM does
            return error(500, str(failure), "InternalServerError")
        return Response(f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, body: Unload) -> Response:
        if body.lora_name not in self.model.loaded:
            return error(404, f"The lora adapter '{body.lora_name}' cannot be found.", "NotFoundError")
        self.model.unload(body.lora_name)
        return Response(f"Success: LoRA adapter '{body.lora_name}' removed successfully.")

    async def _complete(self, body: Completion) -> Response:
        self.asked.append(body)
        await asyncio.sleep(self.slow_s)
        if self.instead is not None:
            return self.instead(body.model_dump())
        if body.model not in {BASE, *self.model.loaded}:
            return error(404, f"The model `{body.model}` does not exist.", "NotFoundError")
        with self.model.of(body.model) as lm, torch.inference_mode():
            rows = [row for prompt in body.prompt for row in self._rows(lm, body, prompt)]
        choices = [row.choice(body) | {"index": index} for index, row in enumerate(rows)]
        return JSONResponse({"id": "cmpl-1", "object": "text_completion", "choices": choices, "usage": {}})

    def _rows(self, lm: Any, body: Completion, prompt: list[int]) -> list["Row"]:  # noqa: ANN401
        """Write the n completions of a prompt, a token of each at a time."""
        rows = [Row(body, child) for child in range(body.n)]
        tokens, past = torch.tensor([prompt] * body.n), None
        while not all(row.is_done for row in rows):
            output = lm(input_ids=tokens, past_key_values=past, use_cache=True)
            past = output.past_key_values
            taken = [row.take(raw, self.mode) for row, raw in zip(rows, output.logits[:, -1], strict=True)]
            tokens = torch.tensor([[token] for token in taken])
        return rows


class Row:
    """A completion while it is written, as vLLM's sampler does: greedy ones are not divided by 0."""

    def __init__(self, body: Completion, child: int) -> None:
        self._body = body
        self._generator = torch.Generator()
        if body.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(body.seed + child)
        self._ends = {*body.stop_token_ids, tiny.LetterTokenizer.newline}
        self.ids: list[int] = []
        self._logprobs: list[float] = []
        self._likeliest: list[dict[str, float]] = []

    @property
    def is_done(self) -> bool:
        return len(self.ids) == self._body.max_tokens or bool(self._ends.intersection(self.ids))

    def take(self, raw: torch.Tensor, mode: str) -> int:
        if self.is_done:
            return 0
        greedy = self._body.temperature < EPSILON
        own = raw if greedy else raw / self._body.temperature
        drawn = torch.multinomial(torch.softmax(own, -1), 1, generator=self._generator)
        token = int(own.argmax() if greedy else drawn)
        of = own if mode.startswith("processed") else raw
        said = torch.log_softmax(of, -1) if mode.endswith("logprobs") else of
        self.ids.append(token)
        self._logprobs.append(float(said[token]))
        top = said.topk(self._body.logprobs or 0).indices.tolist()
        self._likeliest.append({f"token_id:{one}": float(said[one]) for one in {token, *top}})
        return token

    def choice(self, body: Completion) -> dict[str, Any]:
        ids = self.ids
        spelt = [f"token_id:{one}" if body.return_tokens_as_token_ids else tiny.ALPHABET[one] for one in ids]
        return {
            "text": tiny.LetterTokenizer().decode(ids).rstrip("\n"),
            "logprobs": {
                "text_offset": [0] * len(ids),
                "token_logprobs": self._logprobs,
                "tokens": spelt,
                "top_logprobs": self._likeliest,
            },
            "finish_reason": "stop" if self._ends.intersection(ids) else "length",
            "stop_reason": None,
            "token_ids": ids if body.return_token_ids else None,
        }


@contextmanager
def standing_in(**options: Any) -> Iterator[VllmStandIn]:  # noqa: ANN401
    """Give one that is started."""
    server = VllmStandIn(**options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
