"""Shared by the tests of pages: one browser and one event loop a module."""

from collections.abc import Iterator

import pytest
from chromium import Loop, chromium, find_chromium

from tests.conftest import missing


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    """An event loop in a thread of its own, for what is asked from outside of it."""
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def every_search_explores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for how often a query is asked: what a busy machine tells too late is not explored."""
    monkeypatch.setattr("feedback.evidence.popularity.LOOK_S", 10.0)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a real Chromium takes its orders."""
    program = find_chromium()
    if program is None:
        missing("chromium: tests/install-packages installs it")
    with chromium(program, tmp_path_factory.mktemp("chromium")) as address:
        yield address
