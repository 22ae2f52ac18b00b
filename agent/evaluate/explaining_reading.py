"""Reads all that explains a query: verdicts, evidence, cache, registry, catalogue, model. Writes nothing.

Guarantees that no counter, stream or cache of the shop changes, and that its searches of the live catalogue
go through the limiter under their own purpose.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from redis.asyncio import Redis
from typing_extensions import override

from agent.errors import Permanent
from agent.evaluate.explaining import explained
from agent.evaluate.explaining_found import Found, Versions, plans_of
from agent.evaluate.explaining_origin import NOT_ASKED
from agent.evaluate.explaining_writing import written
from agent.lending import offers
from agent.policy.plan import form_of
from agent.policy.prompt import Prompt
from agent.retrieval import Catalogue, judged_call
from agent.serve.asking import Answer, LiveRewrites, RewriteAsk
from agent.serve.cache import RewriteCache
from agent.serve.choice import Asked, Chosen
from agent.serve.choosing import Chooser
from agent.serve.histories import Histories
from agent.serve.known import Known
from agent.serve.lender import Lender
from agent.settings import Settings
from agent.weights.registry import Registry
from feedback.clock import Clock, wall_clock
from feedback.delivery.streams import FIELD
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import EvidenceReader, query_field
from feedback.records import Arm, CachedRewrite, Rewrite, Verified
from feedback.stores import connect
from feedback.text import is_too_long, normalise

PURPOSE = "explain"
ENOUGH_S = 60.0
"""In place of the gateway's deadline: what would come too late is told all the same."""
Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be told."""

    query: str
    versions: Sequence[int] | None = None
    """Whose words; None: of those that serve, served or may."""
    model: bool = True
    """Whether the model is loaded to write them."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What is read."""

    settings: Settings
    redis: Redis
    cache: RewriteCache
    catalogue: Catalogue
    known: Known
    evidence: EvidenceReader
    clock: Clock


class Recited(LiveRewrites):
    """The live model's place: says what was written beforehand and asks nobody."""

    def __init__(self, written: Mapping[int, Rewrite | str], serving: int) -> None:
        super().__init__(self)
        self._written = written
        self._serving = serving

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        """Refuse: nobody is behind it."""
        raise NotImplementedError(ask.query)

    async def ready(self) -> bool:
        """Tell that nobody is."""
        return False

    @override
    async def within(self, ask: RewriteAsk, timeout_s: float) -> Answer:
        wrote = self._written.get(ask.version or self._serving)
        if isinstance(wrote, Rewrite):
            return Answer(rewrite=wrote)
        return Answer(why="failed" if wrote else NOT_ASKED)

    @override
    def start(self, ask: RewriteAsk) -> None:
        return None


async def read(
    settings: Settings,
    wanted: Wanted,
    *,
    say: Say = lambda _: None,
    clock: Clock = wall_clock,
    index: VerifiedIndex | None = None,
) -> dict[str, Any]:
    """Return what the query gets now and why.

    ``index`` is a copy of the verdicts that the process keeps anyway: it is followed, not read anew.

    Raises:
        Permanent: the query is empty or too long, or a chosen version does not exist.
        SearchFailed: the catalogue gave no answer.
        Corrupt: a record of the registry contradicts itself; and redis errors.
    """
    if not normalise(wanted.query) or is_too_long(wanted.query):
        raise Permanent("the query is too long" if normalise(wanted.query) else "the query is empty")
    patient = settings.model_copy(
        update={"serve": settings.serve.model_copy(update={"deadline_s": ENOUGH_S})}
    )
    async with _opened(patient, clock, VerifiedIndex() if index is None else index) as shop:
        await shop.known.refresh()
        return explained(await _found(shop, wanted, say), patient)


@asynccontextmanager
async def _opened(settings: Settings, clock: Clock, index: VerifiedIndex) -> AsyncIterator[Shop]:
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    cached = connect(settings.redis.cache_url or settings.redis.state_url, settings.redis.timeout_s)
    try:
        async with Catalogue(settings.opensearch) as catalogue:
            yield Shop(
                settings=settings,
                redis=redis,
                cache=RewriteCache(cached, settings.keys, ttl_s=settings.serve.cache_ttl_s),
                catalogue=catalogue,
                known=Known(redis, settings.keys, index),
                evidence=EvidenceReader(redis, settings.keys, settings.feedback, clock),
                clock=clock,
            )
    finally:
        await redis.aclose()
        await cached.aclose()


