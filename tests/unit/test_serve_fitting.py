"""Templates that could not be checked at the start are checked once OpenSearch is back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import structlog
from structlog.testing import capture_logs

from agent.errors import SearchFailed
from agent.serve.fitting import FIT, SAID, UNCHECKED, Fitting, fault_of

PROMPTLY_S = 0.001


class Index:
    """Away, or there with faults."""

    def __init__(self) -> None:
        self.away = True
        self.faults: list[str] = []
        self.looks = 0

    async def look(self) -> list[str]:
        self.looks += 1
        if self.away:
            raise SearchFailed("cannot connect")
        return self.faults


@contextlib.asynccontextmanager
async def looking(index: Index, said: dict[str, str]) -> AsyncIterator["asyncio.Task[None]"]:
    stop = asyncio.Event()
    task = asyncio.create_task(Fitting(index.look, said, away_s=PROMPTLY_S, unfit_s=PROMPTLY_S).run(stop))
    yield task
    stop.set()
    async with asyncio.timeout(5):
        await task


async def until(holds: object) -> None:
    async with asyncio.timeout(5):
        while not holds():  # type: ignore[operator]
            await asyncio.sleep(PROMPTLY_S)


async def test_while_opensearch_is_away_they_are_unchecked_and_then_fit() -> None:
    index, said = Index(), dict[str, str]()
    async with looking(index, said) as task:
        await until(lambda: index.looks > 2)
        assert said[SAID] == UNCHECKED
        index.away = False
        async with asyncio.timeout(5):
            await task  # it looks no more
    assert said[SAID] == FIT


async def test_faults_found_late_are_told_until_they_are_mended() -> None:
    structlog.reset_defaults()
    index, said = Index(), dict[str, str]()
    index.away, index.faults = False, ["listing: $.query.match.nome: no such field", "other: $: odd"]
    with capture_logs() as logs:
        async with looking(index, said):
            await until(lambda: index.looks > 2)
            assert said[SAID] == "listing: $.query.match.nome: no such field"
            index.faults = []
            await until(lambda: said[SAID] == FIT)
    errors = [one for one in logs if one["log_level"] == "error"]
    assert [one["faults"] for one in errors] == [["listing", "other"]]  # once, by name


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (FIT, None),
        ("", None),
        (UNCHECKED, "the search templates are not held against the index yet: OpenSearch gives no answer"),
        ("listing: odd", "the search templates do not fit the index: listing: odd"),
    ],
)
def test_what_is_said_is_told_as_a_sentence(said: str, fault: str | None) -> None:
    assert fault_of(said) == fault
