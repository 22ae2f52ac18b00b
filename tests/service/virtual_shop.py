"""The loop without the model, in virtual time: shoppers, gateway, collector and verifier in one process.

Everything is the real thing but the clock and the rewriter, which stays silent: what is measured is what the
verdicts alone are worth. Much faster than the demo, so that many shops and seeds can be tried.
"""

import asyncio
import heapq
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from redis.asyncio import Redis

from agent.demo import profile
from agent.demo.client import Gateway
from agent.demo.measure import Judge, Judged
from agent.demo.shop import Population, Product, Query, Visit
from agent.demo.stack import Service
from agent.demo.traffic import THINK_S, Tally, look
from agent.retrieval import Catalogue
from agent.serve.asking import RewriteAsk, RewriterClient
from agent.serve.assemble import assemble
from agent.serve.gateway import Parts, make_app
from agent.settings import Settings
from agent.verify.store import VerdictWriter
from agent.verify.verifier import Verifier
from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.popularity import Popularity
from feedback.evidence.reading import EvidenceReader
from feedback.records import Rewrite
from feedback.stores import connect, forget
from tests.service.anybody import SECRET
from tests.service.remembered import DirectGateway, RememberedPages

START_MS = 1_795_426_200_000
TICK_S = 0.25
VERIFY_EVERY = 4
"""Ticks between two passes of the verifier."""
VISITS_PER_S = 18.0
"""About what a demo on a slow machine has."""


def settings_at(tenant: str, folder: Path, *, redis_url: str, opensearch_url: str) -> Settings:
    """Return the demo's settings on given servers, for a shop without its model."""
    opensearch, redis = (
        Service(name=name, url=url, kind="given", version="", note="")
        for name, url in (("opensearch", opensearch_url), ("redis", redis_url))
    )
    tree = profile.settings(
        run=tenant, folder=folder, ports=(0, 0), opensearch=opensearch, redis=redis, ray=""
    )
    tree["access"] = {"secret": SECRET}  # arms follow from pseudonyms: the same in every run
    return Settings.model_validate(tree)


class SilentRewriter:
    """A policy that adds nothing, at once."""

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        """Return the empty rewrite of no version."""
        del ask
        return Rewrite(text="")

    async def ready(self) -> bool:
        """Tell that it is there."""
        return True


@dataclass(kw_only=True)
class VirtualShop:
    """A stocked shop with its loop; `open_for` lets shoppers in."""

    settings: Settings
    parts: Parts
    gateway: Gateway
    collector: Collector
    verifier: Verifier
    clock: ManualClock
    catalogue: Catalogue
    pages: RememberedPages
    """The catalogue as gateway and verifier see it in a swift shop."""
    evidence: EvidenceReader
    redis: Redis
    products: tuple[Product, ...]
    tally: Tally

    async def open_for(self, seconds: float, population: Population) -> None:
        """Let shoppers search, click and buy for so many virtual seconds."""
        due: list[tuple[float, int, Visit]] = []
        began, n = 0.0, 0
        for tick in range(round(seconds / TICK_S)):
            now_s = tick * TICK_S
            while began <= now_s:
                heapq.heappush(due, (began, n, population.next_visit()))
                began, n = began + 1.0 / VISITS_PER_S, n + 1
            here: list[Visit] = []
            while due and due[0][0] <= now_s:
                here.append(heapq.heappop(due)[2])
            following = await asyncio.gather(
                *(look(self.gateway, population, self.tally, visit) for visit in here)
            )
            for visit in following:
                if visit is not None:
                    n += 1
                    heapq.heappush(due, (now_s + THINK_S, n, visit))
            self.clock.advance(TICK_S)
            await self.catch_up(judging=tick % VERIFY_EVERY == 0)

    async def catch_up(self, *, judging: bool = True) -> None:
        """Collect what came in, and judge what moved."""
        while len(self.parts.impressions):
            await self.parts.impressions.flush()
        while await self.collector.step():
            pass
        if judging:
            await self.verifier.step()
            await self.parts.known.refresh()

    async def judged(self, queries: list[Query]) -> list[Judged]:
        """Return the demo's judgement of what is served now."""
        titles = {product.product_id: product.title for product in self.products}
        judge = Judge(self.catalogue, self.settings.plan)
        return await judge.judge(self.gateway, queries, self.tally.log, titles)


@asynccontextmanager
async def virtual_shop(
    settings: Settings,
    products: tuple[Product, ...],
    seed: int,
    *,
    swift: bool = False,
    rewriter: RewriterClient | None = None,
) -> AsyncIterator[VirtualShop]:
    """Give a shop of one tenant and one index, which both go with it.

    A swift one remembers OpenSearch's pages until `RememberedPages.change`, and is called without HTTP.
    """
    clock = ManualClock(START_MS)
    catalogue = Catalogue(settings.opensearch)
    pages = RememberedPages(catalogue)
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    popularity = Popularity(redis, settings.keys, settings.feedback, clock)
    parts = assemble(settings, rewriter or SilentRewriter())
    parts = replace(parts, clock=clock, rng=random.Random(seed), popularity=popularity)
    parts = replace(parts, catalogue=pages) if swift else parts
    evidence = EvidenceReader(redis, settings.keys, settings.feedback, clock)
    gateway = _gateway(parts, swift=swift)
    try:
        await catalogue.create_index()
        await catalogue.load(json.dumps(product.document()) for product in products)
        yield VirtualShop(
            settings=settings,
            parts=parts,
            gateway=gateway,
            collector=Collector(redis, settings.keys, settings.feedback, clock),
            verifier=Verifier(
                evidence,
                CandidateReader(redis, settings.keys, evidence),
                pages if swift else catalogue,
                VerdictWriter(redis, settings.keys),
                settings,
                clock,
            ),
            clock=clock,
            catalogue=catalogue,
            pages=pages,
            evidence=evidence,
            redis=redis,
            products=products,
            tally=Tally(),
        )
    finally:
        await gateway.close()
        await catalogue.drop_index()
        await catalogue.close()
        await forget(redis, settings.tenant)
        await redis.aclose()
        if parts.close is not None:
            await parts.close()


def _gateway(parts: Parts, *, swift: bool) -> Gateway:
    app = make_app(parts)
    if swift:
        return DirectGateway(app.state.searcher, app.state.intake, parts.settings.keys, parts.clock)
    return Gateway("http://shop", transport=httpx.ASGITransport(app=app), clock=parts.clock)
