"""The ledger in UBI's indices: each page and action once, however often and from wherever it is exported."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from typer.testing import CliRunner
from typing_extensions import override

from agent.cli import app
from agent.errors import SearchFailed
from agent.exchange.exporting import Exporter
from agent.retrieval.ubi_indices import UbiIndices, Written
from agent.sections import OpenSearchSettings
from agent.serve.ubi.models import StrictEvent, StrictQuery
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import StreamWriter
from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, Rewrite, Rung
from feedback.settings import FeedbackSettings, GuardSettings
from feedback.stores import connect
from feedback.text import digest

SETTINGS = FeedbackSettings(min_clients=1, guard=GuardSettings(enabled=False))
pytestmark = pytest.mark.timeout(300)  # the first test starts the engine


@dataclass(kw_only=True)
class Shop:
    """A tenant's streams and indices."""

    redis: Redis
    redis_url: str
    keys: Keys
    url: str
    collector: Collector

    async def visit(self, n: int) -> str:
        """Show a page of the explore arm and click on its second object; return the query_id."""
        query_id, now_ms = self.keys.new_query_id(f"couch {n}"), wall_clock()
        shown = Impression(
            query_id=query_id,
            tenant=self.keys.tenant,
            user_query=f"Couch {n}",
            client_id="shopper",
            shown_at_ms=now_ms,
            arm=Arm.EXPLORE,
            rung=Rung.POLICY,
            source="explore",
            rewrite=Rewrite(text="sofa", version=7),
            object_ids=("a", "b"),
            chance=0.25,
        )
        click = Event(
            event_id=f"e-{n}",
            query_id=query_id,
            tenant=self.keys.tenant,
            client_id="shopper",
            action_name=Action.CLICK,
            object_id="b",
            ordinal=2,
            occurred_at_ms=now_ms,
        )
        writer = StreamWriter(self.redis, self.keys, SETTINGS)
        await writer.add_impressions([shown])
        await writer.add_events([click])
        return query_id

    async def collect(self) -> None:
        while await self.collector.step():
            pass

    @property
    def settings(self) -> OpenSearchSettings:
        return OpenSearchSettings(url=self.url)

    def indices(self) -> UbiIndices:
        tenant = self.keys.tenant
        return UbiIndices(self.settings, queries=f"{tenant}-queries", events=f"{tenant}-events")

    def exporter(self, indices: UbiIndices) -> Exporter:
        return Exporter(self.redis, self.keys, SETTINGS, indices, wall_clock)

    async def found(self, kind: str) -> dict[str, dict[str, Any]]:
        index = f"{self.keys.tenant}-{kind}"
        async with httpx.AsyncClient(base_url=self.url) as http:
            await http.post(f"/{index}/_refresh")
            answer = await http.post(f"/{index}/_search", json={"size": 100})
        return {hit["_id"]: hit["_source"] for hit in answer.json()["hits"]["hits"]}


@pytest_asyncio.fixture
async def shop(redis_url: str, fake_opensearch_url: str, tenant: str) -> AsyncIterator[Shop]:
    redis = connect(redis_url)
    keys = Keys(tenant=tenant, partitions=2)
    collector = Collector(redis, keys, SETTINGS, wall_clock)
    yield Shop(redis=redis, redis_url=redis_url, keys=keys, url=fake_opensearch_url, collector=collector)
    await redis.aclose()


@pytest.mark.parametrize("engine", ["fake_opensearch_url", "opensearch_url"])
async def test_a_page_and_its_click_stand_in_the_indices_as_ubi_has_them(
    engine: str, shop: Shop, request: pytest.FixtureRequest
) -> None:
    shop.url = request.getfixturevalue(engine)
    query_id = await shop.visit(1)
    await shop.collect()
    async with shop.indices() as indices:
        assert await indices.ensure() == (indices.queries, indices.events)
        assert await indices.ensure() == ()
        exporter = shop.exporter(indices)
        await exporter.run()
    assert exporter.done.as_dict() == {
        "queries": 1,
        "events": 1,
        "kept_back": 0,
        "refused": 0,
        "reasons": [],
    }
    query = (await shop.found("queries"))[query_id]
    event = (await shop.found("events"))["e-1"]
    StrictQuery.model_validate(query)
    StrictEvent.model_validate(event)
    assert (query["user_query"], query["query_response_hit_ids"]) == ("couch 1", ["a", "b"])
    assert query["client_id"] == event["client_id"] == digest("shopper")
    told = query["query_attributes"]
    assert (told["arm"], told["version"], told["propensity"]) == ("explore", 7, 0.25)
    attributes = event["event_attributes"]
    assert (event["action_name"], event["query_id"]) == ("click", query_id)
    assert (attributes["object"]["object_id"], attributes["position"]) == ("b", {"ordinal": 2})
    assert (attributes["arm"], attributes["version"]) == ("explore", 7)


async def test_an_export_goes_on_where_the_last_one_ended_and_anew_writes_nothing_twice(shop: Shop) -> None:
    await shop.visit(1)
    await shop.collect()
    async with shop.indices() as indices:
        assert await shop.exporter(indices).run() == 2
        for n in range(2, 6):
            await shop.visit(n)
        await shop.collect()
        assert await shop.exporter(indices).run() == 8
        assert await shop.exporter(indices).run() == 0
        anew = shop.exporter(indices)
        await anew.begin_anew()
        assert await anew.run() == 10
    assert (len(await shop.found("queries")), len(await shop.found("events"))) == (5, 5)


class Failing(UbiIndices):
    """Fails once it has written, before anybody can know."""

    @override
    async def write(self, documents: Any) -> Written:
        await super().write(documents)
        raise SearchFailed("the connection broke")


async def test_what_was_written_by_an_export_that_died_is_written_again_and_stands_once(shop: Shop) -> None:
    await shop.visit(1)
    await shop.collect()
    names = {"queries": f"{shop.keys.tenant}-queries", "events": f"{shop.keys.tenant}-events"}
    async with Failing(shop.settings, **names) as failing:
        with pytest.raises(SearchFailed):
            await shop.exporter(failing).run()
    async with shop.indices() as indices:
        assert await shop.exporter(indices).run() == 2
    assert (len(await shop.found("queries")), len(await shop.found("events"))) == (1, 1)


async def test_queries_that_few_have_asked_stay(shop: Shop) -> None:
    await shop.visit(1)
    await shop.visit(2)
    await shop.collect()
    few = SETTINGS.model_copy(update={"min_clients": 2})
    async with shop.indices() as indices:
        exporter = Exporter(shop.redis, shop.keys, few, indices, wall_clock)
        await exporter.run()
    assert (exporter.done.queries, exporter.done.events, exporter.done.kept_back) == (0, 0, 4)


async def test_the_command_says_what_it_exported(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.visit(1)
    await shop.collect()
    variables = {
        "TENANT": shop.keys.tenant,
        "REDIS__STATE_URL": shop.redis_url,
        "REDIS__PARTITIONS": "2",
        "OPENSEARCH__URL": shop.url,
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"UNSEEN_{name}", value)
    run: Callable[..., Any] = CliRunner().invoke
    names = ["--queries", f"{shop.keys.tenant}-queries", "--events", f"{shop.keys.tenant}-events"]
    said = await asyncio.to_thread(run, app, ["export", "ubi", *names, "--json"])
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)
    assert (told["queries"], told["events"], len(told["templates"])) == (1, 1, 2)
