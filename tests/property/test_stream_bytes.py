"""Whatever bytes lie in a stream, the collector goes on and what is good beside them counts. Real Redis."""

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.delivery.streams import FIELD, StreamWriter
from feedback.evidence.reading import EvidenceReader
from feedback.keys import Keys
from feedback.link_records import Place, Sold
from feedback.records import Action, Arm, Choice, Draw, Event, Impression, Refinement, Rewrite, Rung
from feedback.settings import FeedbackSettings
from feedback.stores import connect, forget

NOW_MS = 1_700_000_000_000
SETTINGS = FeedbackSettings(min_clients=1, lease_s=30)
KINDS = ("impressions", "events", "refinements", "links")
EVIL = (
    "null", "true", "-1", "0.5", "1e999", "-1e999", "NaN", "Infinity", "1" + "0" * 400, "-1" + "0" * 400,
    str(2**63), str(2**64), str(-(2**63) - 1), '""', '"\\ud800"', '"\\u0000"', '"|"', '"a|b|c"', "{}", "[]",
    '[""]', "[null]", '{"a":1}', '"' + "x" * 5000 + '"', "[" * 3000 + "]" * 3000, '"\x7f"',
    '["a","a"]', '["\\udfff"]', '[{"text":""}]', '"click"', '"purchase"', '"explore"', '"2023-11-14"',
)  # fmt: skip
"""JSON, or what some take for it, in place of a field's value."""


