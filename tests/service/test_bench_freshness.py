"""From when a click is timed: from its receipt, whatever becomes of the stream."""

import asyncio
import warnings

import msgspec
from made_versions import MANIFEST

from feedback.clock import wall_clock
from feedback.delivery.streams import StreamWriter
from feedback.keys import Keys
from feedback.records import Action, Event
from feedback.settings import FeedbackSettings
from feedback.stores import connect
from tests.bench.receipts import receipts

with warnings.catch_warnings(action="ignore"):  # other people's, where Ray Serve is imported
    from tests.bench.freshness import Click, Run, report


async def test_receipts_outlive_the_streams_and_a_second_copy_changes_none(
    redis_url: str, tenant: str
) -> None:
    keys = Keys(tenant=tenant, partitions=2)
    async with connect(redis_url) as redis, asyncio.timeout(10):
        writer = StreamWriter(redis, keys, FeedbackSettings())
        began_ms = wall_clock()
        async with receipts(redis, keys) as received:
            first: list[int] = []
            for query in ("couch", "sofa", "couch", "table"):
                page = keys.new_query_id(query)
                await writer.add_event(
                    Event(
                        event_id=query,
                        query_id=page,
                        client_id="c",
                        action_name=Action.CLICK,
                        object_id="o",
                        occurred_at_ms=5,
                    )
                )
                while query not in received:
                    await asyncio.sleep(0.01)
                first.append(received["couch"])
            for partition in range(keys.partitions):
                await redis.delete(keys.events(partition))
        assert received.keys() == {"couch", "sofa", "table"}
        assert set(first) == {received["couch"]}
        assert all(began_ms <= at_ms <= wall_clock() for at_ms in received.values())


def test_times_run_from_the_receipt_and_a_click_that_was_not_heard_has_none() -> None:
    run = Run(
        versions=[msgspec.structs.replace(MANIFEST, made_at_ms=21_000)],
        pages=[(31_000, 1)],
        updates={12_000: (0, 1)},
    )
    run.clicks = [
        Click(query="couch", received_ms=11_000, counted_ms=11_500),
        Click(query="couch", received_ms=None, counted_ms=11_600),
    ]
    run.began_ms["couch"] = [12_000]
    told = report(run, {})
    assert told["click_to_version_s"] == {"median": 10.0, "p90": 10.0, "p99": 10.0, "clicks": 1}
    assert told["click_to_page_s"]["median"] == 20.0
    assert (told["clicks"], told["unheard"], told["taught_share"]) == (2, 1, 1.0)
