"""Words for frequent queries before anybody searches for them: a gateway and a rewriter on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client import REGISTRY
from serve_fakes import FakePolicy, verdict
from typing_extensions import override

from agent.policy.prompt import Prompt
from agent.retrieval.templates import Templates
from agent.serve import filling
from agent.serve.asking import LiveRewrites
from agent.serve.assemble import assemble
from agent.serve.cache import RewriteCache
from agent.serve.filling import Filler
from agent.serve.known import Known
from agent.serve.lender import Lender
from agent.serve.rewriter import Rewriter
from agent.serve.speaking import Speaker
from agent.settings import Settings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.records import Rewrite
from feedback.stores import connect
from feedback.version_records import Standing
from tests.service.test_gateway_stores import open_gateway, search, settings_for, store_verdict

OFTEN = {"green couch": 9.0, "sofa": 7.0, "judged": 8.0, "rare": 1.0}


class Telling(FakePolicy):
    """Writes its version."""

    @override
    def sample(
        self, prompts: Sequence[Prompt], *, n: int, seed: int | None = None, greedy: bool = False
    ) -> list[list[Rewrite]]:
        del seed, greedy
        return [[Rewrite(text=f"word{self.version}", version=self.version)] * n for _ in prompts]


class Shop:
    """One rewriter and its cache."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.redis: Any = connect(settings.redis.state_url)
        self.cache = RewriteCache(self.redis, settings.keys, ttl_s=60)
        self.policy = Telling()
        self.rewriter = Rewriter(settings, self.cache, lambda: self.policy)

    async def serves(self, version: int) -> None:
        """Have the gateway told that a version serves."""
        record = msgspec.json.encode(Standing(version=version))
        await self.redis.hset(self.settings.keys.standings(), str(version), record)
        await self.redis.set(self.settings.keys.stable(), version)

    async def follows(self, version: int) -> None:
        """Have the rewriter write with it."""
        self.policy.versions.add(version)
        await self.rewriter.keep(stable=version, held=frozenset({version}))

    async def version_of(self, query: str) -> int | None:
        """Return by which version the cached words are."""
        found = await self.cache.get(query)
        return found.rewrite.version if found else None

    async def asked_often(self) -> None:
        for query, weight in OFTEN.items():
            key = self.settings.keys.queries(self.settings.keys.partition_of(query))
            await self.redis.hset(key, f"all|{query}", str(weight))
        await store_verdict(self.settings, "judged", "settee", seq=1)


@asynccontextmanager
async def shop_of(settings: Settings) -> AsyncIterator[Shop]:
    shop, stop = Shop(settings), asyncio.Event()
    work = asyncio.ensure_future(shop.rewriter.run(stop))
    await shop.asked_often()
    try:
        yield shop
    finally:
        stop.set()
        await work
        await shop.redis.aclose()


@asynccontextmanager
async def gateway(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with open_gateway(assemble(shop.settings, shop.rewriter)) as http:
        yield http


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "PAUSE_S", 0.05)


def filled(outcome: str) -> float:
    return REGISTRY.get_sample_value("unseen_filled_ahead_total", {"outcome": outcome}) or 0.0


async def test_frequent_queries_are_answered_by_a_new_version_that_nobody_asked(
    redis_url: str, fake_opensearch_url: str, tenant: str
) -> None:
    settings = settings_for(redis_url, fake_opensearch_url, tenant, fill_ahead=2, pool_samples=0)
    async with shop_of(settings) as shop, gateway(shop) as http, asyncio.timeout(20):
        while await shop.version_of("sofa") is None:  # at the start
            await asyncio.sleep(0.02)
        assert (await search(http, "sofa"))["rewrite"] == "word0"  # taken for granted from here on
        before, old = filled("filled"), filled("old")
        await shop.serves(5)
        while filled("old") == old:  # the replica has not followed yet
            await asyncio.sleep(0.02)
        await shop.follows(5)
        while filled("filled") < before + 2:
            await asyncio.sleep(0.02)
        while await shop.version_of("sofa") != 5:
            await asyncio.sleep(0.02)
        pages = [await search(http, query) for query in ("green couch", "sofa")]
        assert [(page["source"], page["rewrite"], page["version"]) for page in pages] == [
            ("cache", "word5", 5)
        ] * 2
        assert [await shop.version_of(query) for query in ("judged", "rare")] == [None, None]
        while await shop.redis.exists(settings.keys.lease("filling")):
            await asyncio.sleep(0.02)


