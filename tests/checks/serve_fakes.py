"""Stand-ins for what is behind the gateway, each of which can be told to fail."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis
from typing_extensions import override

from agent.errors import BadWeights, SearchFailed, SearchRefused, Transient
from agent.policy.call import DEFAULT_CALL, TemplateCall
from agent.policy.plan import Plan
from agent.policy.prompt import Prompt
from agent.retrieval.results import Results
from agent.retrieval.templates import Templates
from agent.sections import OpenSearchSettings
from agent.serve.asking import RewriteAsk
from agent.serve.cache import RewriteCache
from agent.serve.gateway import Parts
from agent.serve.impressions import ImpressionBuffer
from agent.serve.known import Known
from agent.serve.pins import Pins
from agent.serve.served import Served
from agent.settings import Settings
from feedback.access import Signer
from feedback.clock import ManualClock
from feedback.delivery.shedding import Shedder
from feedback.delivery.streams import StreamWriter
from feedback.errors import Transient as FeedbackTransient
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.popularity import Popularity
from feedback.fingerprint import fingerprint
from feedback.keys import Keys
from feedback.records import (
    CachedRewrite,
    Event,
    History,
    Impression,
    LendingTerms,
    Rewrite,
    SamplePool,
    Verified,
)
from tests.service.anybody import SECRET as SECRET  # noqa: PLC0414 - given on
from tests.service.anybody import AnySender as AnySender  # noqa: PLC0414 - given on

NOW_MS = 1_795_426_200_000
SIGNER = Signer(SECRET, Keys())
QUERY_ID = SIGNER.query_id("couch")
RAW = [f"raw-{i}" for i in range(1, 31)]
CLICK = {
    "action_name": "click",
    "query_id": QUERY_ID,
    "client_id": "c",
    "object_id": "o",
    "occurred_at_ms": NOW_MS,
}


class FakeCatalogue:
    """The raw query finds raw-1, raw-2, ...; a rewritten one finds new-1, raw-1, raw-2, ..."""

    def __init__(self) -> None:
        self.templates = Templates(OpenSearchSettings())
        self.fails = False
        self.raw = RAW
        self.asked: list[tuple[Plan, int, int, str]] = []
        self.found: dict[str, tuple[str, ...]] = {}
        """What a rewrite finds before the raw list, in place of new-1."""
        self.refuses: frozenset[str] = frozenset()
        """Rewrites that it takes for wrong."""
        self.most = 100
        """Searches at a time, above which it fails."""

    async def search(
        self,
        plan: Plan,
        *,
        size: int = 10,
        offset: int = 0,
        purpose: str = "search",
        without: Sequence[str] = (),
    ) -> Results:
        if self.fails:
            raise SearchFailed("no shard is there")
        if plan.text in self.refuses:
            raise SearchRefused("too odd")
        self.asked.append((plan, size, offset, purpose))
        new = () if plan.is_raw else self.found.get(plan.text, ("new-1",))
        listed = [object_id for object_id in (*new, *self.raw) if object_id not in without]
        found = listed[offset : offset + size]
        return Results(
            object_ids=tuple(found),
            scores=tuple(1.0 / (offset + i + 1) for i in range(len(found))),
            documents=tuple({"title": object_id} for object_id in found),
            total=30,
            took_ms=1,
        )

    async def msearch(
        self, plans: Sequence[Plan], *, size: int = 10, purpose: str, documents: bool = False
    ) -> list[Results]:
        if len(plans) > self.most:
            raise SearchFailed("too many at a time")
        pages = [await self.search(plan, size=size, purpose=purpose) for plan in plans]
        return pages if documents else [replace(page, documents=()) for page in pages]

    async def ready(self) -> bool:
        return not self.fails


class FakeRewriter:
    """Writes what it was told; holds back while `hold` is not set."""

    def __init__(self, text: str = "sofa", version: int = 1) -> None:
        self.text = text
        self.version = version
        self.fails = False
        self.asked: list[RewriteAsk] = []
        self.finished = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        self.asked.append(ask)
        await self.hold.wait()
        if self.fails:
            raise Transient("the replica is gone")
        self.finished += 1
        return Rewrite(text=self.text, version=ask.version or self.version)

    async def ready(self) -> bool:
        return not self.fails


class FakeCache(RewriteCache):
    """A dictionary."""

    def __init__(self) -> None:
        self.rewrites: dict[str, CachedRewrite] = {}
        self.canaries: dict[tuple[int, str], CachedRewrite] = {}
        """By version on trial and query."""
        self.pools: dict[str, SamplePool] = {}
        self.hangs = False
        self.forgot: list[tuple[str, int]] = []
        """Of which nothing is taken for granted any more."""

    @override
    async def get(
        self, query: str, canary: int = 0, call: TemplateCall = DEFAULT_CALL, history: History = ()
    ) -> CachedRewrite | None:
        if self.hangs:
            await asyncio.Event().wait()
        name = _named(query, call, history)
        return self.canaries.get((canary, name)) if canary else self.rewrites.get(name)

    @override
    async def put(
        self,
        query: str,
        cached: CachedRewrite,
        canary: int = 0,
        call: TemplateCall = DEFAULT_CALL,
        history: History = (),
    ) -> None:
        if canary:
            self.canaries[canary, _named(query, call, history)] = cached
        else:
            self.rewrites[_named(query, call, history)] = cached

    @override
    def forget(
        self, query: str, canary: int = 0, call: TemplateCall = DEFAULT_CALL, history: History = ()
    ) -> None:
        self.forgot.append((query, canary))

    @override
    def take(self, ask: RewriteAsk, rewrite: Rewrite) -> None:
        """Leave it to the rewriter, which is none that writes."""

    @override
    async def pool(self, query: str, call: TemplateCall = DEFAULT_CALL) -> SamplePool:
        return self.pools.get(_named(query, call), SamplePool())

    @override
    async def put_pool(self, query: str, pool: SamplePool, call: TemplateCall = DEFAULT_CALL) -> None:
        self.pools[_named(query, call)] = pool


def _named(query: str, call: TemplateCall, history: History = ()) -> str:
    named = query if call == DEFAULT_CALL else f"{call.template}|{call.segment}|{query}"
    before = [f"{earlier.query}{'+' if earlier.clicked else '-'}" for earlier in history]
    return " > ".join((*before, named))


class FakeWriter(StreamWriter):
    """Lists in place of streams."""

    def __init__(self) -> None:
        self.fails = False
        self.events: list[Event] = []
        self.impressions: list[Impression] = []

    @override
    async def add_events(self, events: Sequence[Event]) -> None:
        if self.fails:
            raise FeedbackTransient("the stream is full")
        self.events += events

    @override
    async def add_impressions(self, impressions: Sequence[Impression]) -> None:
        if self.fails:
            raise FeedbackTransient("the stream is full")
        self.impressions += impressions


class KeptServed(Served):
    """Counts that nobody takes away."""

    @override
    async def flush(self, *_: object) -> None:
        pass

    def counts(self, of: int) -> dict[str, int]:
        """Return those of a version on trial."""
        return {what: n for (version, what), n in self._counts.items() if version == of}


class FakePolicy:
    """Writes the query's first word and the version; the version changes only between two batches."""

    base_model = "fake"

    def __init__(self) -> None:
        self.version = 0
        self.versions = {0}
        self.batches: list[tuple[int, int, bool]] = []
        self.fails = False
        self.is_closed = False

    def sample(
        self, prompts: Sequence[Prompt], *, n: int, seed: int | None = None, greedy: bool = False
    ) -> list[list[Rewrite]]:
        if self.fails:
            raise RuntimeError("out of memory")
        assert seed is None
        self.batches.append((len(prompts), n, greedy))
        return [[Rewrite(text=prompt.query.split()[0], version=self.version)] * n for prompt in prompts]

    def hold(self, state: Mapping[str, Any], version: int) -> None:
        if state:
            raise BadWeights("adapter: is not empty")
        self.versions.add(version)

    def keep(self, versions: AbstractSet[int]) -> None:
        self.versions &= versions

    def use(self, version: int) -> None:
        if version not in self.versions:
            raise Transient(f"does not hold version {version}")
        self.version = version

    def close(self) -> None:
        self.is_closed = True


