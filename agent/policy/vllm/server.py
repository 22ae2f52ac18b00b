"""A vLLM server by HTTP: requests with a bound on time and size, and errors that say what to do.

Guarantees that a server which hangs, or sends without end, is given up, and that every failure is a
`Transient`: the server may be started anew, and rightly, at any moment. Not thread safe.
"""

import time
from typing import Any, Self

import httpx
import msgspec

from agent.errors import Permanent, Transient
from agent.sections import PolicySettings

MOST_BYTES = 16 * 1024 * 1024
"""Of an answer; 32 prompts of 16 rewrites of 64 tokens take a tenth of it."""
IDLE_S = 2.0
"""Connections are closed before the server closes them, which uvicorn does after five seconds."""
START = (
    "start vLLM with --enable-lora, --logprobs-mode processed_logprobs "
    "and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment"
)
OK, BAD_REQUEST, UNAUTHORISED, NOT_FOUND = 200, 400, 401, 404


class Card(msgspec.Struct, frozen=True):
    """A model that is served, as `/v1/models` lists it."""

    id: str
    root: str | None = None
    """Where it was loaded from."""
    parent: str | None = None
    """Of an adapter, the base model."""


class _Cards(msgspec.Struct, frozen=True):
    data: list[Card]


class _Said(msgspec.Struct, frozen=True):
    message: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    error: _Said


class Declined(Transient):
    """The server understood and does not do it."""

    def __init__(self, where: str, status: int, said: str) -> None:
        super().__init__(f"{where} answered {status}{': ' if said else ''}{said}")
        self.where, self.status = where, status
        self.said = said
        """Its own message; of a completion's it may hold the prompt, and is left out."""


class Server:
    """One server; `until` is the moment of `time.monotonic` at which a request is given up."""

    def __init__(self, url: str, key: str = "") -> None:
        """Take an address, with or without the `/v1` of OpenAI's clients; raises Permanent: it is none."""
        try:
            self.where = str(httpx.URL(url).copy_with(userinfo=b"")).rstrip("/").removesuffix("/v1")
            """Its address, without a password."""
        except httpx.InvalidURL as error:
            raise Permanent(f"policy.vllm_url is no address: {error}") from error
        self._http = httpx.Client(
            base_url=self.where,
            headers={"authorization": f"Bearer {key}"} if key else {},
            limits=httpx.Limits(keepalive_expiry=IDLE_S),
            trust_env=False,
        )

    @classmethod
    def of(cls, policy: PolicySettings) -> Self:
        """Return the settings' server; raises Permanent: the address is none, or the key cannot be read."""
        file = policy.vllm_key_file
        try:
            return cls(policy.vllm_url, file.read_text("utf-8").strip() if file else "")
        except (OSError, UnicodeDecodeError) as error:
            raise Permanent(f"policy.vllm_key_file: {file} cannot be read") from error

    def is_well(self, until: float) -> bool:
        """Tell whether the server's engine is alive, by its own word."""
        try:
            self._ask("GET", "/health", until)
        except Transient:
            return False
        return True

    def cards(self, until: float) -> list[Card]:
        """Return what is served: base models and adapters."""
        answer = self._ask("GET", "/v1/models", until)
        try:
            return msgspec.json.decode(answer, type=_Cards).data
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Transient(f"{self.where}/v1/models lists no models: is it a vLLM server?") from error

    def load(self, name: str, path: str, until: float) -> None:
        """Have an adapter loaded from a folder that the server sees at the same path; raises Declined."""
        self._ask("POST", "/v1/load_lora_adapter", until, {"lora_name": name, "lora_path": path})

    def changes_adapters(self, until: float) -> bool:
        """Tell whether the server lets adapters come and go, which it does not unless it is told to."""
        try:
            self._ask("POST", "/v1/unload_lora_adapter", until, {"lora_name": "unseen-none"})
        except Declined as error:
            return bool(error.said)
        return True

    def unload(self, name: str, until: float) -> None:
        """Have an adapter let go; one that is not there is gone already."""
        try:
            self._ask("POST", "/v1/unload_lora_adapter", until, {"lora_name": name})
        except Declined as error:
            if error.status != NOT_FOUND:
                raise

    def complete(self, body: dict[str, Any], until: float) -> bytes:
        """Return the answer to a request for completions; raises Declined, without the server's message."""
        try:
            return self._ask("POST", "/v1/completions", until, body)
        except Declined as error:
            raise Declined(error.where, error.status, "") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, method: str, path: str, until: float, body: dict[str, Any] | None = None) -> bytes:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise Transient(f"no time is left to ask {self.where}{path}")
        try:
            with self._http.stream(method, path, json=body, timeout=left_s) as answer:
                content = self._content(answer, until)
        except httpx.HTTPError as error:
            raise Transient(f"{self.where}{path}: no answer ({type(error).__name__})") from error
        if answer.status_code == UNAUTHORISED:
            raise Transient(f"{self.where} does not take the key in policy.vllm_key_file")
        if answer.status_code != OK:
            raise Declined(f"{self.where}{path}", answer.status_code, _message(content))
        return content

    def _content(self, answer: httpx.Response, until: float) -> bytes:
        content = bytearray()
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > MOST_BYTES:
                raise Transient(f"{self.where}: an answer of more than {MOST_BYTES} bytes")
            if time.monotonic() > until:
                raise Transient(f"{self.where}: no whole answer in time")
        return bytes(content)


def _message(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=_Refusal).error.message[:300]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
