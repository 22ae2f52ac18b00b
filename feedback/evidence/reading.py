"""What shoppers did with an object on a query's pages, and how it is read back from Redis.

Guarantees: figures are effective counts as of the clock's time (forward decay), purchases with those still to
come (`feedback.evidence.delays`); the two folds hold disjoint
clients. A hash field is ``fold|measure|object``. Writing is the collector's business alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from redis.asyncio import Redis

from feedback.clock import Clock
from feedback.evidence.crowds import CrowdReader
from feedback.evidence.decay import Decay
from feedback.evidence.maturity import MaturityReader
from feedback.keys import Keys
from feedback.settings import ActionWeight, FeedbackSettings
from feedback.text import bucket, normalise

FOLDS = 2
EXAMINATIONS = "e"
IMPRESSIONS = "i"
TRUSTED = "t"
VALUE = "v"
MEASURES = {
    EXAMINATIONS: "examinations",
    IMPRESSIONS: "impressions",
    TRUSTED: "trusted",
    "c": "clicks",
    "b": "add_to_carts",
    "p": "purchases",
    VALUE: "value",
}
"""One letter in a hash field for each measure of ObjectEvidence."""
COMES_LATE = frozenset({"p", VALUE})
"""Measures of which some of what was shown is still to come."""
ACTION_MEASURE = {"click": "c", "add_to_cart": "b", "purchase": "p"}


def fold_of(client_id: str) -> int:
    """Return the client's fold, 0 or 1: clients are split once, for all queries."""
    return bucket(client_id, FOLDS, salt="fold")


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectEvidence:
    """Effective counts of one object; ``examinations`` weighs each showing by how likely its rank is seen."""

    examinations: float = 0.0
    impressions: float = 0.0
    clicks: float = 0.0
    add_to_carts: float = 0.0
    purchases: float = 0.0
    value: float = 0.0
    """Units of currency that its purchases were worth, each up to ``action_weight.most_value_minor``."""
    trusted: float = 0.0
    """Clicks that its ranks would have got whatever stood there."""

    def __add__(self, other: "ObjectEvidence") -> "ObjectEvidence":
        return ObjectEvidence(
            examinations=self.examinations + other.examinations,
            impressions=self.impressions + other.impressions,
            clicks=self.clicks + other.clicks,
            add_to_carts=self.add_to_carts + other.add_to_carts,
            purchases=self.purchases + other.purchases,
            value=self.value + other.value,
            trusted=self.trusted + other.trusted,
        )

    def actions(self, weight: ActionWeight) -> float:
        """Return the weighted sum of what was done with it, clicks that its ranks explain left out."""
        return (
            max(0.0, self.clicks - self.trusted) * weight.click
            + self.add_to_carts * weight.add_to_cart
            + self.purchases * weight.purchase
            + self.value * weight.value
        )


Fold = Mapping[str, ObjectEvidence]
"""Evidence by object_id."""


def merge(folds: Iterable[Fold]) -> dict[str, ObjectEvidence]:
    """Return the sum of folds, object by object."""
    merged: dict[str, ObjectEvidence] = {}
    for one in folds:
        for object_id, evidence in one.items():
            merged[object_id] = merged[object_id] + evidence if object_id in merged else evidence
    return merged


def parse(stored: Mapping[bytes, bytes], factor: float, *, matured: float = 1.0) -> tuple[Fold, Fold]:
    """Return the folds that a hash of ``fold|measure|object`` holds; fields of another form are left out.

    Args:
        stored: the hash.
        factor: by which its weights fade (`feedback.evidence.decay`).
        matured: share of the purchases of what was shown that has come; purchases and their value are
            divided by it.
    """
    by = {measure: factor / matured if measure in COMES_LATE else factor for measure in MEASURES}
    raw: tuple[dict[str, dict[str, float]], ...] = tuple({} for _ in range(FOLDS))
    for name, value in stored.items():
        parts = name.decode().split("|", 2)
        if len(parts) == 3 and parts[1] in MEASURES:  # noqa: PLR2004 - fold, measure, object
            raw[int(parts[0])].setdefault(parts[2], {})[MEASURES[parts[1]]] = float(value) * by[parts[1]]
    first, second = ({d: ObjectEvidence(**m) for d, m in one.items()} for one in raw)
    return first, second