class FakePopularity(Popularity):
    """What a test says; nothing is read."""

    def __init__(self) -> None:
        self.asked: dict[str, float | None] = {}

    @override
    async def searches(self, query: str, segment: str = "all") -> float | None:
        return self.asked.get(query, 0.0)


class KnownFromTest(Known):
    """What a test says is known; nothing is read."""

    @override
    async def refresh(self) -> None:
        return


def verdict(query: str, text: str, **more: Any) -> Verified:  # noqa: ANN401
    """Return a verdict on the pages that `FakeCatalogue` shows."""
    more = {"fingerprint": fingerprint(RAW, ["new-1", *RAW], 10), **more}
    return Verified(
        query=query,
        text=text,
        gain=0.1,
        gain_sd=0.01,
        p_harm=0.0,
        support=5.0,
        changes=bool(text),
        evidence_seq=1,
        made_at_ms=0,
        **more,
    )


LENDS = LendingTerms(lends=True, similarity=0.2, least_gain=0.15)


def index_of(*verdicts: Verified, terms: LendingTerms = LENDS) -> VerifiedIndex:
    index = VerifiedIndex()
    index.terms = terms
    for one in verdicts:
        index.put(f"all|{one.query}", one)
    return index


def settings_of(access: Mapping[str, Any] | None = None, **serve: Any) -> Settings:  # noqa: ANN401
    shares = {"holdback_share": 0.0, "explore_share": 0.0, "raw_share": 0.0, "deadline_s": 0.05}
    return Settings.model_validate({"access": access or {}, "serve": {**shares, **serve}})


class World:
    """A gateway's parts, all fake, Redis away."""

    def __init__(
        self,
        *verdicts: Verified,
        access: Mapping[str, Any] | None = None,
        **serve: Any,  # noqa: ANN401
    ) -> None:
        self.settings = settings_of(access, **serve)
        self.catalogue = FakeCatalogue()
        self.rewriter = FakeRewriter()
        self.cache = FakeCache()
        self.writer = FakeWriter()
        self.clock = ManualClock(NOW_MS)
        self.state = Redis.from_url("redis://127.0.0.1:1/0")
        self.known = KnownFromTest(self.state, Keys(), index_of(*verdicts))
        self.popularity = FakePopularity()
        self.shedder = Shedder(self.state, Keys(), self.settings.feedback)
        self.impressions = ImpressionBuffer(
            self.writer, capacity=self.settings.serve.impression_buffer, shedder=self.shedder
        )

    @property
    def parts(self) -> Parts:
        return Parts(
            settings=self.settings,
            catalogue=self.catalogue,
            state=self.state,
            cache=self.cache,
            known=self.known,
            rewriter=self.rewriter,
            signer=SIGNER,
            writer=self.writer,
            impressions=self.impressions,
            shedder=self.shedder,
            popularity=self.popularity,
            pins=Pins(None, self.settings.keys, self.clock, ttl_s=self.settings.serve.pin_ttl_s),
            clock=self.clock,
            rng=random.Random(0),
        )
