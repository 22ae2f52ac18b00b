"""Clicks go in at the stream, verdicts come out of the store: real Redis, real OpenSearch."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from log_clicks import click
from redis.asyncio import Redis
from scipy.stats import beta
from serve_fakes import FakeCache, FakePopularity, FakeRewriter, FakeWriter

from agent.errors import Permanent, SearchFailed, SearchRefused
from agent.lending.telling import as_text
from agent.lending.telling import tell as lending
from agent.policy.call import UNSPLIT
from agent.policy.plan import Plan
from agent.retrieval import Catalogue, Results
from agent.retrieval.budget import tell_live
from agent.sections import OpenSearchSettings, ServeSettings
from agent.serve.asking import LiveRewrites
from agent.serve.callers import Caller
from agent.serve.choosing import Chooser
from agent.serve.exploring import Exploration
from agent.serve.histories import Histories
from agent.serve.impressions import ImpressionBuffer
from agent.serve.known import Known
from agent.serve.lender import Lender
from agent.serve.paging import Paging
from agent.serve.pins import Pins
from agent.serve.schemas import SearchRequest
from agent.serve.searching import Searcher
from agent.settings import Settings
from agent.verify import LeaseLostError, VerdictWriter, Verifier
from agent.verify.process import run
from agent.verify.telling import tell
from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import EvidenceReader
from feedback.records import LendingTerms, Verified
from feedback.settings import RedisSettings
from feedback.stores import connect

NOW_MS = 1_790_000_000_000
PRODUCTS = [
    *({"id": f"sofa{i}", "title": f"grey sofa number {i}"} for i in range(3)),
    *({"id": f"lamp{i}", "title": f"desk lamp number {i}"} for i in range(12)),
    *({"id": f"hose{i}", "title": f"garden hose number {i}"} for i in range(12)),
]


@dataclass
class Shop:
    """A small shop with all its parts."""

    settings: Settings
    redis: Redis
    catalogue: Catalogue
    clock: ManualClock
    collector: Collector
    ids: "count[int]"
    known: Known

    def verifier(self, catalogue: object = None) -> Verifier:
        evidence = EvidenceReader(self.redis, self.settings.keys, self.settings.feedback, self.clock)
        return Verifier(
            evidence,
            CandidateReader(self.redis, self.settings.keys, evidence),
            catalogue or self.catalogue,  # type: ignore[arg-type]
            VerdictWriter(self.redis, self.settings.keys),
            self.settings,
            self.clock,
        )

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Callable[..., Awaitable[tuple[str, str]]]]:
        """Yield a search that returns source and rewrite; what is known changes by `known.refresh` alone."""
        await self.known.refresh()
        live = LiveRewrites(FakeRewriter(text=""))
        chooser = Chooser(
            self.settings,
            known=self.known,
            cache=FakeCache(),
            live=live,
            lender=Lender(self.known.index, self.catalogue.msearch, self.settings),
            histories=Histories(self.redis, self.settings),
            rng=random.Random(0),
        )
        impressions = ImpressionBuffer(FakeWriter(), capacity=100)
        searcher = Searcher(
            self.settings,
            chooser=chooser,
            paging=Paging(
                self.settings,
                catalogue=self.catalogue,
                pins=Pins(None, self.settings.keys, self.clock, ttl_s=self.settings.serve.pin_ttl_s),
                known=self.known,
            ),
            exploration=Exploration(self.settings.serve, self.settings.feedback, FakePopularity()),
            impressions=impressions,
            clock=self.clock,
        )

        async def search(query: str, **params: str) -> tuple[str, str]:
            caller = Caller(query_id=self.settings.keys.new_query_id(query))
            request = SearchRequest(user_query=query, client_id="c", params=params)
            page = await searcher.search(request, caller)
            return page.source, page.rewrite

        yield search
        await live.close()

    async def click(self, query: str, object_id: str, *, times: int = 1, segment: str = UNSPLIT) -> None:
        for _ in range(times):
            await click(
                self.redis,
                self.settings,
                self.clock,
                self.ids,
                query=query,
                object_id=object_id,
                segment=segment,
            )

    async def collect(self) -> None:
        while await self.collector.step():
            pass

    async def verdicts(self) -> VerifiedIndex:
        index = VerifiedIndex()
        await index.refresh(self.redis, self.settings.keys)
        return index


@pytest.fixture
async def shop(redis_url: str, opensearch_url: str, tenant: str) -> AsyncIterator[Shop]:
    async with a_shop(redis_url, opensearch_url, tenant) as one:
        yield one


@asynccontextmanager
async def a_shop(
    redis_url: str, opensearch_url: str, tenant: str, templates: Path | None = None
) -> AsyncIterator[Shop]:
    settings = Settings(
        tenant=tenant,
        redis=RedisSettings(state_url=redis_url, partitions=2),
        opensearch=OpenSearchSettings(
            url=opensearch_url, index=tenant, fields=("title",), templates=templates
        ),
        serve=ServeSettings(holdback_share=0, explore_share=0, raw_share=0),
    )
    redis, clock = connect(redis_url), ManualClock(NOW_MS)
    collector = Collector(redis, settings.keys, settings.feedback, clock)
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(PRODUCTS)
        known = Known(redis, settings.keys, VerifiedIndex())
        yield Shop(settings, redis, catalogue, clock, collector, count(), known)
        await catalogue.drop_index()
    await redis.aclose()


async def shoppers(shop: Shop) -> None:
    """People who say couch and mean sofas, and others who say what they mean."""
    for i in range(12):
        await shop.click("desk lamp", f"lamp{i}", times=3)
        await shop.click("garden hose", f"hose{i}", times=3)
    for i in range(3):
        await shop.click("couch", f"sofa{i}", times=3)
        await shop.click("grey sofa", f"sofa{i}", times=3)
    await shop.collect()


async def test_from_clicks_to_a_verified_rewrite(shop: Shop) -> None:
    await shoppers(shop)
    judged = await shop.verifier().step()
    assert judged.n == 4
    index = await shop.verdicts()
    couch = index.get("couch")
    assert couch
    assert (couch.text, couch.changes, couch.p_harm) == ("grey sofa", True, 0.0)
    assert couch.gain > 0.5
    assert couch.support == pytest.approx(9)
    lamp = index.get("desk lamp")
    assert lamp
    assert lamp.text == ""  # judged, and nothing is to be added


async def test_evidence_that_is_split_makes_a_verdict_of_its_own(
    redis_url: str, opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    text = {"match": {"title": {"query": "$user_query", "operator": "and"}}}
    body = {"query": {"bool": {"must": [{"$query": text}], "filter": [{"match": {"title": "$only"}}]}}}
    described = {"body": body, "mode": "recall", "parameters": {"only": {"segment_by": True}}}
    (tmp_path / "default.json").write_text(json.dumps(described))
    async with a_shop(redis_url, opensearch_url, tenant, templates=tmp_path) as shop:
        await shoppers(shop)
        only_two = shop.catalogue.templates.call("default", {"only": "2"}).segment
        for _ in range(3):
            await shop.click("couch", "sofa2", times=3, segment=only_two)
            await shop.click("lamp", "lamp2", times=3, segment=only_two)
            await shop.click("sofa", "sofa2", times=3, segment=only_two)
            await shop.click("couch", "sofa2", segment="gone?only=%222%22")
        await shop.collect()
        verifier = shop.verifier()
        while (await verifier.step()).n:
            pass
        index = await shop.verdicts()
        everywhere, split = index.get("couch"), index.get("couch", only_two)
        assert everywhere is not None
        assert split is not None
        assert (everywhere.text, split.text) == ("grey sofa", "sofa")
        assert index.get("couch", "gone?only=%222%22") is None  # no template makes it any more
        async with shop.gateway() as search:
            assert await search("couch") == ("verified", "grey sofa")
            assert await search("couch", only="2") == ("verified", "sofa")
            assert await search("couch", only="1") == ("raw:silent", "")


async def test_what_queries_lend_each_other_is_lent_to_a_new_one_once_it_is_known_to_pay(shop: Shop) -> None:
    await shoppers(shop)
    async with shop.gateway() as search:
        verifier = shop.verifier()
        await verifier.step()
        await shop.known.refresh()
        assert await search("zazaza couch") == ("raw:silent", "")  # one query is no evidence
        for name in (names := [5 * (a + b) for a in "bdfgk" for b in "aeiou"]):
            for i in range(3):
                await shop.click(f"{name} couch", f"sofa{i}", times=3)
        await shop.collect()
        while (await verifier.step()).n:
            pass
        for _ in range(8):  # each tries a few
            await verifier.step()
        assert verifier.terms.lends
        await shop.known.refresh()
        assert shop.known.index.terms == verifier.terms
        source, text = await search("zazaza couch")
        assert source == "nearest"
        assert "sofa" in text
    assert (await shop.verifier()._writer.terms()) == verifier.terms
    told = await lending(shop.settings, "Zazaza Couch")
    lent = told["lent"]
    assert lent == told["offers"][0]["text"]
    assert lent.startswith(text)
    assert "words are lent" in as_text(told)
    assert as_text(told).endswith(f"lent: {lent} (the nearest judged query: {told['similarity']:.2f})")
    assert "is judged itself: " in as_text(await lending(shop.settings, f"{names[0]} couch"))
    assert "no judged query is like" in as_text(await lending(shop.settings, "xyz"))
    assert (await lending(shop.settings)).keys() == {"terms", "lenders"}


async def test_what_is_lent_is_told_only_where_it_can_be(shop: Shop) -> None:
    off = shop.settings.model_copy(update={"serve": ServeSettings(lenders=0)})
    assert as_text(await lending(off)) == "lending is turned off (serve.lenders = 0)"
    assert as_text(await lending(shop.settings, "xyz")).endswith("no judged query is like 'xyz'")
    for query, why in (("\u200b", "empty"), ("x" * 600, "too long")):
        with pytest.raises(Permanent, match=why):
            await lending(shop.settings, query)


async def test_terms_are_written_by_who_holds_the_lease_alone(shop: Shop) -> None:
    first, second = (VerdictWriter(shop.redis, shop.settings.keys) for _ in range(2))
    terms = LendingTerms(lends=True, similarity=0.3, tried=30)
    await first.write_terms(terms)
    with pytest.raises(LeaseLostError):
        await second.write_terms(LendingTerms())
    await first.release()
    assert await second.terms() == terms
    assert (await shop.verdicts()).terms == terms
    await second.write_terms(terms)
    await second.release()
    assert await first.hold()  # others acted meanwhile: what it knows is old
    with pytest.raises(LeaseLostError):
        await first.write_terms(LendingTerms())


async def test_a_lease_that_ran_out_while_nobody_else_wrote_is_taken_again(shop: Shop) -> None:
    writer = VerdictWriter(shop.redis, shop.settings.keys, lease_s=0.05)
    await writer.write([_verdict("a")])
    await asyncio.sleep(0.1)
    assert await writer.write([_verdict("b")]) == 2
    await asyncio.sleep(0.1)
    await writer.write_terms(LendingTerms())
    assert not writer.retaken


@pytest.mark.parametrize("stored", [None, b"{", b'{"gain":null}', b'{"similarity":"x"}', b"\xff"])
async def test_terms_that_are_not_there_or_cannot_be_read_lend_nothing_and_stop_nobody(
    shop: Shop, stored: bytes | None
) -> None:
    await shoppers(shop)
    await shop.verifier().step()
    index = await shop.verdicts()
    index.terms = LendingTerms(lends=True)
    await shop.redis.delete(key := shop.settings.keys.lending())
    if stored is not None:
        await shop.redis.set(key, stored)
    await index.refresh(shop.redis, shop.settings.keys)
    assert index.terms == LendingTerms()
    assert (await shop.verifier()._writer.terms()) == LendingTerms()


async def test_what_is_known_of_a_query_is_told_with_its_bounds(shop: Shop) -> None:
    await shoppers(shop)
    told = await tell(shop.settings, " Couch ", rewrite="grey sofa", clock=shop.clock)
    assert told["query"] == "couch"
    assert [one["object_id"] for one in told["objects"]] == ["sofa0", "sofa1", "sofa2"]
    for one in told["objects"]:
        assert one["mean"] == pytest.approx(1 / 3)
        assert one["low"] == pytest.approx(beta(3, 6).ppf(0.025), abs=0.02)  # three clicks of nine
        assert one["high"] == pytest.approx(beta(3, 6).ppf(0.975), abs=0.02)
    gain = told["gain"]
    assert gain["mean"] == pytest.approx((1 + 0.6309 + 0.5) / 3, abs=1e-3)  # raw finds nothing
    assert gain["low"] < gain["mean"] < gain["high"]
    assert gain["p_harm"] < 0.001
    assert "gain" not in await tell(shop.settings, "couch", clock=shop.clock)


async def test_a_pass_ends_with_nothing_moved_and_little_news_is_passed_over(shop: Shop) -> None:
    await shoppers(shop)
    verifier = shop.verifier()
    assert (await verifier.step()).n == 4
    assert (await verifier.step()).n == 0
    await shop.click("desk lamp", "lamp0")  # the 37th
    await shop.collect()
    passed_over = await verifier.step()
    assert (passed_over.n, passed_over.reasons) == (1, {})
    await shop.click("desk lamp", "lamp0", times=5)
    await shop.collect()
    assert sum((await verifier.step()).reasons.values()) == 1


async def test_a_rewrite_whose_products_are_gone_is_withdrawn_at_its_next_check(shop: Shop) -> None:
    await shoppers(shop)
    verifier = shop.verifier()
    await verifier.step()
    await shop.catalogue.delete([f"sofa{i}" for i in range(3)])
    await verifier.recheck()
    assert verifier.serving == 1  # not yet its turn
    shop.clock.advance(301)
    await verifier.recheck()
    couch = (await shop.verdicts()).get("couch")
    assert couch
    assert couch.text == ""
    assert verifier.serving == 0


async def test_a_product_that_leaves_suspends_its_rewrite_within_one_search(shop: Shop) -> None:
    await shoppers(shop)
    verifier = shop.verifier()
    await verifier.step()
    async with shop.gateway() as search:
        assert await search("couch") == ("verified", "grey sofa")
        await shop.catalogue.delete(["sofa2"])
        assert await search("couch") == ("raw:moved", "")
        assert await search("couch") == ("raw:suspended", "")
        await shop.known.refresh()  # tells the verifier, who has not written anything yet
        assert await search("couch") == ("raw:suspended", "")
        assert (await verifier.recheck_suspended()).reasons == {"claim": 1}
        await shop.known.refresh()
        assert not shop.known._suspended  # what has another verdict is forgotten
        assert await search("couch") == ("verified", "grey sofa")  # two sofas are left

        await shop.catalogue.delete(["sofa0", "sofa1"])
        assert await search("couch") == ("raw:moved", "")
        await shop.known.refresh()
        assert (await verifier.recheck_suspended()).n == 1
        await shop.known.refresh()
        assert await search("couch") == ("raw:silent", "")
    assert verifier.serving == 0
    assert (await verifier.recheck_suspended()).n == 0


async def test_what_was_suspended_while_a_search_failed_is_judged_once_it_does_not(shop: Shop) -> None:
    class Away:
        async def msearch(self, plans: Sequence[Plan], **_: object) -> list[Results]:
            raise SearchFailed(f"away for {len(plans)} searches")

    await shoppers(shop)
    verifier = shop.verifier()
    await verifier.step()
    (couch,) = [v for v in (await verifier._writer.all()).values() if v.text]
    shop.known.suspend(couch)
    await shop.known.refresh()
    verifier._catalogue = Away()
    with pytest.raises(SearchFailed):
        await verifier.recheck_suspended()
    verifier._catalogue = shop.catalogue
    assert (await verifier.recheck_suspended()).n == 1
    assert (await verifier.recheck_suspended()).n == 0


async def test_a_failed_search_gives_no_verdict_and_the_queries_stay_moved(shop: Shop) -> None:
    class Away:
        async def msearch(self, plans: Sequence[Plan], **_: object) -> list[Results]:
            raise SearchFailed(f"away for {len(plans)} searches")

    await shoppers(shop)
    verifier = shop.verifier(Away())
    for _ in range(2):
        with pytest.raises(SearchFailed):
            await verifier.step()
    assert len(await shop.verdicts()) == 0
    verifier._catalogue = shop.catalogue
    assert (await verifier.step()).n == 4


async def test_a_query_that_opensearch_refuses_holds_up_nothing(shop: Shop) -> None:
    class Refuses:
        async def msearch(self, plans: Sequence[Plan], **_: object) -> list[Results]:
            raise SearchRefused(f"{len(plans)} searches are too odd")

    await shoppers(shop)
    verifier = shop.verifier(Refuses())
    assert (await verifier.step()).n == 4
    assert (await verifier.step()).n == 0
    assert len(await shop.verdicts()) == 0


async def test_a_query_that_cannot_be_searched_does_not_hold_up_the_others(shop: Shop) -> None:
    class Picky:
        async def msearch(self, plans: Sequence[Plan], *, size: int, purpose: str) -> list[Results]:
            if any(p.user_query == "garden hose" for p in plans):
                raise SearchFailed("too odd")
            return await shop.catalogue.msearch(plans, size=size, purpose=purpose)

    await shoppers(shop)
    verifier = shop.verifier(Picky())
    assert (await verifier.step()).n == 4
    index = await shop.verdicts()
    assert index.get("garden hose") is None
    assert index.get("couch")
    assert (await verifier.step()).n == 0


async def test_a_second_verifier_waits_and_starts_from_what_the_first_wrote(shop: Shop) -> None:
    await shoppers(shop)
    first, second = shop.verifier(), shop.verifier()
    assert (await first.step()).n == 4
    assert (await second.step()).n == 0
    await first._writer.release()
    assert (await second.step()).n == 4
    assert second.serving == 1
    with pytest.raises(LeaseLostError):
        await first._writer.write([], ["all|couch"])
    assert (await shop.verdicts()).get("couch")


async def test_verdicts_are_numbered_in_order_and_a_withdrawn_one_is_told(shop: Shop) -> None:
    writer = VerdictWriter(shop.redis, shop.settings.keys)
    assert await writer.write([]) == 0
    assert await writer.write([_verdict("a"), _verdict("b")]) == 2
    index = await shop.verdicts()
    assert [v.seq for q in "ab" if (v := index.get(q))] == [1, 2]
    assert await writer.write([_verdict("b")], ["all|a"]) == 4
    assert await index.refresh(shop.redis, shop.settings.keys) == 2
    assert index.get("a") is None
    assert (await writer.all()).keys() == {"all|b"}


async def test_the_process_judges_tells_its_vitals_and_ends_when_told(shop: Shop) -> None:
    await shoppers(shop)
    stop, key = asyncio.Event(), shop.settings.keys.vitals("verifier")
    rationed = {"background_budget": True, "background_per_s": 1000.0}
    searches = shop.settings.opensearch.model_copy(update=rationed)
    settings = shop.settings.model_copy(update={"opensearch": searches})
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(run(settings, stop, clock=shop.clock))
        while await shop.redis.hget(key, "serving") != b"1":
            await asyncio.sleep(0.02)
        stop.set()
    assert await shop.redis.hget(key, "judged") == b"4"
    assert 0 < await shop.redis.ttl(key) <= 60
    assert not await shop.redis.exists(shop.settings.keys.lease("verifier"))
    told = await tell_live(shop.redis, shop.settings.keys, 0)
    assert told.searches["verify"] >= 4  # each query's own page at least


def _verdict(query: str) -> Verified:
    return Verified(
        query=query,
        text="x",
        gain=0.1,
        gain_sd=0.1,
        p_harm=0.0,
        support=1.0,
        fingerprint="f",
        changes=True,
        evidence_seq=1,
        made_at_ms=0,
    )
