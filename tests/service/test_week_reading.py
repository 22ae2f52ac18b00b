"""A week of which not all is read from a real Redis: what is left out is said, and nothing made up."""

import os
from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis
from reported_week import DAY_MS, action_row, page_row, verdict

from agent.settings import Settings
from agent.watching import week
from feedback.clock import wall_clock
from feedback.delivery.streams import FIELD
from feedback.evidence.ledger import LedgerRow
from feedback.records import Action, Arm
from feedback.stores import connect, forget

HOUR_MS = 3_600_000


@pytest.fixture
def settings(redis_url: str) -> Settings:
    tree = {"tenant": f"read{os.getpid()}", "redis": {"state_url": redis_url, "partitions": 1}}
    return Settings.model_validate(tree)


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    connection = connect(settings.redis.state_url)
    yield connection
    await forget(connection, settings.tenant)
    await connection.aclose()


async def write(redis: Redis, settings: Settings, *rows: LedgerRow) -> None:
    """Have rows arrive when they were filed."""
    for row in rows:
        key = settings.keys.ledger(0, row.day)
        await redis.xadd(key, {FIELD: msgspec.json.encode(row)}, id=f"{row.filed_ms or row.at_ms}-*")


async def test_a_purchase_that_came_late_makes_no_week_whole_that_was_cut(
    redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = wall_clock()
    noon_ms = now_ms // DAY_MS * DAY_MS + DAY_MS // 2
    shown = [
        page_row(Arm.STABLE, f"c{i}", "sofa", noon_ms + i * 1000 - back * DAY_MS)
        for back in (3, 2, 1)
        for i in range(10)
    ]
    old = page_row(Arm.STABLE, "late", "sofa", noon_ms - 20 * DAY_MS)
    sold = msgspec.structs.replace(action_row(old, Action.PURCHASE), filed_ms=noon_ms + 500)
    new = [page_row(Arm.STABLE, f"n{i}", "sofa", noon_ms + 1000 + i) for i in range(4)]
    await write(redis, settings, *shown, sold, *new)
    monkeypatch.setattr(week, "MOST_ROWS", 4)
    found = await week.read(settings, days=7, clock=lambda: noon_ms + HOUR_MS)
    assert found["searches"]["pages"] == 4
    assert found["read"]["since_ms"] == noon_ms + 501
    assert any("of each of the ledger's 1 partitions the newest 4 rows" in one for one in found["missing"])
    monkeypatch.setattr(week, "MOST_ROWS", 35)
    found = await week.read(settings, days=7, clock=lambda: noon_ms + HOUR_MS)
    assert (found["searches"]["pages"], found["read"]["since_ms"]) == (34, 0)  # the last row was read too


async def test_a_rewrite_whose_verdict_was_not_among_those_read_is_not_withdrawn(
    redis: Redis, settings: Settings
) -> None:
    now_ms = wall_clock()
    settings = settings.model_copy(update={"metrics": settings.metrics.model_copy(update={"verdicts": 2})})
    for query in "abcde":
        await write(redis, settings, page_row(Arm.STABLE, query, query, now_ms - 5000, rewritten=True))
        text = "" if query == "e" else "word"
        await redis.hset(settings.keys.verified(), f"all|{query}", msgspec.json.encode(verdict(query, text)))
    found = await week.read(settings, days=7, clock=lambda: now_ms)
    told = found["rewrites"]
    assert (told["served"], told["new_count"]) == (5, 4)
    assert [(one["query"], one["now"]) for one in told["withdrawn"]] == [("e", "nothing is to be added")]
    assert sum(told[name] for name in ("serving", "silent", "open")) == told["verdicts"]["read"] == 2
    assert any("beyond 2 of 5 (metrics.verdicts is 2)" in one for one in found["missing"])
    whole = settings.model_copy(update={"metrics": settings.metrics.model_copy(update={"verdicts": 5})})
    found = await week.read(whole, days=7, clock=lambda: now_ms)
    assert not any("metrics.verdicts" in one for one in found["missing"])


async def test_no_more_days_are_told_than_the_ledger_keeps(redis: Redis, settings: Settings) -> None:
    kept = settings.model_copy(update={"feedback": settings.feedback.model_copy(update={"ledger_days": 9})})
    found = await week.read(kept, days=3650)
    assert (found["days"], found["asked_days"], len(found["searches"]["by_day"])) == (9, 3650, 9)
    assert any("3,641 of the 3,650 days" in one for one in found["missing"])