def filler_of(shop: Shop, known: Known, cache: RewriteCache | None = None) -> Filler:
    settings, cache = shop.settings, cache or shop.cache
    templates = Templates(settings.opensearch)
    lender = Lender(known.index, None, settings)  # type: ignore[arg-type] # nothing is searched
    live = LiveRewrites(shop.rewriter)
    speaker = Speaker(settings, known=known, cache=cache, live=live, lender=lender)
    return Filler(settings, redis=shop.redis, known=known, templates=templates, speaker=speaker)


async def known_of(shop: Shop) -> Known:
    known = Known(shop.redis, shop.settings.keys, VerifiedIndex())
    await known.refresh()
    return known


@pytest.mark.parametrize(("most", "found"), [(1, ["green couch"]), (9, ["green couch", "sofa", "rare"])])
async def test_the_most_frequent_that_no_verdict_answers_are_filled_first(
    most: int, found: list[str], redis_url: str, tenant: str
) -> None:
    async with shop_of(settings_for(redis_url, "http://127.0.0.1:1", tenant, fill_ahead=most)) as shop:
        known = await known_of(shop)
        known.index.put("all|sofa", verdict("sofa", "", settled=False))  # its proposals alone count
        assert [one.query for one in await filler_of(shop, known).frequent()] == found


async def test_one_gateway_fills_at_a_time_and_what_is_there_is_not_asked_for_again(
    redis_url: str, tenant: str
) -> None:
    async with shop_of(settings_for(redis_url, "http://127.0.0.1:1", tenant)) as shop:
        known, stop = await known_of(shop), asyncio.Event()
        near = RewriteCache(shop.redis, shop.settings.keys, ttl_s=60, near_s=60)
        one, other = filler_of(shop, known), filler_of(shop, known, near)
        assert await one._lease.hold()
        assert not await other.fill(stop)
        assert await shop.version_of("sofa") is None
        before = filled("filled")
        assert await one.fill(stop)
        while await shop.version_of("rare") is None:
            await asyncio.sleep(0.02)
        assert filled("filled") == before + 3
        for query in ("green couch", "sofa", "rare"):  # the other takes them for granted
            assert await near.get(query) is not None
        known.stable_version = 5
        await shop.follows(5)
        assert await one.fill(stop)
        while await shop.version_of("rare") != 5:
            await asyncio.sleep(0.02)
        assert await other.fill(stop)
        assert filled("filled") == before + 6


async def test_nothing_is_filled_before_it_is_known_what_is_judged(redis_url: str, tenant: str) -> None:
    settings = settings_for(redis_url, "http://127.0.0.1:1", tenant, pool_samples=0)
    async with shop_of(settings) as shop, asyncio.timeout(10):
        known, stop = Known(shop.redis, settings.keys, VerifiedIndex()), asyncio.Event()
        running, before = asyncio.ensure_future(filler_of(shop, known).run(stop)), filled("filled")
        for _ in range(5):
            await asyncio.sleep(settings.serve.poll_s)
        assert filled("filled") == before
        await known.refresh()
        while filled("filled") < before + 3:
            await asyncio.sleep(0.02)
        stop.set()
        await running
        assert await shop.version_of("judged") is None


async def test_a_version_that_serves_no_more_is_not_filled_to_the_end(redis_url: str, tenant: str) -> None:
    async with shop_of(settings_for(redis_url, "http://127.0.0.1:1", tenant)) as shop:
        known = await known_of(shop)
        filler, before = filler_of(shop, known), filled("filled")
        filling_it = asyncio.ensure_future(filler.fill(asyncio.Event()))
        while filled("filled") == before:
            await asyncio.sleep(0)
        known.stable_version = 5
        assert not await filling_it
        assert filled("filled") < before + 3


async def test_what_a_busy_rewriter_does_not_write_is_tried_a_few_times_and_left(
    redis_url: str, tenant: str
) -> None:
    async with shop_of(settings_for(redis_url, "http://127.0.0.1:1", tenant, fill_ahead=1)) as shop:
        shop.policy.versions = set()  # `use` fails
        before = filled("failed")
        assert await filler_of(shop, await known_of(shop)).fill(asyncio.Event())
        assert filled("failed") == before + filling.TRIES
        assert await shop.version_of("green couch") is None
