"""What the doctor says of a vLLM server; the server is a stand-in."""

from pathlib import Path

import pytest
from engine_world import settings_of
from vllm_stand_in import BASE, VllmStandIn, standing_in

from agent.doctor.examining import _servers
from agent.doctor.vllm import look_at_vllm
from agent.policy.vllm.server import START
from agent.sections import PolicySettings


def policy(server: VllmStandIn, **more: object) -> PolicySettings:
    return PolicySettings.model_validate({"engine": "vllm", "vllm_url": server.url, **more})


def test_a_server_that_is_as_it_must_be() -> None:
    with standing_in() as server:
        (check,) = look_at_vllm(policy(server))
    found = f"{BASE} at {server.url}, log-probabilities after the temperature"
    assert (check.state, check.found) == ("ok", found)


def test_what_is_wrong_with_it_and_how_to_start_it(tmp_path: Path) -> None:
    with standing_in(mode="raw_logprobs") as server:
        (check,) = look_at_vllm(policy(server))
        assert (check.state, check.do) == ("failed", START)
        assert "before the temperature" in check.found
    (check,) = look_at_vllm(policy(server))
    assert (check.state, check.do) == ("failed", START)
    assert "no answer (ConnectError)" in check.found
    (check,) = look_at_vllm(policy(server, vllm_key_file=tmp_path / "none"))
    assert check.state == "failed"
    assert "cannot be read" in check.found
    assert "vllm_key_file" in check.do


def test_a_server_that_lets_no_adapters_come() -> None:
    server = VllmStandIn()
    server.updates_loras = False
    server.start()
    try:
        (check,) = look_at_vllm(policy(server))
    finally:
        server.kill()
    assert (check.state, check.do) == ("failed", START)
    assert "lets no adapters be loaded" in check.found


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_it_is_looked_at_where_it_writes(engine: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, engine=engine, vllm_url="http://vllm:8000")
    assert ("vllm" in [look.name for look in _servers(settings)]) is (engine == "vllm")
