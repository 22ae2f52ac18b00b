"""Collector, guard, search for rings and verifier over an attacked shop's records, and what they learned."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from typing import Any

from redis.asyncio import Redis

from agent.settings import Settings
from agent.verify.store import VerdictWriter
from agent.verify.verifier import Verifier
from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.delivery.streams import StreamWriter
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.ledger_days import days_back, newest_rows
from feedback.evidence.reading import EvidenceReader
from feedback.evidence.reward import attractiveness
from feedback.guard.quarantine import Quarantine, RingSearch
from feedback.records import Event, Impression
from feedback.stores import connect, forget
from feedback.text import digest
from tests.service.attacked_crowd import DAY_MS, START_MS, Crowd, Record, when
from tests.service.attacked_shop import Intent, World
from tests.service.attackers import Attack, Band, Doing, day_of

LOOKS_A_DAY = 4
"""Between which the collector is left behind: rings are searched after each."""
AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One run."""

    seed: int
    doing: Doing | None = None
    guard: bool = True
    clients: int = 800
    days: int = 2
    click_share: float = 0.2
    """Of all clicks, the attacker's."""
    client_share: float = 0.02
    networks: int = 50
    partitions: int = 2
    redis_url: str = "redis://127.0.0.1:6379/0"


@dataclass(kw_only=True)
class Outcome:
    """What the shop learned, and who was left out."""

    gain: float
    """True worth of what is served over raw, a search of a spoken word."""
    lists: float
    """The same of lists in the order of what objects are estimated to be worth: what rewards rest on."""
    unearned: float = 0.0
    """Estimated less true worth of what the attack is for, mean over its targets."""
    exposure: float = 0.0
    """Attention that the served pages give to junk over raw, a search."""
    verified: int = 0
    honest_clients_dropped: float = 0.0
    """Share in quarantine."""
    honest_clicks_dropped: float = 0.0
    """Share that teaches nothing, repetitions of a query and day left out."""
    honest_pages_dropped: float = 0.0
    attackers_caught: float = 0.0
    attack_clicks_counted: float = 0.0
    """Share of the attack's clicks that teach."""
    attack_clicks: int = 0
    honest_clicks: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it for a report."""
        return asdict(self)


def settings_of(scenario: Scenario) -> Settings:
    """Return a shop's settings with evidence of two days."""
    return Settings.model_validate(
        {
            "tenant": f"attacks-{scenario.seed}",
            "redis": {"state_url": scenario.redis_url, "partitions": scenario.partitions},
            "feedback": {
                "batch": 500,
                "lease_s": 60,
                "stream_maxlen": 100_000,
                "enough_examinations": 0.5,
                "guard": {"enabled": scenario.guard},
            },
            "verify": {
                "max_harm": 0.05,
                "prior_examinations": 2.0,
                "candidates": 6,
                "paired": 0,
                "min_lift": 1.2,
                "batch": 5000,
            },
        }
    )


async def play(scenario: Scenario) -> Outcome:
    """Run one scenario on a real Redis, from an empty shop; leave nothing there."""
    settings = settings_of(scenario)
    redis = connect(settings.redis.state_url, 20.0)
    try:
        await forget(redis, settings.tenant)
        return await _Run(redis, settings, scenario).outcome()
    finally:
        await forget(redis, settings.tenant)
        await redis.aclose()


