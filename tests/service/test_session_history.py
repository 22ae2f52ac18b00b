"""From a session's searches to the prompt of its next one, to what the learner draws, and out again."""

from collections.abc import AsyncIterator

import httpx
import pytest
from redis.asyncio import Redis
from serve_fakes import SECRET, FakeRewriter
from stored_traces import places_of

from agent.serve.assemble import assemble
from agent.serve.cache import RewriteCache
from agent.serve.gateway import Parts
from agent.settings import Settings
from feedback.access import Signer
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.erasing import Eraser
from feedback.evidence.preceding import HistoryReader, Preceded
from feedback.evidence.reading import EvidenceReader
from feedback.records import CachedRewrite, Earlier, Rewrite
from feedback.stores import connect, forget
from tests.service.test_gateway_stores import open_gateway, search, settings_for

COUCH = (Earlier("couch"),)


@pytest.fixture
def settings(
    redis_url: str, fake_opensearch_url: str, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    monkeypatch.setenv("UNSEEN_FEEDBACK__MIN_CLIENTS", "2")
    plain = settings_for(redis_url, fake_opensearch_url, tenant)
    tree = plain.model_dump() | {"policy": {"model": "tiny", "history": 3}, "access": {"secret": SECRET}}
    return Settings.model_validate(tree | {"feedback": {"block_s": 0.01}})


class Shop:
    """A gateway beside a collector, which takes in what was shown when it is told to."""

    def __init__(self, settings: Settings, redis: Redis, parts: Parts, rewriter: FakeRewriter) -> None:
        self.rewriter = rewriter
        self.settings = settings
        self.redis = redis
        self.parts = parts
        self.collector = Collector(redis, settings.keys, settings.feedback, wall_clock)

    async def collect(self) -> None:
        while len(self.parts.impressions):
            await self.parts.impressions.flush()
        while await self.collector.step():
            pass

    async def preceded(self, query: str) -> Preceded:
        evidence = EvidenceReader(self.redis, self.settings.keys, self.settings.feedback, wall_clock)
        return await HistoryReader(self.redis, self.settings.keys, evidence).preceded([query])


@pytest.fixture
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    redis, rewriter = connect(settings.redis.state_url, 10.0), FakeRewriter()
    yield Shop(settings, redis, assemble(settings, rewriter), rewriter)
    await forget(redis, settings.tenant)
    await redis.aclose()


async def click(http: httpx.AsyncClient, query_id: str, object_id: str, **who: str) -> None:
    event = {"action_name": "click", "query_id": query_id, "object_id": object_id, **who}
    assert (await http.post("/events", json=event)).status_code == 202


async def session(shop: Shop, http: httpx.AsyncClient, name: str) -> None:
    """Search for a couch in vain and then for a sofa, as a client of the name."""
    for query in ("couch", "sofa"):
        await search(http, query, client_id=name, session_id=f"s-{name}")
        await shop.collect()


async def test_a_session_s_next_search_is_asked_with_what_came_before(shop: Shop) -> None:
    async with open_gateway(shop.parts) as http:
        await session(shop, http, "ann")
        page = await search(http, "cover", client_id="ann", session_id="s-ann")
        await shop.collect()
        await click(http, page["query_id"], page["hits"][0]["object_id"], client_id="ann")
        await shop.collect()
        await search(http, "green couch", client_id="ann", session_id="s-ann")
        await search(http, "green couch", client_id="bob", session_id="s-bob")
    told = [(one.query, one.history) for one in shop.rewriter.asked]
    sofa, cover = Earlier("sofa"), Earlier("cover", clicked=True)
    assert told == [
        ("couch", ()),
        ("sofa", COUCH),
        ("cover", (*COUCH, sofa)),
        ("green couch", (*COUCH, sofa, cover)),
        ("green couch", ()),
    ]


async def test_a_session_that_two_clients_name_is_another_one_for_each(shop: Shop) -> None:
    async with open_gateway(shop.parts) as http:
        await search(http, "divorce lawyer mugs", client_id="ann", session_id="null")
        await search(http, "couch", client_id="bob", session_id="null")
        await shop.collect()
        await search(http, "cup", client_id="bob", session_id="null")
        await search(http, "cup", client_id="cid", session_id="null")
    told = [(one.query, one.history) for one in shop.rewriter.asked]
    assert told[2:] == [("cup", COUCH), ("cup", ())]


async def test_the_learner_hears_of_a_history_once_enough_clients_asked_its_queries(shop: Shop) -> None:
    async with open_gateway(shop.parts) as http:
        await session(shop, http, "ann")
        assert await shop.preceded("sofa") == {}
        await session(shop, http, "bob")
        await search(http, "sofa", client_id="cid")
        await shop.collect()
    found = (await shop.preceded("sofa"))["sofa"]
    assert found[COUCH] == pytest.approx(2.0, rel=1e-3)
    assert found[()] == pytest.approx(1.0, rel=1e-3)
    assert await shop.preceded("couch") == {}


async def test_what_a_session_asked_goes_with_its_client(shop: Shop, settings: Settings) -> None:
    async with open_gateway(shop.parts) as http:
        await session(shop, http, "ann")
        await session(shop, http, "bob")
    await shop.collector.release()
    eraser = Eraser(redis=shop.redis, keys=settings.keys, settings=settings.feedback, clock=wall_clock)
    for name in ("ann", "bob"):
        async with eraser.alone() as lease:
            erased, _ = await eraser.erase(Signer(SECRET, settings.keys).client(name))
            await eraser.finish(lease, by="a test", erased=erased.any)
    assert await shop.preceded("sofa") == {}
    held = await places_of(shop.redis, settings.tenant, ["couch"])
    assert not [key for key in held if "session:" in key or "preceded:" in key or "ledger:" in key]


async def test_words_of_a_history_stand_under_a_key_of_their_own(shop: Shop, settings: Settings) -> None:
    cache = RewriteCache(shop.redis, settings.keys, ttl_s=60, near_s=60)
    plain, told = (CachedRewrite(rewrite=Rewrite(text=text)) for text in ("sofa", "settee"))
    await cache.put("couch", told, history=COUCH)
    assert await cache.get("couch") is None
    await cache.put("couch", plain)
    assert await cache.get("couch") == plain
    assert await cache.get("couch", history=COUCH) == told
    assert await cache.get("couch", history=(Earlier("couch", clicked=True),)) is None
    again = CachedRewrite(rewrite=Rewrite(text="bench"))
    await cache.put("couch", again, history=COUCH)  # nothing near is left of the old words
    assert await cache.get("couch", history=COUCH) == again
