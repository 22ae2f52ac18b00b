from pathlib import Path

import pytest
import redis

from agent.demo.stack import Stack, StackError, start_redis


def test_without_redis_server_on_the_path_the_wheels_server_is_started(stack: Stack) -> None:
    service = start_redis(stack.folder, spawn=stack.spawn, name="wheel", search_path="/nowhere")
    assert service.kind == "valkey"
    with redis.Redis.from_url(service.url) as client:
        assert client.xadd("stream", {"field": "value"})
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_an_installed_redis_server_goes_before_the_wheels(stack: Stack, tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(StackError, match="ended with status 3 at its start"):
        start_redis(stack.folder, spawn=stack.spawn, name="fake", search_path=str(tmp_path))


def test_append_only_keeps_the_data_over_a_restart(tmp_path: Path) -> None:
    for expected in (None, b"kept"):
        with Stack(tmp_path) as own:
            service = start_redis(own.folder, spawn=own.spawn, append_only=True)
            with redis.Redis.from_url(service.url) as client:
                assert client.getset("key", "kept") == expected


def test_a_given_redis_is_used_and_not_started(stack: Stack, redis_url: str) -> None:
    service = start_redis(stack.folder, redis_url, spawn=stack.spawn)
    assert (service.kind, service.url, service.process) == ("given", redis_url, None)
    assert service.note == "given"


def test_a_given_redis_that_evicts_is_used_with_a_warning(stack: Stack) -> None:
    own = start_redis(stack.folder, spawn=stack.spawn, name="evicting")
    with redis.Redis.from_url(own.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    assert "may evict" in start_redis(stack.folder, own.url, spawn=stack.spawn).note


@pytest.mark.parametrize("url", ["redis://127.0.0.1:9", "no-url"])
def test_a_given_redis_that_does_not_answer_is_an_error(stack: Stack, url: str) -> None:
    with pytest.raises(StackError, match="no Redis answers at the given URL"):
        start_redis(stack.folder, url, spawn=stack.spawn)
