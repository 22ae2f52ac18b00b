"""vLLM's engine where the server is away, slow, odd, or started wrongly; the server is a stand-in."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from engine_world import PROMPTS, SETTINGS, alone, noise, settings_of
from fastapi.responses import JSONResponse, Response, StreamingResponse
from vllm_stand_in import BASE, VllmStandIn, standing_in

from agent.errors import BadWeights, Permanent, Transient
from agent.policy import tiny
from agent.policy.engine import Engine, load_engine
from agent.policy.vllm import engine as engine_module
from feedback.records import Rewrite

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # peft's business
Made = Callable[..., Engine]
OVERHEARD = "a shopper's own words"


@pytest.fixture
def server() -> Iterator[VllmStandIn]:
    with standing_in() as server:
        yield server


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    engines: list[Engine] = []

    def make(server: VllmStandIn, **policy: Any) -> Engine:  # noqa: ANN401
        given = {"engine": "vllm", "vllm_url": server.url, "vllm_timeout_s": 15, **policy}
        engines.append(load_engine(settings_of(tmp_path, **given)))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def greedy(engine: Engine) -> list[tuple[int, ...]]:
    return [one.token_ids for (one,) in engine.sample(PROMPTS, n=1, greedy=True)]


def own(version: int) -> list[tuple[int, ...]]:
    return [one.token_ids for (one,) in alone(version).sample(PROMPTS, n=1, greedy=True)]


def test_nothing_but_the_temperature_shapes_what_is_asked_for(server: VllmStandIn, made: Made) -> None:
    engine = made(server)
    engine.sample(PROMPTS, n=3)
    engine.sample(PROMPTS[:1], n=1, greedy=True)
    short, long, likeliest = server.asked[-3:]
    for asked in (short, long):
        assert (asked.temperature, asked.n, asked.seed) == (SETTINGS.temperature, 3, None)
    assert (likeliest.temperature, likeliest.n) == (0.0, 1)
    assert (short.max_tokens, long.max_tokens) == (SETTINGS.max_new_tokens, SETTINGS.long_max_new_tokens)
    assert (len(short.prompt), len(long.prompt)) == (2, 1)
    for asked in (short, long, likeliest):
        assert {
            "top_p",
            "top_k",
            "min_p",
        } <= asked.model_fields_set  # said, so that no default of the model's holds
        assert {"repetition_penalty", "presence_penalty", "frequency_penalty"} <= asked.model_fields_set
        assert (asked.top_p, asked.top_k, asked.min_p) == (1.0, -1, 0.0)
        assert (asked.repetition_penalty, asked.presence_penalty, asked.frequency_penalty) == (1.0, 0.0, 0.0)
        assert (asked.model, asked.stop_token_ids) == (BASE, [tiny.LetterTokenizer.newline])


@pytest.mark.parametrize("mode", ["raw_logprobs", "raw_logits", "processed_logits"])
def test_what_is_no_log_probability_of_what_was_sampled_from_is_refused(mode: str, made: Made) -> None:
    with standing_in(mode=mode) as server:
        engine = made(server)
        with pytest.raises(Transient, match="--logprobs-mode processed_logprobs"):
            engine.sample(PROMPTS, n=1)
        with pytest.raises(Transient, match="--logprobs-mode processed_logprobs"):
            engine.hold(noise(1), 1)
        server.mode = "processed_logprobs"  # whoever runs it has read the message
        engine.hold(noise(1), 1)
        assert engine.sample(PROMPTS, n=1)


def test_a_server_is_looked_at_again_after_a_minute(
    server: VllmStandIn, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = made(server)
    engine.sample(PROMPTS, n=1)
    met = server.paths.count("/v1/models")
    engine.sample(PROMPTS, n=1)
    assert server.paths.count("/v1/models") == met == 1
    server.mode = "raw_logprobs"
    monkeypatch.setattr(engine_module, "MET_S", 0.0)
    with pytest.raises(Transient, match="processed_logprobs"):
        engine.sample(PROMPTS, n=1)


def test_an_engine_waits_for_no_server_and_writes_once_there_is_one(made: Made) -> None:
    server = VllmStandIn()
    engine = made(server)
    for work in (lambda: engine.sample(PROMPTS, n=1), lambda: engine.hold(noise(1), 1)):
        with pytest.raises(Transient, match=r"no answer \(ConnectError\)"):
            work()
    assert set(engine.versions) == {0}
    server.start()
    try:
        engine.hold(noise(1), 1)
        engine.use(1)
        assert greedy(engine) == own(1)
    finally:
        server.kill()


def test_a_server_that_was_killed_and_is_back_gets_its_adapters_again(
    server: VllmStandIn, made: Made
) -> None:
    engine = made(server)
    for version in (1, 2):
        engine.hold(noise(version), version)
    engine.use(1)
    assert greedy(engine) == own(1)
    server.kill()
    with pytest.raises(Transient, match="no answer"):
        greedy(engine)
    server.start()
    assert server.model.loaded == {}
    for version in (1, 2, 0):
        engine.use(version)
        assert greedy(engine) == own(version)
    assert len(server.model.loaded) == 2


def test_an_adapter_whose_folder_was_removed_is_written_again(server: VllmStandIn, made: Made) -> None:
    engine = made(server)
    engine.hold(noise(1), 1)
    ((name, path),) = server.model.loaded.items()
    (Path(path) / "adapter_config.json").unlink()
    server.kill()
    server.start()
    engine.use(1)
    assert greedy(engine) == own(1)
    assert list(server.model.loaded) == [name]


def test_what_is_let_go_of_is_unloaded_and_its_files_go(
    server: VllmStandIn, made: Made, tmp_path: Path
) -> None:
    engine = made(server)
    for version in (1, 2):
        engine.hold(noise(version), version)
    names = sorted(server.model.loaded)
    assert [name[: len("unseen-default-1-")] for name in names] == ["unseen-default-1-", "unseen-default-2-"]
    assert sorted(path.name for path in (tmp_path / "vllm").iterdir()) == names
    engine.keep({2})
    assert list(server.model.loaded) == [path.name for path in (tmp_path / "vllm").iterdir()] == names[1:]


def test_what_could_not_be_unloaded_is_unloaded_at_the_next_change(server: VllmStandIn, made: Made) -> None:
    engine = made(server)
    for version in (1, 2):
        engine.hold(noise(version), version)
    loaded = dict(server.model.loaded)
    server.kill()
    engine.keep({2})  # no error: it answers no more, and the server is away
    server.start()
    for name, path in loaded.items():
        server.model.loaded[name] = path  # as if it had only been cut off
    engine.keep({2})
    assert [name for name in server.model.loaded if "-1-" in name] == []


def test_two_replicas_share_a_server(server: VllmStandIn, made: Made) -> None:
    first, second = made(server), made(server)
    for engine in (first, second):
        engine.hold(noise(1), 1)
        engine.use(1)
    assert server.paths.count("/v1/load_lora_adapter") == 1
    first.keep({0})
    assert server.model.loaded == {}
    assert greedy(second) == own(1)  # given again
    first.keep({0})  # which it has done, once: the other one's stays
    assert len(server.model.loaded) == 1


def test_another_replica_may_be_faster(
    server: VllmStandIn, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = made(server), made(server)
    first.hold(noise(1), 1)
    seen = iter([False, True])  # it came between the look and the request
    monkeypatch.setattr("agent.policy.vllm.loras.Loras._has", lambda *_: next(seen))
    second.hold(noise(1), 1)
    assert server.paths.count("/v1/load_lora_adapter") == 2
    assert set(second.versions) == {0, 1}


def test_an_adapter_that_the_server_does_not_take_is_a_bad_one(made: Made) -> None:
    with standing_in(max_lora_rank=2) as server:
        engine = made(server)
        with pytest.raises(BadWeights, match="rank 4 is greater than max_lora_rank 2"):
            engine.hold(noise(1), 1)
        server.is_well = False  # then it's not the adapter's fault
        with pytest.raises(Transient, match="not well"):
            engine.hold(noise(1), 1)
        assert set(engine.versions) == {0}
        assert greedy(engine) == own(0)


def test_a_server_that_may_not_change_its_adapters_says_how_to_start_it(made: Made) -> None:
    server = VllmStandIn()
    server.updates_loras = False
    server.start()
    try:
        with pytest.raises(Transient, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
            made(server).hold(noise(1), 1)
    finally:
        server.kill()


def test_a_folder_that_the_server_does_not_see_is_named(
    server: VllmStandIn, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = made(server)
    monkeypatch.setattr(
        "agent.policy.vllm.adapters.PeftAdapter.write", lambda *_: tmp_path / "not-mounted-there"
    )
    with pytest.raises(Transient, match=r"does not see .*not-mounted-there: mount policy.vllm_folder"):
        engine.hold(noise(1), 1)


def test_a_folder_that_cannot_be_written_to_is_named(server: VllmStandIn, made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Transient, match=r"policy.vllm_folder: .*file cannot be written"):
        made(server, vllm_folder=tmp_path / "file").hold(noise(1), 1)


def test_the_key_comes_from_a_file(made: Made, tmp_path: Path) -> None:
    key = tmp_path / "vllm.key"
    key.write_text("a-key-of-the-server\n")
    with standing_in(key="a-key-of-the-server") as server:
        assert greedy(made(server, vllm_key_file=key)) == own(0)
        with pytest.raises(Transient, match=r"does not take the key in policy.vllm_key_file"):
            made(server).sample(PROMPTS, n=1)
    with pytest.raises(Permanent, match=r"policy.vllm_key_file: .*none cannot be read"):
        made(server, vllm_key_file=tmp_path / "none")


def test_an_address_may_end_as_those_of_openai_s_clients_do(server: VllmStandIn, made: Made) -> None:
    assert greedy(made(server, vllm_url=f"{server.url}/v1/")) == own(0)


@pytest.mark.parametrize(
    ("models", "why"),
    [
        (Response("hello"), "/v1/models lists no models: is it a vLLM server"),
        (JSONResponse({"data": []}), "serves no base model"),
        (JSONResponse({"detail": "Not Found"}, 404), "/v1/models answered 404"),
    ],
)
def test_a_server_without_a_base_model_is_none(models: Response, why: str, made: Made) -> None:
    server = VllmStandIn()
    server.models = lambda: models
    server.start()
    try:
        with pytest.raises(Transient, match=why):
            made(server).sample(PROMPTS, n=1)
    finally:
        server.kill()


def test_a_slow_server_is_given_up_in_time_and_is_asked_again(server: VllmStandIn, made: Made) -> None:
    engine = made(server, vllm_timeout_s=0.6)
    server.slow_s = 5.0
    began_s = time.monotonic()
    with pytest.raises(Transient, match=r"no answer|no time"):
        engine.sample(PROMPTS, n=1)
    assert time.monotonic() - began_s < 4.0  # not the five seconds of one answer
    server.slow_s = 0.0
    assert greedy(made(server)) == own(0)


def odd(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], Response]:
    """Return a good answer to a request, changed."""

    def answer(asked: dict[str, Any]) -> Response:
        n = asked["n"] * len(asked["prompt"])
        choices = [
            {
                "index": i,
                "text": OVERHEARD,
                "token_ids": [5, 6],
                "logprobs": {"token_logprobs": [-1.0, -2.0]},
            }
            for i in range(n)
        ]
        body = {"choices": choices}
        change(body)
        return Response(msgspec.json.encode(body), media_type="application/json")

    return answer


def first(**fields: Any) -> Callable[[dict[str, Any]], Response]:  # noqa: ANN401
    return odd(lambda body: body["choices"][0].update(fields))


ODD: dict[str, Callable[[dict[str, Any]], Response]] = {
    "not JSON": lambda _: Response(f"<html>{OVERHEARD}</html>"),
    "not UTF-8": lambda _: Response(b'{"choices": [{"text": "\xff"}]}'),
    "empty": lambda _: Response(b""),
    "a list": lambda _: JSONResponse([OVERHEARD]),
    "no choices": lambda _: JSONResponse({"choices": []}),
    "choices are none": lambda _: JSONResponse({"choices": None}),
    "too few choices": odd(lambda body: body["choices"].pop()),
    "too many choices": odd(lambda body: body["choices"].append(body["choices"][0])),
    "one index twice": first(index=1),
    "no log-probabilities": first(logprobs=None),
    "too few log-probabilities": first(logprobs={"token_logprobs": [-1.0]}),
    "a log-probability is none": first(logprobs={"token_logprobs": [-1.0, None]}),
    "a log-probability above 0": first(logprobs={"token_logprobs": [-1.0, 3.0]}),
    "a log-probability is a word": first(logprobs={"token_logprobs": [-1.0, OVERHEARD]}),
    "no token ids": first(token_ids=None),
    "no tokens": first(token_ids=[], logprobs={"token_logprobs": []}),
    "tokens beyond the vocabulary": first(token_ids=[5, 100_000]),
    "negative tokens": first(token_ids=[5, -1]),
    "more tokens than asked for": first(token_ids=[5] * 99, logprobs={"token_logprobs": [-1.0] * 99}),
    "500": lambda _: JSONResponse({"error": {"message": OVERHEARD}}, 500),
    "400": lambda _: JSONResponse({"error": {"message": OVERHEARD}}, 400),
    "503 in HTML": lambda _: Response(OVERHEARD, status_code=503),
    "elsewhere": lambda _: Response(status_code=307, headers={"location": "http://127.0.0.1:1/"}),
    "too much": lambda _: Response(b" " * (17 * 1024 * 1024)),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_none_and_repeats_no_words_of_a_shopper_s(
    name: str, server: VllmStandIn, made: Made
) -> None:
    engine = made(server)
    engine.sample(PROMPTS, n=1)
    server.instead = ODD[name]
    with pytest.raises(Transient) as caught:
        engine.sample(PROMPTS, n=2)
    assert OVERHEARD not in str(caught.value)
    server.instead = None
    assert greedy(engine) == own(0)


def test_an_even_answer_is_taken_and_cut_at_its_first_end(server: VllmStandIn, made: Made) -> None:
    engine = made(server)
    engine.sample(PROMPTS, n=1)
    newline = tiny.LetterTokenizer.newline
    server.instead = first(token_ids=[5, newline, 6], logprobs={"token_logprobs": [-1.0, 1e-6, -3.0]})
    wrote = engine.sample(PROMPTS[:1], n=2)
    text = tiny.ALPHABET[5]
    assert wrote == [
        [
            Rewrite(text=text, token_ids=(5, newline), token_logprobs=(-1.0, 0.0), temperature=0.8),
            Rewrite(
                text=text + tiny.ALPHABET[6], token_ids=(5, 6), token_logprobs=(-1.0, -2.0), temperature=0.8
            ),
        ]
    ]


def test_a_server_that_drips_is_given_up(server: VllmStandIn, made: Made) -> None:
    engine = made(server, vllm_timeout_s=4.0)
    done = threading.Event()

    def drip() -> Iterator[bytes]:
        while not done.wait(0.1):
            yield b" "

    engine.sample(PROMPTS[:1], n=1)
    server.instead = lambda _: StreamingResponse(drip())
    began_s = time.monotonic()
    try:
        with pytest.raises(Transient, match="no whole answer in time"):
            engine.sample(PROMPTS[:1], n=1)
        assert time.monotonic() - began_s < 15.0
    finally:
        done.set()


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ({"engine": "vllm"}, "needs the server's address"),
        ({"engine": "vllm", "vllm_url": "vllm:8000"}, "vllm_url"),
        ({"engine": "sglang"}, "engine"),
        ({"engine": "vllm", "vllm_url": "http://vllm:8000", "vllm_timeout_s": 60}, "vllm_timeout_s"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(policy: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=why):
        settings_of(tmp_path, **policy)
