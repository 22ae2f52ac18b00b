"""Which clients click as one: groups that agree, held against what rank and all others' liking explain. Pure.

Groups are looked for among clicks that say something of who clicks: on things that clients, each weighing the
less the more it clicks, click less often than `UNLIKELY` where they stand. So neither a liked thing nor a
cloak of ordinary clicks joins or hides anybody. A group's things are what several of it clicked. A member is
judged by the pages that it saw, so that it is no sign to search for rare things: each showing of such a thing
is expected to be clicked as often as the clients outside the group clicked it for that query, shrunk to the
click rate of the rank. A member whose clicks pass that by ``ring_surprise`` nats (the log-likelihood ratio of
a Poisson count; Kulldorff, Communications in Statistics 1997) is of the ring, and any other client that does
so with the same things joins it. Groups are judged again without those that left, until they stand.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from math import log

from feedback.evidence.ledger import LedgerRow
from feedback.guard.agreement import Thing, groups
from feedback.settings import GuardSettings
from feedback.text import digest

SHRUNK_BY = 5.0
"""Showings that the rank's own click rate is worth beside the others' of a thing."""
SUPPORT_SHARE = 0.1
"""Of a group, which must have clicked a thing for it to be the group's."""
UNLIKELY = 0.5
"""Chance of a click, below which it says something of who clicks."""
ROUNDS = 10
MOST_RANKS = 50


@dataclass(frozen=True, kw_only=True)
class Member:
    """A client that clicks with others as one."""

    client: str
    """A digest."""
    ring: str
    """A name that its members share."""
    score: float
    """Nats against chance."""


@dataclass(kw_only=True)
class Seen:
    """What clients were shown and what they clicked of it."""

    shown: dict[str, dict[Thing, int]] = field(default_factory=lambda: defaultdict(dict))
    """By client, the best rank of each thing."""
    clicked: dict[str, set[Thing]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, rows: Iterable[LedgerRow]) -> "Seen":
        """Read rows in any order; actions without a page are left out: nothing says what was passed over."""
        seen = cls()
        for row in rows:
            if row.kind == "page":
                shown = seen.shown[row.client]
                for rank, object_id in enumerate(row.object_ids, start=1):
                    thing = (row.segment, row.query, object_id)
                    shown[thing] = min(rank, shown.get(thing, MOST_RANKS))
            elif row.kind == "action" and row.rank:
                seen.clicked[row.client].add((row.segment, row.query, row.object_ids[0]))
        for client, things in seen.clicked.items():
            things.intersection_update(seen.shown.get(client, {}).keys())
        return seen


def rings(seen: Seen, settings: GuardSettings) -> list[Member]:
    """Return the clients that click as one, each in the ring that it was found in first."""
    totals = _Totals(seen)
    found: dict[str, Member] = {}
    chances = {
        client: {d: totals.chance(d, rank) for d, rank in shown.items() if totals.clicked[d] > 1}
        for client, shown in seen.shown.items()
        if len(seen.clicked.get(client, ())) >= settings.ring_shared
    }
    for group in groups(_unlikely(seen, chances), chances, settings):
        members = _standing(group, seen, totals, settings)
        name = digest("\x1f".join(sorted(members)))
        for client, score in members.items():
            found.setdefault(client, Member(client=client, ring=name, score=score))
    return list(found.values())


class _Totals:
    """Showings and clicks of each thing, and of each rank, by all clients."""

    def __init__(self, seen: Seen) -> None:
        self.shown: Counter[Thing] = Counter()
        self.clicked: Counter[Thing] = Counter()
        self._weighed_shown: defaultdict[Thing, float] = defaultdict(float)
        self._weighed_clicked: defaultdict[Thing, float] = defaultdict(float)
        shown_at, clicked_at = defaultdict[int, float](float), defaultdict[int, float](float)
        for client, things in seen.shown.items():
            clicks = seen.clicked.get(client, set())
            self.shown.update(things.keys())
            self.clicked.update(clicks)
            weight = 1.0 / (1 + len(clicks))
            for thing, rank in things.items():
                clicked = weight * (thing in clicks)
                self._weighed_shown[thing] += weight
                self._weighed_clicked[thing] += clicked
                shown_at[rank] += weight
                clicked_at[rank] += clicked
        self.by_rank = {rank: (clicked_at[rank] + 0.1) / (n + 1) for rank, n in shown_at.items()}

    def chance(self, thing: Thing, rank: int) -> float:
        """Return how likely a click is where it stands; a client weighs the less the more it clicks."""
        weight = SHRUNK_BY / 2  # a client's that clicks once
        clicked = self._weighed_clicked[thing] + weight * self.by_rank[rank]
        return clicked / (self._weighed_shown[thing] + weight)


def _unlikely(seen: Seen, chances: Mapping[str, Mapping[Thing, float]]) -> dict[str, set[Thing]]:
    """Return of each client's clicks those that few would have made."""
    return {
        client: {thing for thing in things if chances[client].get(thing, 1.0) < UNLIKELY}
        for client, things in seen.clicked.items()
        if client in chances
    }


def _standing(
    group: frozenset[str], seen: Seen, totals: _Totals, settings: GuardSettings
) -> dict[str, float]:
    """Return the members that stand with their scores; none where fewer than a ring's are left."""
    kept = dict.fromkeys(group, 0.0)
    for _ in range(ROUNDS):
        members = set(kept)
        scores = _scores(_things(members, seen), members, seen, totals)
        kept = {client: score for client, score in scores.items() if score >= settings.ring_surprise}
        if len(kept) < settings.ring_clients:
            return {}
        if kept.keys() == members:
            break
    return kept


def _things(members: AbstractSet[str], seen: Seen) -> set[Thing]:
    """Return what enough of the members clicked."""
    support = Counter(thing for client in members for thing in seen.clicked.get(client, ()))
    least = max(3.0, SUPPORT_SHARE * len(members))
    return {thing for thing, n in support.items() if n >= least}


def _scores(
    things: AbstractSet[Thing], members: AbstractSet[str], seen: Seen, totals: _Totals
) -> dict[str, float]:
    """Return by how much the clicks of each client that was shown the things pass what is expected."""
    ours_shown, ours_clicked = Counter[Thing](), Counter[Thing]()
    for client in members:
        ours_shown.update(seen.shown.get(client, {}).keys() & things)
        ours_clicked.update(seen.clicked.get(client, set()) & things)
    scores: dict[str, float] = {}
    for client, shown in seen.shown.items():
        met = shown.keys() & things
        clicks = len(seen.clicked.get(client, set()) & met)
        if clicks:
            expected = sum(
                _chance(thing, shown[thing], totals, ours_shown[thing], ours_clicked[thing]) for thing in met
            )
            scores[client] = _surprise(clicks, expected)
    return scores


def _chance(thing: Thing, rank: int, totals: _Totals, ours_shown: int, ours_clicked: int) -> float:
    """Return how likely a client clicks a thing at a rank, by the clients outside the group."""
    shown = totals.shown[thing] - ours_shown
    clicked = totals.clicked[thing] - ours_clicked
    return (clicked + SHRUNK_BY * totals.by_rank[rank]) / (shown + SHRUNK_BY)


def _surprise(clicks: int, expected: float) -> float:
    """Return the log-likelihood ratio of a count above its expectation, else 0."""
    return clicks * log(clicks / expected) - (clicks - expected) if clicks > expected else 0.0
