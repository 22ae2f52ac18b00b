"""The gateway on real Redis and a search engine: what is written, and what goes on while Redis is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from opensearchpy import AIOHttpConnection
from prometheus_client import REGISTRY, generate_latest
from serve_fakes import SECRET, FakeRewriter, verdict

from agent.retrieval.catalogue import Catalogue
from agent.serve.assemble import assemble
from agent.serve.cache import RewriteCache
from agent.serve.gateway import Parts, make_app
from agent.serve.replica import RewriterReplica
from agent.settings import Settings
from feedback import vitals
from feedback.clock import wall_clock
from feedback.delivery.streams import FIELD
from feedback.records import CachedRewrite, Event, Impression, Rewrite
from feedback.stores import connect
from feedback.version_records import Standing, Trial

PRODUCTS = [
    '{"id": "couch-1", "title": "Couch cover"}',
    '{"id": "sofa-1", "title": "Sofa"}',
    '{"id": "sofa-2", "title": "Sofa table"}',
]


def settings_for(redis: str, opensearch: str, tenant: str, **serve: Any) -> Settings:  # noqa: ANN401
    shares = {"holdback_share": 0, "explore_share": 0, "raw_share": 0, "poll_s": 0.02, "deadline_s": 2}
    return Settings.model_validate(
        {
            "tenant": tenant,
            "access": {"secret": SECRET},
            "redis": {"state_url": redis, "partitions": 2, "timeout_s": 1},
            "opensearch": {"url": opensearch, "index": tenant},
            "policy": {"model": "tiny"},
            "serve": {**shares, **serve},
        }
    )


@asynccontextmanager
async def gateway(settings: Settings, rewriter: Any = None) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ANN401
    parts = assemble(settings, rewriter or FakeRewriter(), url="http://here")
    async with open_gateway(parts) as http:
        yield http


@asynccontextmanager
async def open_gateway(parts: Parts) -> AsyncIterator[httpx.AsyncClient]:
    async with Catalogue(parts.settings.opensearch) as catalogue:
        if await catalogue.create_index():
            await catalogue.load(PRODUCTS)
    app = make_app(parts)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        yield http


@pytest.fixture
def settings(redis_url: str, fake_opensearch_url: str, tenant: str) -> Settings:
    return settings_for(redis_url, fake_opensearch_url, tenant)


async def search(http: httpx.AsyncClient, query: str, **more: object) -> dict[str, Any]:
    answer = await http.post("/search", json={"user_query": query, "client_id": "c", **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def entries(settings: Settings, stream: Callable[[int], str], kind: type) -> list[Any]:
    redis = connect(settings.redis.state_url)
    found: list[Any] = []
    for partition in range(settings.redis.partitions):
        rows: Any = await redis.xrange(stream(partition))
        found += [msgspec.json.decode(fields[FIELD.encode()], type=kind) for _, fields in rows]
    await redis.aclose()
    return found


async def store_verdict(settings: Settings, query: str, text: str, seq: int) -> None:
    redis, keys = connect(settings.redis.state_url), settings.keys
    name = f"all|{query}"
    written = verdict(query, text, seq=seq, fingerprint="")
    stored: Any = redis.hset(keys.verified(), name, msgspec.json.encode(written))
    await stored
    await redis.zadd(keys.verified_order(), {name: seq})
    await redis.aclose()


@pytest.mark.timeout(300)  # the first one starts the engine
@pytest.mark.parametrize("engine", ["fake_opensearch_url", "opensearch_url"])
async def test_a_search_and_its_click_arrive_in_the_streams_of_one_partition(
    engine: str, redis_url: str, tenant: str, request: pytest.FixtureRequest
) -> None:
    settings = settings_for(redis_url, request.getfixturevalue(engine), tenant)
    async with gateway(settings) as http:
        page = await search(http, "couch", session_id="s")
        assert (page["source"], page["searched"]) == ("model", "couch sofa")
        assert {hit["object_id"] for hit in page["hits"]} == {"couch-1", "sofa-1", "sofa-2"}
        click = {
            "action_name": "click",
            "query_id": page["query_id"],
            "client_id": "c",
            "timestamp": wall_clock(),
            "event_attributes": {"object": {"object_id": "sofa-1"}, "position": {"ordinal": 2}},
        }
        answer = await http.post("/events", json=click)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
        (event,) = await entries(settings, settings.keys.events, Event)
        assert (event.object_id, event.ordinal, event.query_id) == ("sofa-1", 2, page["query_id"])
    (shown,) = await entries(settings, settings.keys.impressions, Impression)
    assert shown.query_id == event.query_id
    assert shown.object_ids == tuple(hit["object_id"] for hit in page["hits"])
    assert shown.raw_object_ids == ("couch-1",)


async def test_a_verdict_is_served_soon_after_it_was_written_or_withdrawn(
    settings: Settings,
) -> None:
    async with gateway(settings, FakeRewriter(text="")) as http, asyncio.timeout(10):
        assert (await search(http, "couch"))["source"] == "raw:silent"
        await store_verdict(settings, "couch", "table", seq=1)
        while (await search(http, "couch"))["source"] != "verified":
            await asyncio.sleep(0.01)
        await store_verdict(settings, "couch", "", seq=2)
        while (await search(http, "couch"))["source"] != "raw:silent":
            await asyncio.sleep(0.01)


async def test_a_late_rewrite_of_the_real_rewriter_fills_the_cache(
    redis_url: str, fake_opensearch_url: str, tenant: str
) -> None:
    settings = settings_for(redis_url, fake_opensearch_url, tenant, deadline_s=0.001, pool_samples=2)
    replica = RewriterReplica(settings)
    replica.start()
    redis = connect(redis_url)
    cache = RewriteCache(redis, settings.keys, ttl_s=60)
    async with gateway(settings, replica) as http, asyncio.timeout(20):
        assert (await search(http, "green couch"))["source"] == "raw:deadline"
        while (cached := await cache.get("green couch")) is None:
            await asyncio.sleep(0.01)
        assert cached.rewrite.token_logprobs
        while len((await cache.pool("green couch")).samples) != 2:
            await asyncio.sleep(0.01)
    await replica.stop()
    await redis.aclose()


async def test_without_redis_shoppers_are_served_and_events_are_told_to_come_again(
    fake_opensearch_url: str, tenant: str
) -> None:
    settings = settings_for("redis://127.0.0.1:1/0", fake_opensearch_url, tenant)
    async with gateway(settings) as http:
        page = await search(http, "couch")
        assert (page["source"], page["total"]) == ("model", 3)
        event = {"action_name": "click", "query_id": page["query_id"], "client_id": "c", "object_id": "o"}
        answer = await http.post("/events", json={"events": [event]})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert (await http.get("/readyz")).json()["missing"] == ["redis"]


async def test_without_opensearch_the_error_is_an_honest_one(redis_url: str, tenant: str) -> None:
    settings = settings_for(redis_url, "http://127.0.0.1:1", tenant)
    app = make_app(assemble(settings, FakeRewriter()))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        answer = await http.post("/search", json={"user_query": "couch", "client_id": "c"})
        assert (answer.status_code, answer.json()["error"]) == (503, "search_failed")
        assert (await http.get("/readyz")).json()["missing"] == ["opensearch"]


async def test_an_unreadable_cache_entry_is_a_miss(settings: Settings) -> None:
    redis = connect(settings.redis.state_url)
    cache = RewriteCache(redis, settings.keys, ttl_s=60)
    await cache.put("couch", CachedRewrite(rewrite=Rewrite(text="sofa")))
    (key,) = await redis.keys(f"*{settings.tenant}*")
    assert 0 < await redis.pttl(key) <= 60_000
    assert (await cache.get("couch")) == CachedRewrite(rewrite=Rewrite(text="sofa"))
    await redis.set(key, b"\xc1")
    assert await cache.get("couch") is None
    await redis.aclose()


async def test_what_was_read_is_taken_for_granted_for_a_moment_and_not_past_what_was_written_anew(
    settings: Settings,
) -> None:
    redis = connect(settings.redis.state_url)
    written = RewriteCache(redis, settings.keys, ttl_s=60)
    read = RewriteCache(redis, settings.keys, ttl_s=60, near_s=0.3)
    sofa, settee = (CachedRewrite(rewrite=Rewrite(text=text)) for text in ("sofa", "settee"))
    assert await read.get("couch") is None
    await written.put("couch", sofa)
    assert await read.get("couch") == sofa  # that there was none is not taken for granted
    await written.put("couch", settee)
    assert await read.get("couch") == sofa
    read.forget("couch")
    assert await read.get("couch") == settee
    await written.put("couch", sofa)
    async with asyncio.timeout(5):
        while await read.get("couch") != sofa:
            await asyncio.sleep(0.02)
    await redis.aclose()


async def test_the_gateway_tells_its_figures_and_its_url(settings: Settings) -> None:
    redis = connect(settings.redis.state_url)
    keys = settings.keys
    async with gateway(settings) as http, asyncio.timeout(10):
        await search(http, "couch")
        while not (said := await vitals.read(redis, keys)).number("gateway", "searches"):
            await asyncio.sleep(0.05)
        assert said.of["gateway"]["url"] == "http://here"
        (name,) = said.each["gateway"]
        assert 0 < await redis.ttl(keys.vitals("gateway", name)) <= 15
    assert not (await vitals.read(redis, keys)).of["gateway"]  # it takes them with it
    await redis.aclose()


async def test_what_opensearch_takes_is_no_time_of_the_gateway_s_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform = AIOHttpConnection.perform_request

    async def slow(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        await asyncio.sleep(0.3)
        return await perform(*args, **kwargs)

    def spent(stage: str) -> float:
        return REGISTRY.get_sample_value("unseen_stage_seconds_sum", {"stage": stage}) or 0.0

    async with gateway(settings) as http:
        monkeypatch.setattr(AIOHttpConnection, "perform_request", slow)
        whole, own = spent("whole"), spent("own")
        await search(http, "couch")
        assert spent("whole") - whole >= 0.3
        assert 0 < spent("own") - own < 0.3


async def begin_trial(settings: Settings, share: float) -> None:
    """Let version 1 serve and version 2 be on trial."""
    redis, keys = connect(settings.redis.state_url), settings.keys
    for version in (1, 2):
        stored: Any = redis.hset(
            keys.standings(), str(version), msgspec.json.encode(Standing(version=version))
        )
        await stored
    trial = Trial(version=2, stable=1, share=share, began_at_ms=0)
    await redis.mset({keys.stable(): 1, keys.trial(): msgspec.json.encode(trial)})
    await redis.aclose()


async def test_what_shoppers_search_is_told_to_the_background_budget(settings: Settings) -> None:
    redis: Any = connect(settings.redis.state_url)
    async with gateway(settings) as http, asyncio.timeout(10):
        await search(http, "couch")
        await search(http, "couch", purpose="evaluation")
        await http.post("/rewrite", json={"user_query": "couch", "client_id": "c"})
        while not (slots := await redis.hgetall(settings.keys.live())):
            await asyncio.sleep(0.05)
        text = generate_latest().decode()  # what the admin port shows
    assert sum(map(int, slots.values())) == 2  # no shopper's: the evaluation
    assert "unseen_live_searches_per_second" in text
    assert "unseen_background_budget_per_second 2.0" in text
    await redis.aclose()


COUNTS = {"asked": 4, "live": 4, "failed": 1, "late": 1}


@pytest.mark.parametrize(("share", "arm"), [(0.0, "stable"), (1.0, "canary")])
async def test_a_trial_s_answers_are_counted_by_arm_and_what_became_of_them(
    settings: Settings, share: float, arm: str
) -> None:
    await begin_trial(settings, share)
    rewriter = FakeRewriter(version=1)
    redis: Any = connect(settings.redis.state_url)
    key = settings.keys.served(2)
    parts = assemble(settings, rewriter)
    async with open_gateway(parts) as http, asyncio.timeout(10):
        while parts.known.on_trial is None:
            await asyncio.sleep(0.01)
        page = await search(http, "couch")
        assert (page["arm"], page["version"], page["source"]) == (arm, 2 if arm == "canary" else 1, "model")
        while not await redis.exists(key):
            await asyncio.sleep(0.05)
        rewriter.text = ""
        await search(http, "garden hose")
        rewriter.fails = True
        await search(http, "sofa")
        rewriter.hold.clear()
        await search(http, "table", deadline_s=0.05)
        await search(http, "table", purpose="evaluation", deadline_s=0.05)
    counts = {name.decode(): int(n) for name, n in (await redis.hgetall(key)).items()}
    assert counts == {f"{arm}|{what}": n for what, n in COUNTS.items()}
    assert 86_400 < await redis.ttl(key) <= 2 * 86_400
    await redis.aclose()
