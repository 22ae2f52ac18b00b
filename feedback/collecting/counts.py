"""Counters of what the collectors applied and dropped, over all partitions: the live view's figures."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from redis.asyncio import Redis

from feedback.evidence.decay import as_text
from feedback.keys import Keys
from feedback.records import Arm

Measure = Literal["impressions", "clicks", "add_to_carts", "purchases"]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What was applied since the store began; a page is rewritten if a rewrite that is not empty made it."""

    applied: Counter[tuple[str, str, bool]]
    """By measure, arm and whether the page was rewritten."""
    dropped: Counter[str]
    """By reason."""
    would: Counter[str]
    """Pages in shadow, by the rung that would have answered."""
    newest_click_at_ms: int
    """0 before the first click."""
    orders: Counter[str] = field(default_factory=Counter)
    """Purchases and returns that were taken, those that found their page by each rule, and what became of
    them; see `feedback.collecting.accounts`."""

    def of(self, measure: Measure, *, arm: Arm | None = None, rewritten: bool | None = None) -> int:
        """Return how many, over all arms and pages unless one is named."""
        return sum(
            n
            for (name, of_arm, made), n in self.applied.items()
            if name == measure and arm in (None, of_arm) and rewritten in (None, made)
        )

    def click_through(self, *, arm: Arm | None = None, rewritten: bool | None = None) -> float | None:
        """Return clicks an impression; None where nothing was shown."""
        shown = self.of("impressions", arm=arm, rewritten=rewritten)
        return self.of("clicks", arm=arm, rewritten=rewritten) / shown if shown else None


async def read_counts(redis: Redis, keys: Keys) -> Counts:
    """Read the counters of all partitions."""
    async with redis.pipeline(transaction=False) as pipe:
        for p in range(keys.partitions):
            pipe.hgetall(keys.counts(p))
        replies = await pipe.execute()
    return parse_counts((as_text(name), as_text(value)) for reply in replies for name, value in reply.items())


def parse_counts(fields: Iterable[tuple[str, str]]) -> Counts:
    """Sum the fields of the partitions' hashes."""
    applied: Counter[tuple[str, str, bool]] = Counter()
    dropped: Counter[str] = Counter()
    orders, would = Counter[str](), Counter[str]()
    newest_ms = 0
    for field_name, value in fields:
        match field_name.split("|"):
            case [measure, arm, made]:
                applied[measure, arm, made == "rewritten"] += int(value)
            case ["dropped", reason]:
                dropped[reason] += int(value)
            case ["orders", name]:
                orders[name] += int(value)
            case ["would", rung]:
                would[rung] += int(value)
            case ["newest_click_at_ms"]:
                newest_ms = max(newest_ms, int(value))
            case _:
                continue
    return Counts(applied=applied, dropped=dropped, newest_click_at_ms=newest_ms, orders=orders, would=would)
