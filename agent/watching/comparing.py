"""The arms against holdback, as the ledger's newest rows tell it. Pure.

Guarantees that both sides of a comparison are alike but for what they were shown: pages that would have
explored stand against pages of holdback that would have, by band and by rung the same queries on both sides
(a query belongs to the band and the rung of its newest page that has one). The unit is the client
(`agent.evaluate.lift`), and clients in quarantine are left out. Says nothing about pages too young for their
clicks, which both sides have alike.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from agent.evaluate.lift import lift
from agent.watching import metrics
from agent.watching.fact import Facts
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.reading import query_field
from feedback.records import Action, Arm

TREATED = frozenset({Arm.STABLE, Arm.CANARY, Arm.EXPLORE})
"""Who is outside holdback; pages that a shop reported or a log holds are in none of these."""
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Page:
    """What became of one first page."""

    client: str
    arm: Arm
    query: str
    aside: bool
    clicked: bool
    bought: bool


@dataclass(kw_only=True)
class Seen:
    """Pages, and of each query the band and the rung of its newest page that has one."""

    pages: list[Page] = field(default_factory=list)
    band: dict[str, str] = field(default_factory=dict)
    rung: dict[str, str] = field(default_factory=dict)


MEASURES: Mapping[str, Callable[[Page], bool]] = {
    "clicks": lambda page: page.clicked,
    "purchases": lambda page: page.bought,
    "abandoned": lambda page: not page.clicked,
}


def seen_in(rows: Iterable[LedgerRow], left_out: AbstractSet[str] = frozenset()) -> Seen:
    """Return the pages that count, of rows the newest first."""
    counts: Counter[str] = Counter()
    acted: Counter[tuple[str, Action]] = Counter()
    shown: dict[str, LedgerRow] = {}
    for row in rows:
        if row.client in left_out or row.arm not in TREATED | {Arm.HOLDBACK}:
            continue
        if row.gives == "page":
            counts[row.query_id] += row.sign
            shown.setdefault(row.query_id, row)
        elif row.gives == "action" and row.action is not None:
            acted[row.query_id, row.action] += row.sign
    seen = Seen()
    for query_id, row in ((name, one) for name, one in shown.items() if counts[name] > 0):
        query = query_field(row.segment, row.query)
        _place(seen, query, row)
        seen.pages.append(
            Page(
                client=row.client,
                arm=row.arm,
                query=query,
                aside=row.aside,
                clicked=acted[query_id, Action.CLICK] > 0,
                bought=acted[query_id, Action.PURCHASE] > 0,
            )
        )
    return seen


def _place(seen: Seen, query: str, row: LedgerRow) -> None:
    """Take in the band and the rung of a page, unless a newer one told them."""
    if row.band:
        seen.band.setdefault(query, row.band.value)
    if row.rung and row.arm is not Arm.HOLDBACK:
        seen.rung.setdefault(query, row.rung.value)


def compared(seen: Seen) -> Facts:
    """Return the lifts with their intervals, of what enough clients tell."""
    lifts: dict[tuple[str, ...], float] = {}
    held = [page for page in seen.pages if page.arm is Arm.HOLDBACK]
    treated = [page for page in seen.pages if page.arm in TREATED]
    _compare(lifts, ("treated", ALL, ALL), treated, held)
    for arm in sorted(TREATED):
        explores = arm is Arm.EXPLORE
        own = [page for page in treated if page.arm is arm]
        _compare(lifts, (arm.value, ALL, ALL), own, [page for page in held if page.aside is explores])
    for by, of in (("band", seen.band), ("rung", seen.rung)):
        for name in sorted(set(of.values())):
            sides = ([p for p in side if of.get(p.query) == name] for side in (treated, held))
            _compare(lifts, ("treated", by, name), *sides)
    arms = Counter(page.arm.value for page in seen.pages)
    return {metrics.LIFT: lifts, metrics.COMPARED: {(arm,): float(n) for arm, n in arms.items()}}


def _compare(
    lifts: dict[tuple[str, ...], float],
    of: tuple[str, str, str],
    treated: Sequence[Page],
    held: Sequence[Page],
) -> None:
    arm, *slice_ = of
    for measure, holds in MEASURES.items():
        found = lift(_by_client(treated, holds), _by_client(held, holds))
        if found is not None:
            for bound, value in (("mean", found.lift), ("low", found.low), ("high", found.high)):
                lifts[arm, measure, *slice_, bound] = value


def _by_client(pages: Sequence[Page], holds: Callable[[Page], bool]) -> dict[str, tuple[float, float]]:
    counted: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for page in pages:
        counted[page.client][0] += 1
        counted[page.client][1] += holds(page)
    return {client: (shown, hits) for client, (shown, hits) in counted.items()}