async def _found(shop: Shop, wanted: Wanted, say: Say) -> Found:
    settings, index = shop.settings, shop.known.index
    query, versions = normalise(wanted.query), await _versions(shop)
    near = tuple(index.nearest(query, k=settings.policy.neighbours))
    said = await _written(shop, wanted, versions, _prompt(wanted.query, near, settings), say)
    say("searching the catalogue")
    chosen, canary = await _decided(shop, wanted.query, Recited(said, versions.stable))
    (evidence,) = await shop.evidence.read([query])
    reader = CandidateReader(shop.redis, settings.keys, shop.evidence)
    found = Found(
        query=query,
        asked=wanted.query,
        index=index,
        versions=versions,
        chosen=chosen,
        canary=canary,
        evidence=evidence,
        mu=(await shop.evidence.totals()).mu,
        searches=(await shop.evidence.searches([query])).get(query, 0.0),
        candidates=await reader.candidates(evidence, settings.verify.candidates),
        near=near,
        offers=offers(query, index, settings.serve.lenders),
        cached=await _cached(shop.cache, query, versions.trial),
        pool=await shop.cache.pool(query),
        suspended_at_ms=await _suspended(shop, index.get(query)),
        written=said,
        pages={},
    )
    return await _looked(shop, found)


async def _looked(shop: Shop, found: Found) -> Found:
    """Search what is told, and hold the choice against the pages that it rests on."""
    settings = shop.settings
    plans = plans_of(found, settings)
    depth = settings.verify.depth
    results = await shop.catalogue.msearch(plans, size=depth, purpose=PURPOSE, documents=True)
    pages = dict(zip(plans, results, strict=True))
    if found.suspended_at_ms and (verdict := found.verdict) is not None:
        shop.known.suspend(verdict)  # of this process's own copy, which tells nobody
        chosen, canary = await _decided(shop, found.asked, Recited(found.written, found.versions.stable))
        return replace(found, pages=pages, chosen=chosen, canary=canary)
    lists = (pages[found.raw].object_ids, pages[found.chosen.plan].object_ids)
    chooser = _chooser(shop, Recited(found.written, found.versions.stable))
    asked = Asked(user_query=found.asked, call=found.chosen.plan.call)
    return replace(found, pages=pages, chosen=chooser.checked(found.chosen, asked, *lists, size=depth))


def _chooser(shop: Shop, live: LiveRewrites) -> Chooser:
    return Chooser(
        shop.settings,
        known=shop.known,
        cache=shop.cache,
        live=live,
        lender=Lender(shop.known.index, shop.catalogue.msearch, shop.settings),
        histories=Histories(shop.redis, shop.settings),
        rng=random.Random(0),
    )


async def _decided(shop: Shop, user_query: str, live: LiveRewrites) -> tuple[Chosen, Chosen | None]:
    """Return what the gateway's own ladder gives the stable arm, and the trial's clients where one runs."""
    chooser, on_trial = _chooser(shop, live), shop.known.on_trial
    call = judged_call(shop.settings.opensearch)
    asked = Asked(user_query=user_query, now_ms=shop.clock(), purpose=PURPOSE, call=call)
    stable = await chooser.choose(asked)
    if on_trial is None:
        return stable, None
    return stable, await chooser.choose(replace(asked, arm=Arm.CANARY, trial=on_trial))


async def _versions(shop: Shop) -> Versions:
    registry = Registry(shop.redis, shop.settings.keys)
    trial = await registry.trial()
    return Versions(
        stable=await registry.stable_version(),
        trial=trial.version if trial else 0,
        revoked=frozenset(await registry.revoked()),
        standings=await registry.standings(),
        manifests={one.version: one for one in await registry.versions()},
    )


def _prompt(user_query: str, near: Sequence[Any], settings: Settings) -> Prompt:
    examples = tuple((n.verified.query, n.verified.text) for n in near)
    return Prompt(
        query=normalise(user_query),
        examples=examples,
        form=form_of(user_query, settings.plan, judged_call(settings.opensearch)),
    )


async def _written(
    shop: Shop, wanted: Wanted, versions: Versions, prompt: Prompt, say: Say
) -> dict[int, Rewrite | str]:
    numbers = versions.told(wanted.versions)
    if unknown := [n for n in numbers if n and n not in versions.manifests and wanted.versions is not None]:
        raise Permanent(f"version {unknown[0]} does not exist: unseen versions lists those that do")
    if not wanted.model:
        return {}
    say("loading the model")
    manifests = {n: versions.manifests.get(n) for n in numbers if not n or n in versions.manifests}
    return await asyncio.to_thread(written, shop.settings, manifests, prompt, say)


async def _cached(cache: RewriteCache, query: str, trial: int) -> dict[int, CachedRewrite]:
    found = {canary: await cache.get(query, canary) for canary in dict.fromkeys((0, trial))}
    return {canary: one for canary, one in found.items() if one is not None}


async def _suspended(shop: Shop, verdict: Verified | None) -> int:
    """Return when a gateway last suspended the verdict, by Redis' clock; 0: not since it was made."""
    if verdict is None or not verdict.text:
        return 0
    name = query_field(verdict.segment, verdict.query).encode()
    stream = cast("Awaitable[Any]", shop.redis.xrevrange(shop.settings.keys.suspended()))
    for entry_id, entry in await stream:
        told_ms = int(entry_id.partition(b"-")[0])
        if entry.get(FIELD.encode()) == name and told_ms > verdict.made_at_ms:
            return told_ms
    return 0
