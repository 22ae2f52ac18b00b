"""Shared fixtures: one real server of each kind a session, started when a test first asks for it.

Tests keep apart by names, not by servers: take `tenant` and build keys and index names from it.
A server that cannot be had is a skip at home and a failure where CI is set.
"""

import asyncio
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, Protocol

import hypothesis
import pytest
import structlog

from agent.demo.stack import Stack, StackError, start_opensearch, start_redis, start_stand_in
from agent.demo.stack.redis_server import find_server

# A shell's background job starts with SIGINT ignored, and its children too: Ctrl-C is tested all the same.
signal.signal(signal.SIGINT, signal.default_int_handler)


hypothesis.settings.register_profile("shared", deadline=None)  # how long an example takes is the machine's
hypothesis.settings.load_profile("shared")
os.environ.setdefault("UNSEEN_FEEDBACK__MIN_CLIENTS", "1")  # a test's shop has few shoppers
SERVERS = {"redis_url", "opensearch_url", "fake_opensearch_url"}
LOOK_S = 0.01


class WaitUntil(Protocol):
    def __call__(self, condition: Callable[[], object], timeout_s: float = 5.0) -> None: ...


class WaitUntilAsync(Protocol):
    async def __call__(self, condition: Callable[[], object], timeout_s: float = 5.0) -> None: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a server's start, which bounds itself, out of the time of the test that came first."""
    for item in items:
        if SERVERS.intersection(getattr(item, "fixturenames", ())):
            own = item.get_closest_marker("timeout")
            limit_s = own.args[0] if own and own.args else float(item.config.getini("timeout"))
            item.add_marker(pytest.mark.timeout(limit_s, func_only=True), append=False)


def missing(why: object) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"a service is missing: {why}")
    pytest.skip(f"a service is missing: {why}")


@pytest.fixture(autouse=True)
def logs_as_they_are(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep a command or a server that runs in this process from setting the logs up for the tests after it.

    They would be bound to a stream that pytest closes, or lines left out that another test looks for.
    """
    before = structlog.get_config()
    monkeypatch.setattr("agent.logs.configure", lambda *_, **__: None)
    monkeypatch.setattr("uvicorn.Config.configure_logging", lambda _: None)
    yield
    structlog.configure(**before)


@pytest.fixture(scope="module", autouse=True)
def no_ray_is_left() -> Iterator[None]:
    """End a Ray that a module started here: modules run in any order, and another starts its own."""
    yield
    if ray := sys.modules.get("ray"):
        ray.shutdown()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture(scope="session")
def redis_server() -> Path:
    """The server's program, for tests that start and kill their own."""
    try:
        return find_server()[1]
    except StackError as error:
        missing(error)


@pytest.fixture(scope="session")
def redis_url(stack: Stack) -> str:
    """A real Redis (or Valkey), shared by the session: `noeviction`, nothing kept on disk."""
    try:
        return start_redis(stack.folder, os.environ.get("UNSEEN_TEST_REDIS"), spawn=stack.spawn).url
    except StackError as error:
        missing(error)


@pytest.fixture(scope="session")
def opensearch_url(stack: Stack) -> str:
    """A real OpenSearch, shared by the session; the stand-in does not count."""
    try:
        given = os.environ.get("UNSEEN_TEST_OPENSEARCH")
        service = start_opensearch(stack.folder, given, spawn=stack.spawn)
    except StackError as error:
        missing(error)
    if service.kind == "stand-in":
        missing(service.note)
    return service.url


@pytest.fixture(scope="session")
def fake_opensearch_url(stack: Stack) -> str:
    """The light stand-in, up in a moment: the same protocol, another ranking."""
    try:
        return start_stand_in(stack.folder, spawn=stack.spawn, why="a test asked for it").url
    except StackError as error:
        missing(error)


@pytest.fixture
def signals() -> Iterator[None]:
    """Leave the handlers of SIGTERM and SIGINT as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def tenant() -> str:
    """A name of this test's own, fit for keys and index names."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def wait_until() -> WaitUntil:
    """Wait for a condition of another process or thread; raises TimeoutError."""

    def wait(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout_s:g} s")
            time.sleep(LOOK_S)

    return wait


@pytest.fixture
def wait_until_async() -> WaitUntilAsync:
    """Wait for a condition that the test's own event loop brings about; raises TimeoutError."""

    async def wait(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(LOOK_S)

    return wait