@dataclass(frozen=True, kw_only=True)
class QueryEvidence:
    """All that is known of a query in a segment, as of ``at_ms``."""

    query: str
    """Normalised."""
    segment: str = "all"
    seq: int = 0
    """Of the newest evidence, in the query's partition; 0 where there is none."""
    at_ms: int = 0
    folds: tuple[Fold, Fold] = field(default_factory=lambda: ({}, {}))

    def fold(self, i: int) -> Fold:
        """Return one half of the clients."""
        return self.folds[i]

    def merged(self) -> Fold:
        """Return both halves together."""
        return self._merged

    @cached_property
    def _merged(self) -> Fold:
        return merge(self.folds)

    @property
    def has_impressions(self) -> bool:
        """Whether any page was logged; a played click log has none."""
        return any(e.examinations > 0 for e in self._merged.values())

    @property
    def clicks(self) -> float:
        """Effective clicks over all objects."""
        return sum(e.clicks for e in self._merged.values())


@dataclass(frozen=True, kw_only=True)
class ShopTotals:
    """What every object earned over all queries of all segments, and the shop's mean."""

    folds: tuple[Fold, Fold]
    mu: float
    """Mean attractiveness: weighted actions an examination; 0 before there are impressions."""

    @cached_property
    def objects(self) -> Fold:
        """Both folds together."""
        return merge(self.folds)

    @cached_property
    def total(self) -> ObjectEvidence:
        """The sum over all objects."""
        return sum(self.objects.values(), start=ObjectEvidence())

    def object(self, object_id: str) -> ObjectEvidence:
        """Return an object's totals; zeros where nothing is known."""
        return self.objects.get(object_id, ObjectEvidence())


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """A query that has new evidence."""

    partition: int
    seq: int
    segment: str
    query: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """How far a partition's evidence has come."""

    seq: int
    newest_click_at_ms: int
    """When the newest applied click happened; 0 before the first."""


def query_field(segment: str, query: str) -> str:
    """Return ``segment|query``, the name of a query in hashes and sorted sets."""
    return f"{segment}|{query}"


def of_field(name: str) -> tuple[str, str]:
    """Return the segment and the query that `query_field` named."""
    segment, _, query = name.partition("|")
    return segment, query


async def load_decay(redis: Redis, keys: Keys, settings: FeedbackSettings) -> Decay | None:
    """Return the decay that the stored evidence was made with; None before the first record."""
    stored = await redis.get(keys.landmark())
    return Decay.decode(stored, half_life_s=settings.half_life_s) if stored else None


