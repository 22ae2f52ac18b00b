"""A process's side of the shared budget; what Redis does is in tests/service/test_guests.py."""

import asyncio
import json
from typing import NoReturn

import pytest
from odd_opensearch import odd_opensearch, pages_for
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from typing_extensions import override

from agent.policy.plan import Plan
from agent.retrieval import Catalogue, Limiter, Overloaded
from agent.retrieval.budget import Budget, Grant, Outcome
from agent.sections import OpenSearchSettings
from feedback.keys import Keys


class Times:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Away(Redis):
    """A Redis that answers nothing."""

    @override
    async def eval(self, *_: object) -> NoReturn:
        raise RedisConnectionError("away")


class BitesOf(Budget):
    """A budget that grants so many searches at once at most, and remembers how they went."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.went: list[tuple[int, Outcome]] = []

    @override
    async def take(self, purpose: str, want: int) -> Grant:
        assert purpose == "verify"
        return Grant(searches=min(want, self.most), name="x")

    @override
    async def give(self, grant: Grant, outcome: Outcome) -> None:
        self.went.append((grant.searches, outcome))


async def test_without_redis_a_process_goes_on_at_a_quarter_of_the_least_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = Times()
    monkeypatch.setattr(asyncio, "sleep", times.sleep)
    settings = OpenSearchSettings(background_per_s=2.0)
    budget = Budget(Away(), Keys(), settings, monotonic_s=times)
    for _ in range(5):  # the first at once, then one each 2 s
        grant = await budget.take("verify", 64)
        assert grant.searches == 1
        await budget.give(grant, Outcome.GOOD)
    assert times.now_s == pytest.approx(100.0 + 4 * 2.0)
    times.now_s += 60.0  # nothing is saved up meanwhile
    await budget.take("verify", 1)
    await budget.take("verify", 1)
    assert times.now_s == pytest.approx(108.0 + 60.0 + 2.0)


async def test_many_searches_go_out_in_the_requests_that_the_budget_grants() -> None:
    budget, requests = BitesOf(3), list[tuple[int, bytes]]()

    def answer(n: int, body: bytes) -> tuple[int, object]:
        requests.append((n, body))
        return 200, pages_for(body)

    async with odd_opensearch(answer) as url:
        limiter = Limiter(2, budget)
        async with Catalogue(OpenSearchSettings(url=url), limiter) as catalogue:
            found = await catalogue.msearch([Plan(user_query=f"q{i}") for i in range(7)], purpose="verify")
            await catalogue.msearch([Plan(user_query="seen")] * 70, purpose="search")
    asked = [[json.loads(line) for line in body.splitlines()[1::2]] for _, body in requests]
    assert [len(searches) for searches in asked] == [3, 3, 1, 64, 6]  # shoppers pass by
    queries = [json.dumps(search) for searches in asked[:3] for search in searches]
    assert all(f"q{i}" in query for i, query in enumerate(queries))
    assert len(found) == 7
    assert limiter.counts == {"verify": 7}
    assert [n for n, _ in budget.went] == [3, 3, 1]


async def test_the_budget_hears_how_the_engine_took_it(monkeypatch: pytest.MonkeyPatch) -> None:
    times, budget = Times(), BitesOf(1)
    monkeypatch.setattr(asyncio, "sleep", times.sleep)
    limiter = Limiter(2, budget, monotonic_s=times)

    async def search(seconds: float, error: Exception | None = None) -> None:
        async with limiter.slot("verify"):
            times.now_s += seconds
            if error is not None:
                raise error

    await search(0.1)
    await search(0.3)  # over twice the usual time
    with pytest.raises(Overloaded):
        await search(0.1, Overloaded("no room"))
    with pytest.raises(ValueError, match="odd"):
        await search(0.1, ValueError("odd"))
    outcomes = [outcome for _, outcome in budget.went]
    assert outcomes == [Outcome.GOOD, Outcome.BAD, Outcome.BAD, Outcome.UNKNOWN]


def test_a_shop_has_its_budget_unless_it_is_turned_off() -> None:
    assert OpenSearchSettings().background_budget
    settings = OpenSearchSettings()
    assert (settings.background_share, settings.background_per_s) == (0.05, 2.0)
    assert settings.background_concurrency == 2