class _Run:
    def __init__(self, redis: Redis, settings: Settings, scenario: Scenario) -> None:
        self.redis = redis
        self.settings = settings
        self.scenario = scenario
        self.clock = ManualClock(START_MS)
        keys, feedback = settings.keys, settings.feedback
        self.world = World(scenario.seed)
        self.crowd = Crowd(self.world, scenario.seed, clients=scenario.clients, keys=keys)
        self.writer = StreamWriter(redis, keys, feedback)
        self.collector = Collector(redis, keys, feedback, self.clock)
        self.rings = RingSearch(redis, keys, feedback, self.clock)
        self.reader = EvidenceReader(redis, keys, feedback, self.clock)
        self.verdicts = VerdictWriter(redis, keys)
        self.honest: list[Record] = []
        self.hostile: list[Record] = []
        self.targets: list[Intent] = []

    async def outcome(self) -> Outcome:
        for day in range(self.scenario.days):
            honest = self.crowd.day(day)
            hostile = self._attack(day, honest)
            self.honest += honest
            self.hostile += hostile
            await self._day(day, sorted([*honest, *hostile], key=when))
        await self._judge()
        return await self._figures()

    def _attack(self, day: int, honest: Sequence[Record]) -> list[Record]:
        one = self.scenario
        if one.doing is None:
            return []
        share, clicks = one.click_share, sum(isinstance(r, Event) for r in honest)
        band = Band(
            clients=max(1, round(len(self.crowd.clients) * one.client_share / (1 - one.client_share))),
            networks=one.networks,
            clicks=round(clicks * share / (1 - share)),
            seed=one.seed,
        )
        attack = Attack(self.crowd, band)
        attack.rng.seed(f"{one.seed} {day}")
        self.targets = attack.targets()
        return day_of(attack, one.doing, day, honest)

    async def _day(self, day: int, records: Sequence[Record]) -> None:
        for look in range(1, LOOKS_A_DAY + 1):
            until_ms = START_MS + day * DAY_MS + look * DAY_MS // LOOKS_A_DAY
            now = [r for r in records if until_ms - DAY_MS // LOOKS_A_DAY <= when(r) < until_ms]
            self.clock.now_ms = until_ms
            for start in range(0, len(now), AT_ONCE):
                some = now[start : start + AT_ONCE]
                await self.writer.add_impressions([r for r in some if isinstance(r, Impression)])
                await self.writer.add_events([r for r in some if isinstance(r, Event)])
                await self._collect()
            if self.scenario.guard:
                await self.rings.step()
                self.clock.advance(self.settings.feedback.guard.settle_s + 1)
                await self._collect()

    async def _collect(self) -> None:
        while await self.collector.step() or await self.collector.settled():
            pass

    async def _judge(self) -> None:
        verifier = Verifier(
            self.reader,
            CandidateReader(self.redis, self.settings.keys, self.reader),
            self.world,
            self.verdicts,
            self.settings,
            self.clock,
        )
        while (await verifier.step()).n:
            pass

    async def _figures(self) -> Outcome:
        verified = {v.query: v.text for v in (await self.verdicts.all()).values()}
        asked = {one.spoken: one for one in self.world.intents}
        weights = dict.fromkeys(asked, 0)
        for record in self.honest:
            if isinstance(record, Impression) and record.user_query in weights:
                weights[record.user_query] += 1
        total = sum(weights.values())
        gain = exposure = 0.0
        for query, intent in asked.items():
            served, raw = self.world.page(query, verified.get(query, "")), self.world.page(query)
            share = weights[query] / total
            gain += share * (self.world.dcg(intent, served) - self.world.dcg(intent, raw))
            exposure += share * (self.world.exposure(intent, served) - self.world.exposure(intent, raw))
        counts = await read_counts(self.redis, self.settings.keys)
        return Outcome(
            gain=gain,
            lists=await self._lists(weights),
            exposure=exposure,
            unearned=await self._unearned(),
            verified=sum(bool(verified.get(query)) for query in asked),
            dropped=dict(counts.dropped),
            **await self._left_out(),
        )

    async def _lists(self, weights: Mapping[str, int]) -> float:
        mu, gain = (await self.reader.totals()).mu, 0.0
        evidence = await self.reader.read([one.spoken for one in self.world.intents])
        for intent, one in zip(self.world.intents, evidence, strict=True):
            worth = attractiveness(one.merged(), mu=mu, alpha=2.0, settings=self.settings.feedback)
            raw = self.world.page(intent.spoken)
            ranked = sorted(dict.fromkeys([*worth, *raw]), key=lambda d: -worth.get(d, 0.0))
            better = self.world.dcg(intent, ranked) - self.world.dcg(intent, raw)
            gain += better * weights[intent.spoken] / sum(weights.values())
        return gain

    async def _unearned(self) -> float:
        if not self.targets:
            return 0.0
        mu = (await self.reader.totals()).mu
        evidence = await self.reader.read([one.spoken for one in self.targets])
        excess = 0.0
        for intent, one in zip(self.targets, evidence, strict=True):
            worth = attractiveness(one.merged(), mu=mu, alpha=2.0, settings=self.settings.feedback)
            excess += worth.get(intent.junk[0], 0.0) - intent.worth[intent.junk[0]]
        return excess / len(self.targets)

    async def _left_out(self) -> dict[str, Any]:
        quarantined = {
            c
            for c, v in (await Quarantine(self.redis, self.settings.keys, self.clock).all()).items()
            if not v.released
        }
        pages, events = await self._taught(quarantined)
        bad = {digest(r.client_id) for r in self.hostile}
        good = {digest(one.client_id) for one in self.crowd.clients}
        clicks = [r.event_id for r in self.honest if isinstance(r, Event)]
        shown = [r.query_id for r in self.honest if isinstance(r, Impression)]
        hostile = [r.event_id for r in self.hostile if isinstance(r, Event)]
        return {
            "honest_clients_dropped": len(good & quarantined) / len(good),
            "attackers_caught": len(bad & quarantined) / len(bad) if bad else 0.0,
            "honest_clicks_dropped": sum(c not in events for c in clicks) / len(clicks),
            "honest_pages_dropped": sum(p not in pages for p in shown) / len(shown),
            "attack_clicks_counted": (
                sum(events.get(c, False) for c in hostile) / len(hostile) if hostile else 0.0
            ),
            "attack_clicks": len(hostile),
            "honest_clicks": len(clicks),
        }

    async def _taught(self, quarantined: AbstractSet[str]) -> tuple[set[str], dict[str, bool]]:
        """Return the pages and events that stand, and of each event whether it counted for the first time."""
        pages, events = set[str](), dict[str, bool]()
        for p in range(self.settings.keys.partitions):
            days = days_back(self.clock(), self.scenario.days + 2)
            async for row in newest_rows(self.redis, self.settings.keys, p, days):
                if row.client in quarantined:
                    continue
                if row.kind == "page":
                    pages.add(row.query_id)
                elif row.kind == "action":
                    events[row.event_id] = not row.again
        return pages, events