class EvidenceReader:
    """Reads evidence; safe to use from any number of processes."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self.crowds = CrowdReader(redis, keys, settings.min_clients)
        self._decay: Decay | None = None
        self._maturity = MaturityReader(redis, keys, settings, clock)

    async def moved(self, since: Mapping[int, int], limit: int) -> list[Moved]:
        """Return queries whose evidence is newer than ``since[partition]``, oldest first in a partition.

        At most ``limit``, the partitions in turn, so that none starves.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for p in range(self._keys.partitions):
                low = f"({since.get(p, 0)}"
                pipe.zrangebyscore(self._keys.moved(p), low, "+inf", start=0, num=limit, withscores=True)
            replies = await pipe.execute()
        columns = [[_moved(p, *item) for item in reply] for p, reply in enumerate(replies)]
        turns = sorted((i, p) for p, column in enumerate(columns) for i in range(len(column)))
        return [columns[p][i] for i, p in turns[:limit]]

    async def heads(self) -> dict[int, Head]:
        """Return how far each partition has come."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for p in range(self._keys.partitions):
                pipe.hmget(self._keys.counts(p), "seq", "newest_click_at_ms")
            replies = await pipe.execute()
        return {p: Head(seq=int(s or 0), newest_click_at_ms=int(t or 0)) for p, (s, t) in enumerate(replies)}

    async def read(self, queries: Sequence[str], segment: str = "all") -> list[QueryEvidence]:
        """Return the evidence of each query, in their order.

        A query that is unknown, or that too few clients have asked, has empty folds.
        """
        names = [normalise(query) for query in queries]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(self._keys.evidence(name, segment))
                pipe.zscore(self._keys.moved(self._keys.partition_of(name)), query_field(segment, name))
                self.crowds.queue(pipe, query_field(segment, name))
            replies = await pipe.execute()
        now_ms = self._clock()
        factor, matured = await self._factor(now_ms), await self._maturity.matured()
        return [
            QueryEvidence(
                query=q,
                segment=segment,
                seq=int(seq or 0),
                at_ms=now_ms,
                folds=parse(stored if self.crowds.enough(crowd) else {}, factor, matured=matured),
            )
            for q, stored, seq, crowd in zip(names, replies[::3], replies[1::3], replies[2::3], strict=True)
        ]

    async def totals(self) -> ShopTotals:
        """Return every object's totals; reads the whole family, so call it once a pass."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for p in range(self._keys.partitions):
                pipe.hgetall(self._keys.objects(p))
            replies = await pipe.execute()
        factor, matured = await self._factor(self._clock()), await self._maturity.matured()
        parsed = [parse(reply, factor, matured=matured) for reply in replies]
        folds = merge(one for one, _ in parsed), merge(other for _, other in parsed)
        return ShopTotals(folds=folds, mu=mean_attractiveness(folds, self._settings.action_weight))

    async def popular(self, limit: int) -> list[tuple[str, float]]:
        """Return the most searched queries of all segments with their effective searches, most first.

        Those that too few clients have asked are left out.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for p in range(self._keys.partitions):
                pipe.hgetall(self._keys.queries(p))
            replies = await pipe.execute()
        factor = await self._factor(self._clock())
        asked = {name.decode(): float(value) for reply in replies for name, value in reply.items()}
        weights: dict[str, float] = {}
        for name in await self.crowds.visible(asked):
            query = of_field(name)[1]
            weights[query] = weights.get(query, 0.0) + asked[name] * factor
        return sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:limit]

    async def searches(self, queries: Sequence[str], segment: str = "all") -> dict[str, float]:
        """Return how often each query was asked, effective; those never asked are left out."""
        by_partition: dict[int, list[str]] = {}
        for query in queries:
            by_partition.setdefault(self._keys.partition_of(query), []).append(query)
        async with self._redis.pipeline(transaction=False) as pipe:
            for p, some in by_partition.items():
                pipe.hmget(self._keys.queries(p), [query_field(segment, query) for query in some])
            replies = await pipe.execute()
        factor = await self._factor(self._clock())
        return {
            query: float(value) * factor
            for some, reply in zip(by_partition.values(), replies, strict=True)
            for query, value in zip(some, reply, strict=True)
            if value is not None
        }

    async def public(self, texts: Iterable[str], segment: str) -> frozenset[str]:
        """Return those texts that enough clients have asked themselves: any other may hold a name."""
        visible = await self.crowds.visible(query_field(segment, text) for text in texts)
        return frozenset(of_field(name)[1] for name in visible)

    async def factor(self) -> float:
        """Return what stored weights are multiplied by to be effective counts as of now."""
        return await self._factor(self._clock())

    async def _factor(self, now_ms: int) -> float:
        self._decay = self._decay or await load_decay(self._redis, self._keys, self._settings)
        return self._decay.factor(now_ms) if self._decay else 0.0


def _moved(partition: int, name: bytes, seq: float) -> Moved:
    segment, query = of_field(name.decode())
    return Moved(partition=partition, seq=int(seq), segment=segment, query=query)


def mean_attractiveness(folds: Iterable[Fold], action_weight: ActionWeight) -> float:
    """Return weighted actions an examination over all shown objects; 0 where nothing was shown."""
    shown = [e for one in folds for e in one.values() if e.examinations > 0]
    examinations = sum(max(e.examinations, e.clicks) for e in shown)
    return sum(e.actions(action_weight) for e in shown) / examinations if examinations else 0.0
