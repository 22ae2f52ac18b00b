"""A Ray of a process's own; that it keeps to loopback, with its token, a service test shows."""

import os
from typing import Any

import pytest
import ray
from ray._private import ray_constants
from structlog.testing import capture_logs

from agent.own_ray import start_own_ray, warn_if_open

VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Ray is started with; nothing starts."""
    options: dict[str, Any] = {}
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # put back at the end, whatever is set meanwhile
        monkeypatch.delenv(name)
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", True)
    monkeypatch.setattr(ray, "init", lambda **given: options.update(given))
    return options


def test_each_has_a_token_of_its_own_unless_one_is_named(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    start_own_ray(num_cpus=2)
    token = os.environ["RAY_AUTH_TOKEN"]
    assert len(token) == 64
    assert asked["num_cpus"] == 2
    assert (asked["address"], asked["_node_ip_address"]) == ("local", "127.0.0.1")
    assert asked["include_dashboard"] is False
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/run/secrets/ray")
    start_own_ray()
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_a_ray_that_asks_for_no_token_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    for mode, events in (("token", []), ("disabled", ["ray.open"])):
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
        with capture_logs() as logs:
            warn_if_open()
        assert [line["event"] for line in logs] == events
