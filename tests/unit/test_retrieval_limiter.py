import asyncio

import pytest

from agent.errors import SearchFailed
from agent.retrieval.limiter import Limiter, Overloaded


class Times:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_no_more_than_the_limit_run_at_a_time() -> None:
    limiter, running, most = Limiter(2), 0, 0

    async def search() -> None:
        nonlocal running, most
        async with limiter.slot("verify"):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(search() for _ in range(20)))
    assert most == 2
    assert limiter.counts == {"verify": 20}


async def test_a_refusal_halves_the_limit_and_good_answers_bring_it_back() -> None:
    times = Times()
    limiter = Limiter(8, monotonic_s=times)
    with pytest.raises(SearchFailed):
        async with limiter.slot("verify"):
            raise Overloaded("no room")
    assert limiter.limit == 4
    limiter.answered(0.1)
    assert limiter.limit == 4 + 1 / 4
    for _ in range(40):
        limiter.answered(0.1)
    assert limiter.limit == 8


def test_an_answer_that_takes_twice_the_usual_time_halves_the_limit() -> None:
    limiter = Limiter(4)
    limiter.answered(0.1)
    limiter.answered(0.15)
    assert limiter.limit == 4
    limiter.answered(0.4)
    assert limiter.limit == 2


def test_a_time_that_stays_long_becomes_usual() -> None:
    limiter = Limiter(4)
    limiter.answered(0.1)
    for _ in range(200):
        limiter.answered(0.4)
    assert limiter.limit == 4


async def test_below_one_at_a_time_a_search_is_followed_by_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    times = Times()
    limiter = Limiter(1, monotonic_s=times)
    limiter.refused()
    limiter.refused()
    assert limiter.limit == 0.25
    monkeypatch.setattr(asyncio, "sleep", rest)

    async def refused_search() -> None:
        async with limiter.slot("verify"):
            times.now_s += 0.2
            raise Overloaded("no room")

    with pytest.raises(Overloaded):
        await refused_search()
    assert limiter.limit == 0.125
    assert rests == [pytest.approx(0.2 * 7)]
