"""Logs of others in the evidence: pages, clicks and purchases, each once, whatever ended the run."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from typer.testing import CliRunner

from agent.cli import app
from agent.errors import Permanent
from agent.exchange import playing
from agent.exchange.playing import Player
from agent.exchange.ubi_log import UbiReader
from agent.settings import Settings
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.delivery.streams import StreamWriter
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.ledger_days import newest_rows
from feedback.records import Action, Arm, Event, Impression, Rung
from feedback.stores import Lease, connect

DAY = 16_000
"""2013-10-22, of which all times here are."""
AT = "2013-10-22T10:{minute:02d}:00Z"


@pytest.fixture
def settings(redis_url: str, tenant: str) -> Settings:
    return Settings.model_validate(
        {
            "tenant": tenant,
            "redis": {"state_url": redis_url, "partitions": 2},
            "feedback": {"lease_s": 1.0},
        }
    )


@pytest_asyncio.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    connection = connect(settings.redis.state_url)
    yield connection
    await connection.aclose()


def query(n: int, **more: object) -> dict[str, Any]:
    return {
        "query_id": f"uuid-{n}",
        "client_id": f"c{n}",
        "user_query": f"Couch {n}",
        "timestamp": AT.format(minute=n),
        "query_response_hit_ids": ["a", "b", "c"],
        **more,
    }


def event(n: int, **more: object) -> dict[str, Any]:
    return {
        "action_name": "click_through",
        "query_id": f"uuid-{n}",
        "client_id": f"c{n}",
        "timestamp": AT.format(minute=n + 1),
        "event_attributes": {"object": {"object_id": "b"}, "position": {"ordinal": 2}},
        **more,
    }


def written(path: Path, *contents: object) -> Path:
    lines = (one if isinstance(one, str) else json.dumps(one) for one in contents)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


async def ledger(redis: Redis, settings: Settings) -> list[LedgerRow]:
    return [
        row
        for partition in range(settings.redis.partitions)
        async for row in newest_rows(redis, settings.keys, partition, range(DAY - 2, DAY + 3))
    ]


async def test_a_ubi_log_becomes_pages_and_clicks_that_nobody_shaped(
    redis: Redis, settings: Settings, tmp_path: Path
) -> None:
    queries = written(
        tmp_path / "q.ndjson",
        query(1),
        {"_id": "x", "_source": query(2, query_response_hit_ids=["c", "c", "b", "a"])},
        {name: one for name, one in query(3).items() if name != "query_response_hit_ids"},
    )
    events = written(
        tmp_path / "e.ndjson",
        event(1),
        event(2),
        event(3),
        event(4, user_query="Lamp"),
        event(5, action_name="hover"),
    )
    log = UbiReader(settings, size=2).read(queries, events)
    assert (len(log.records), log.bad, log.ignored) == (6, [], 1)
    await Player(redis, settings.keys, settings.feedback).play(log.records, "log")
    rows = await ledger(redis, settings)
    pages = {row.query: row.object_ids for row in rows if row.kind == "page"}
    clicks = {row.query: (row.object_ids, row.rank) for row in rows if row.kind == "action"}
    assert pages == {"couch 1": ("a", "b"), "couch 2": ("c", "b")}
    assert clicks == {
        "couch 1": (("b",), 2),
        "couch 2": (("b",), 2),
        "couch 3": (("b",), 0),
        "lamp": (("b",), 0),
    }
    assert {row.arm for row in rows} == {Arm.LOG}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", "no JSON"),
        ([], "valid dictionary"),
        (query(9, user_query=" "), "user_query: is empty"),
        (query(9, user_query="x" * 513), "more than 512"),
        (query(9, query_id=""), "query_id: missing"),
        (query(9, client_id=""), "client_id: missing"),
        (query(9, timestamp="soon"), "timestamp: must be ISO 8601"),
        (query(9, timestamp="1970-01-01T00:00:00Z"), "timestamp: lies before 1990"),
    ],
)
def test_a_query_of_a_log_that_cannot_be_used_is_named(
    settings: Settings, tmp_path: Path, bad: object, why: str
) -> None:
    log = UbiReader(settings, size=10).read(written(tmp_path / "q.ndjson", query(1), bad), None)
    ((file, line, reason),) = [(one.file, one.line, one.reason) for one in log.bad]
    assert (file, line, len(log.records)) == ("q.ndjson", 2, 1)
    assert why in reason


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"query_id": "unknown"}, "names no query of the log"),
        ({"event_attributes": {"position": {"ordinal": 1}}}, "object_id: missing"),
        ({"event_attributes": {"position": {"ordinal": 0}}}, "counts from 1"),
        ({"timestamp": None}, "timestamp: missing"),
        ({"query_id": "unknown", "user_query": "lamp", "client_id": ""}, "client_id: missing"),
    ],
)
def test_an_event_of_a_log_that_cannot_be_used_is_named(
    settings: Settings, tmp_path: Path, change: dict[str, object], why: str
) -> None:
    queries = written(tmp_path / "q.ndjson", query(1))
    log = UbiReader(settings, size=10).read(queries, written(tmp_path / "e.ndjson", event(1, **change)))
    assert [one.line for one in log.bad] == [1]
    assert why in log.bad[0].reason


async def test_a_log_whose_import_was_killed_goes_on_and_counts_nothing_twice(
    redis: Redis, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "BATCH", 4)
    queries = written(tmp_path / "q.ndjson", *map(query, range(1, 11)))
    events = written(tmp_path / "e.ndjson", *map(event, range(1, 11)))
    records = UbiReader(settings, size=10).read(queries, events).records
    player = Player(redis, settings.keys, settings.feedback)
    for place in (4, 12):

        def end(n: int, place: int = place) -> None:
            if n >= place:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await player.play(records, "log", end)
    await redis.hset(settings.keys.imported(), "log", 8)  # the last batch was applied, its place not kept
    assert await player.play(records, "log") == (8, 12)
    assert await player.play(records, "log") == (20, 0)
    rows = await ledger(redis, settings)
    assert sorted(row.kind for row in rows) == ["action"] * 10 + ["page"] * 10


async def test_what_gateways_write_while_a_log_is_played_waits_for_the_collectors(
    redis: Redis, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "BATCH", 1)
    keys, now_ms = settings.keys, DAY * 86_400_000 + 30 * 86_400_000
    writer = StreamWriter(redis, keys, settings.feedback)
    player = Player(redis, keys, settings.feedback)
    pages = [
        Impression(
            query_id=keys.new_query_id("lamp"), tenant=keys.tenant, user_query="lamp", client_id=name,
            shown_at_ms=now_ms, arm=Arm.STABLE, rung=Rung.RAW, source="raw", object_ids=("a",),
        )
        for name in ("ann", "bob")
    ]  # fmt: skip
    click = Event(
        event_id="e", query_id=pages[0].query_id, tenant=keys.tenant, client_id="ann", object_id="a",
        action_name=Action.CLICK, occurred_at_ms=now_ms,
    )  # fmt: skip
    await writer.add_impressions(pages[:1])
    step = Collector.step

    async def and_a_gateway_writes(self: Collector) -> int:
        if pages[1:]:
            await writer.add_impressions([pages.pop()])
            await writer.add_event(click)
        return await step(self)

    records = (
        UbiReader(settings, size=10).read(written(tmp_path / "q.ndjson", query(1), query(2)), None).records
    )
    with monkeypatch.context() as patch:
        patch.setattr(Collector, "step", and_a_gateway_writes)
        assert await player.play(records, "log") == (0, 2)
    assert [row.query for row in await ledger(redis, settings)] == ["couch 1", "couch 2"]
    live = Collector(redis, keys, settings.feedback, lambda: now_ms)
    while await live.step():
        pass
    await live.release()
    counts = await read_counts(redis, keys)
    assert (counts.of("impressions"), counts.of("clicks"), dict(counts.dropped)) == (4, 1, {})
    left = [key async for key in redis.scan_iter(f"unseen:{{{keys.tenant}*importing:*")]
    assert left == []


async def test_what_another_collector_kept_from_being_read_is_played_by_the_next_run(
    redis: Redis, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(redis, settings.keys.collector_lease(settings.keys.partition_of("couch 1")), ttl_s=60)
    records = UbiReader(settings, size=10).read(written(tmp_path / "q.ndjson", query(1)), None).records
    player = Player(redis, settings.keys, settings.feedback)

    async def takes_one(self: Player) -> None:
        await lease.hold()

    with monkeypatch.context() as patch:
        patch.setattr(Player, "_alone", takes_one)  # after the look for others
        with pytest.raises(Permanent, match="a collector took partitions"):
            await player.play(records, "log")
    await lease.release()
    assert await player.play(records, "log") == (0, 1)
    assert [row.query for row in await ledger(redis, settings)] == ["couch 1"]


async def test_no_log_is_played_beside_a_collector_that_runs(redis: Redis, settings: Settings) -> None:
    lease = Lease(redis, settings.keys.collector_lease(1), ttl_s=60)
    assert await lease.hold()
    with pytest.raises(Permanent, match="a collector runs"):
        await Player(redis, settings.keys, settings.feedback).play([], "log")


async def test_the_command_plays_a_click_log_once(
    redis: Redis, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "clicks.tsv"
    log.write_text("u1\tRed Sofa\tA\t2013-10-22 03:59:04\t2013-10-22 04:00:17\nu1\tbroken\n")
    variables = {
        "TENANT": settings.tenant,
        "REDIS__STATE_URL": settings.redis.state_url,
        "REDIS__PARTITIONS": "2",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"UNSEEN_{name}", value)
    for played, before in ((1, 0), (0, 1)):
        said = await asyncio.to_thread(CliRunner().invoke, app, ["import", "clicks", str(log), "--json"])
        assert said.exit_code == 0, said.output
        told = json.loads(said.stdout.splitlines()[-1])  # the tests' logs go there too
        assert told == {"records": 1, "before": before, "played": played, "bad": 1}
        assert "clicks.tsv, line 2: 2 columns instead of 5" in said.stderr
    (row,) = await ledger(redis, settings)
    assert (row.query, row.object_ids, row.arm) == ("red sofa", ("A",), Arm.LOG)
