"""A click is followed to the version that a real learner made of it, and a page of that version to it."""

from pathlib import Path

import pytest
from test_learner_orders import Desk
from toy import QUERIES, toy_settings

from agent.evaluate.lineage_telling import Scope, of_event, of_page, of_version, opened
from agent.settings import Settings
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import StreamWriter
from feedback.records import Action, Arm, Event, Impression, Rewrite, Rung

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("default"),  # RLlib warns of its own old names
]
MAT = QUERIES[0]


async def shown_and_clicked(desk: Desk, settings: Settings, event_id: str, *, version: int = 0) -> str:
    """Show a page of a query, click its wanted object, and have both collected; return the page's id."""
    keys, now_ms = settings.keys, wall_clock()
    page = Impression(
        query_id=keys.new_query_id(MAT),
        tenant=settings.tenant,
        user_query=MAT,
        client_id="ann",
        shown_at_ms=now_ms,
        arm=Arm.STABLE,
        rung=Rung.POLICY if version else Rung.RAW,
        source="cache" if version else "raw:unknown",
        rewrite=Rewrite(text="sofa", version=version) if version else None,
        object_ids=(f"{MAT}-0", f"{MAT}-wanted"),
    )
    click = Event(
        event_id=event_id,
        query_id=page.query_id,
        tenant=settings.tenant,
        user_query=MAT,
        client_id="ann",
        action_name=Action.CLICK,
        object_id=f"{MAT}-wanted",
        ordinal=2,
        occurred_at_ms=now_ms,
    )
    writer = StreamWriter(desk.redis, keys, settings.feedback)
    await writer.add_impressions([page])
    await writer.add_event(click)
    collector = Collector(desk.redis, keys, settings.feedback, wall_clock)
    while await collector.step():
        pass
    await collector.release()
    return page.query_id


async def test_an_event_is_followed_to_the_version_and_back(
    tmp_path: Path, tenant: str, redis_url: str
) -> None:
    settings = toy_settings(tmp_path, tenant, redis_url)
    desk = Desk(settings)
    object.__setattr__(desk, "clock", wall_clock)
    await desk.start()
    await shown_and_clicked(desk, settings, "first")
    assert (await desk.made()).version == 1
    served = await shown_and_clicked(desk, settings, "second", version=1)
    assert (await desk.made()).version == 2

    async with opened(settings) as world:
        (row,) = (await of_event(world, event_id="first"))["rows"]
        assert [(one["version"], one["in_window"], one["groups"]) for one in row["taught"]] == [
            (1, True, 2),
            (2, False, 2),
        ]
        (row,) = (await of_event(world, query_id=served, object_id=f"{MAT}-wanted"))["rows"]
        assert [(one["version"], one["in_window"]) for one in row["taught"]] == [(2, True)]

        page = await of_page(world, served, Scope())
        assert [one["event_id"] for one in page["events"]] == ["second"]
        assert page["by"]["source"] == "cache"
        assert [one["event_id"] for one in page["version"]["events"]] == ["first"]
        assert {one["query"] for one in page["version"]["queries"]} == set(QUERIES)

        told = await of_version(world, 2, Scope(chain=True))
        assert [one["event_id"] for one in told["events"]] == ["second", "first"]
        assert (told["parents"], told["steps"]) == ([1], {"in_all": 4, "since_parent": 2, "kept": 2})
        assert told["gone"] == []
    await desk.close()
