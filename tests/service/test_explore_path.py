"""The way of an explore page: gateway, streams, collector, learner, on real Redis and a search engine."""

from pathlib import Path

import httpx
import msgspec
import pytest
from serve_fakes import SECRET, FakeRewriter

from agent.learner.explored import DirectSource
from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION, Prompt
from agent.retrieval.catalogue import Catalogue
from agent.scoring.explored import read_explored
from agent.sections import LearnerSettings
from agent.serve.assemble import assemble
from agent.serve.cache import RewriteCache
from agent.serve.gateway import make_app
from agent.settings import Settings
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.evidence.clusters import Clusters
from feedback.records import Band, SamplePool
from feedback.stores import connect

PRODUCTS = [f'{{"id": "couch-{i}", "title": "Couch cover {i}"}}' for i in range(5)]


def settings_for(redis_url: str, opensearch_url: str, tenant: str, folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "tenant": tenant,
            "access": {"secret": SECRET},
            "data_dir": str(folder),
            "redis": {"state_url": redis_url, "partitions": 1},
            "feedback": {"click_window_s": 0.01},
            "opensearch": {"url": opensearch_url, "index": tenant},
            "policy": {"model": "tiny", "lora_layers": 2},
            "serve": {"holdback_share": 0, "explore_share": 0.999, "deadline_s": 2},
        }
    )


@pytest.mark.usefixtures("every_search_explores")
async def test_a_page_that_explored_and_its_click_come_to_the_learner(
    redis_url: str, fake_opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    settings = settings_for(redis_url, fake_opensearch_url, tenant, tmp_path)
    policy, redis = Policy.load(settings.policy), connect(redis_url)
    (sample,) = policy.sample([Prompt(query="couch")], n=1, seed=0)[0]
    drawn = msgspec.structs.replace(
        sample, text=f"{sample.text} sofa"
    )  # finds something, unlike the tiny model
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load([*PRODUCTS, *(f'{{"id": "sofa-{i}", "title": "Sofa {i}"}}' for i in range(5))])
    pool = SamplePool(samples=(drawn,), base_model=policy.base_model, prompt_version=PROMPT_VERSION)
    await RewriteCache(redis, settings.keys, ttl_s=60).put_pool("couch", pool)
    collector = Collector(redis, settings.keys, settings.feedback, wall_clock)
    await collector.step()

    app = make_app(assemble(settings, FakeRewriter()))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway") as http,
    ):
        page = (await http.post("/search", json={"user_query": "Couch", "client_id": "c"})).json()
        shown = [hit["object_id"] for hit in page["hits"]]
        sofa = next(object_id for object_id in shown if object_id.startswith("sofa"))
        click = {"action_name": "click", "query_id": page["query_id"], "client_id": "c", "object_id": sofa}
        answer = await http.post("/events", json={"events": [{**click, "ordinal": shown.index(sofa) + 1}]})
        assert answer.status_code == 202, answer.text
    while not (records := await read_explored(redis, settings.keys)):
        await collector.step()
    (record,) = records
    assert (page["arm"], page["source"]) == ("explore", "explore")
    assert (record.interleaved, record.clicks, record.band) == (True, 1, Band.TAIL)
    assert record.preference == 0.5  # the raw list has no sofa, and nothing else in its place
    assert [choice.page for choice in record.draw.choices] == [1]
    source = DirectSource(
        redis, settings.keys, LearnerSettings(), wall_clock, policy=policy, clusters=Clusters(0.0)
    )
    await source.restore({})
    assert await source.take(5) == [record]
    await redis.aclose()