def whole(kind: str, keys: Keys) -> Mapping[str, Any]:
    """Return a record of a kind with every field set, as JSON has it."""
    rewrite = Rewrite(text="sofa", token_ids=(1, 2), token_logprobs=(-0.5, -0.25), version=3)
    place = Place("00-base", "all", "couch", Arm.STABLE, 0, NOW_MS, 1, 3, 4, rewritten=True, unshaped=False)
    choice = Choice(text="sofa", token_ids=(1, 2), logprob=-0.75, version=3, probability=1.0, page=1)
    made: dict[str, msgspec.Struct] = {
        "impressions": Impression(
            query_id="00-base", tenant=keys.tenant, user_query="couch", client_id="bob", session_id="t",
            shown_at_ms=NOW_MS, arm=Arm.EXPLORE, rung=Rung.POLICY, source="pool", rewrite=rewrite,
            object_ids=("A", "B"), raw_object_ids=("B", "A"), teams=("raw", "rewrite"), chance=0.5,
            draw=Draw(choices=(choice,), taken=0, object_ids=("A",)),
        ),
        "events": Event(
            event_id="base", query_id="00-base", tenant=keys.tenant, client_id="bob", session_id="t",
            action_name=Action.PURCHASE, object_id="A", ordinal=1, occurred_at_ms=NOW_MS, value_minor=100,
        ),
        "refinements": Refinement(
            refinement_id="base", tenant=keys.tenant, user_query="couch", refined_query="sofa",
            client_id="bob", occurred_at_ms=NOW_MS, arm=Arm.STABLE, shown=("A",), object_id="A",
        ),
        "links": Sold(
            schema=2, tenant=keys.tenant, client="b", object_id="A", query_id="00-base", rev=NOW_MS,
            event_id="base", at_ms=NOW_MS, value_minor=100, rule="query_id", place=place,
            tallies={"query_id": 1},
        ),
    }  # fmt: skip
    return dict(msgspec.to_builtins(made[kind]))


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a kind of stream and bytes for it, most of them nearly right."""
    kind = draw(st.sampled_from(KINDS))
    how = draw(st.sampled_from(["noise", "value", "value", "value", "cut", "flip", "deep", "other"]))
    if how == "noise":
        return kind, draw(st.binary(max_size=60))
    if how == "deep":
        return kind, draw(st.sampled_from([b"[", b'{"a":', b'{"rewrite":'])) * draw(st.integers(1, 50_000))
    return kind, _spoilt_record(draw, draw(st.sampled_from(KINDS)) if how == "other" else kind, how)


def _spoilt_record(draw: st.DrawFn, of: str, how: str) -> bytes:
    record = dict(whole(of, Keys(tenant="TENANT", partitions=1)))
    name = draw(st.sampled_from(sorted(record)))
    unique = draw(st.uuids()).hex  # so that it is no repetition of another
    for key in ("event_id", "refinement_id", "query_id"):
        if key in record and draw(st.booleans()):
            record[key] = f"00-{unique}"
    written = json.dumps(record)
    if how == "value":
        old = json.dumps(record[name])
        written = written.replace(f'"{name}": {old}', f'"{name}": {draw(st.sampled_from(EVIL))}')
    stored = bytearray(written, "utf-8")
    if how == "cut":
        del stored[draw(st.integers(0, len(stored) - 1)) :]
    if how == "flip":
        for at in draw(st.lists(st.integers(0, len(stored) - 1), min_size=1, max_size=4)):
            stored[at] ^= draw(st.integers(1, 255))
    return bytes(stored)


async def play(url: str, entries: list[tuple[str, bytes]]) -> None:
    redis, keys = connect(url, 5.0), Keys(tenant=f"t{uuid.uuid4().hex[:10]}", partitions=1)
    try:
        streams = {"impressions": keys.impressions(0), "events": keys.events(0)}
        streams |= {"refinements": keys.refinements(0), "links": keys.links(0)}
        half = len(entries) // 2
        for kind, stored in entries[:half]:
            await redis.xadd(streams[kind], {FIELD: stored.replace(b"TENANT", keys.tenant.encode())})
        await show_and_click(redis, keys)
        for kind, stored in entries[half:]:
            await redis.xadd(streams[kind], {FIELD: stored.replace(b"TENANT", keys.tenant.encode())})
        await collected(redis, keys, len(entries))
    finally:
        await forget(redis, keys.tenant)
        await redis.aclose()


async def show_and_click(redis: Redis, keys: Keys) -> None:
    writer, query_id = StreamWriter(redis, keys, SETTINGS), keys.new_query_id("good query")
    await writer.add_impressions(
        [
            Impression(
                query_id=query_id, tenant=keys.tenant, user_query="good query", client_id="ann",
                shown_at_ms=NOW_MS, arm=Arm.STABLE, rung=Rung.RAW, source="raw", object_ids=("good",),
            )
        ]
    )  # fmt: skip
    await writer.add_event(
        Event(
            event_id="good", query_id=query_id, tenant=keys.tenant, client_id="ann", object_id="good",
            action_name=Action.CLICK, occurred_at_ms=NOW_MS,
        )
    )  # fmt: skip


async def collected(redis: Redis, keys: Keys, spoilt_ones: int) -> None:
    """Collect all, a day later once more, and look whether everything has its place."""
    clock = ManualClock(NOW_MS)
    collector = Collector(redis, keys, SETTINGS, clock)
    applied = 0
    for _ in range(3):
        while n := await collector.step():
            applied += n
        clock.advance(SETTINGS.join_window_s + 1)
    await collector.release()
    assert applied >= spoilt_ones + 2  # refinements that it found itself come to it too
    for stream in (keys.impressions(0), keys.events(0), keys.refinements(0), keys.links(0)):
        assert await redis.xlen(stream) == 0
    counts = await read_counts(redis, keys)
    assert await redis.xlen(keys.dead(0)) == counts.dropped["unreadable"]
    reader = EvidenceReader(redis, keys, SETTINGS, ManualClock(NOW_MS))
    (evidence,) = await reader.read(["good query"])
    assert evidence.merged()["good"].clicks == pytest.approx(1.0)
    assert evidence.merged()["good"].impressions == pytest.approx(1.0)


@pytest.mark.timeout(240)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(entries=st.lists(spoilt(), min_size=1, max_size=12))
def test_the_collector_goes_on_over_any_bytes_and_good_ones_beside_them_count(
    redis_url: str, entries: list[tuple[str, bytes]]
) -> None:
    asyncio.run(play(redis_url, entries))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", KINDS)
def test_every_field_takes_every_evil_value(redis_url: str, kind: str) -> None:
    record = whole(kind, Keys(tenant="TENANT", partitions=1))
    entries = []
    for name, value in record.items():
        for i, evil in enumerate(EVIL):
            unique = {
                key: f"00-{name}-{i}" for key in ("event_id", "refinement_id", "query_id") if key in record
            }
            written = json.dumps({**record, **unique})
            old = json.dumps(unique.get(name, value))
            entries.append((kind, written.replace(f'"{name}": {old}', f'"{name}": {evil}').encode()))
    asyncio.run(play(redis_url, entries))
