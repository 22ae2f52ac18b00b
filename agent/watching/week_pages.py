"""What a week's pages come to, as the ledger has them: by arm, rung, day and query, against holdback. Pure.

Rows are folded one by one, the newest first, so that a week need not be held as rows. A purchase counts for
the day when its page was shown. Clients in quarantine are left out, as is what was taken back.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from agent.evaluate.lift import Lift, lift
from agent.watching.comparing import TREATED
from feedback.evidence.ledger import LedgerRow, day_of
from feedback.evidence.ledger_days import DAY_MS
from feedback.evidence.reading import query_field
from feedback.records import Action, Arm, Rung

FEW = 20
"""Of the best, and of the worst queries."""


@dataclass(kw_only=True, slots=True)
class WeekPage:
    """One first page, and what was done on it."""

    client: str = ""
    query: str = ""
    """``segment|query``."""
    arm: Arm = Arm.LOG
    at_ms: int = 0
    rung: Rung | None = None
    rewritten: bool = False
    empty: bool = False
    aside: bool = False
    shown: int = 0
    """1, or 0 where its page was taken back or is not in the ledger."""
    clicks: int = 0
    purchases: int = 0
    value_minor: int = 0


@dataclass(kw_only=True)
class Folding:
    """Takes rows in."""

    from_ms: int
    """Pages shown before it are looked at for verified rewrites alone."""
    left_out: AbstractSet[str] = frozenset()
    by_id: dict[str, WeekPage] = field(default_factory=dict)
    verified_before: Counter[str] = field(default_factory=Counter)
    """By query, pages before the week that a verified rewrite made."""

    def add(self, row: LedgerRow) -> None:
        """Take in one row."""
        if row.client in self.left_out or not row.query_id:
            return
        if row.at_ms < self.from_ms:
            if row.gives == "page" and row.rung is Rung.VERIFIED and row.rewritten:
                self.verified_before[query_field(row.segment, row.query)] += row.sign
            return
        page = self.by_id.setdefault(row.query_id, WeekPage())
        if row.gives == "page":
            self._page(page, row)
        elif row.gives == "action":
            page.clicks += row.sign * (row.action is Action.CLICK)
            page.purchases += row.sign * (row.action is Action.PURCHASE)
            page.value_minor += row.sign * (row.value_minor if row.action is Action.PURCHASE else 0)

    @staticmethod
    def _page(page: WeekPage, row: LedgerRow) -> None:
        page.client, page.query = row.client, query_field(row.segment, row.query)
        page.arm, page.at_ms, page.rung = row.arm, row.at_ms, row.rung
        page.rewritten, page.empty, page.aside = row.rewritten, not row.object_ids, row.aside
        page.shown += row.sign

    def pages(self, since_ms: int) -> list[WeekPage]:
        """Return the pages that stand, shown from a time on."""
        return [one for one in self.by_id.values() if one.shown > 0 and one.at_ms >= since_ms]


Measure = Callable[[WeekPage], bool]
MEASURES: Mapping[str, Measure] = {
    "clicks": lambda page: page.clicks > 0,
    "purchases": lambda page: page.purchases > 0,
    "abandoned": lambda page: page.clicks <= 0,
    "empty": lambda page: page.empty,
}
"""What a page may come to, as `agent.watching.comparing` has it, and whether it was empty."""


def counted(pages: Iterable[WeekPage]) -> dict[str, int]:
    """Return plain counts of some pages."""
    sums: Counter[str] = Counter()
    for one in pages:
        sums["pages"] += 1
        sums["rewritten"] += one.rewritten
        sums["empty"] += one.empty
        sums["clicked"] += one.clicks > 0
        sums["clicks"] += one.clicks
        sums["purchases"] += one.purchases
        sums["value_minor"] += one.value_minor
    names = ("pages", "rewritten", "empty", "clicked", "clicks", "purchases", "value_minor")
    return {name: sums[name] for name in names}


def by_arm(pages: Sequence[WeekPage]) -> dict[str, dict[str, int]]:
    """Return the counts of each arm that had any page."""
    return _by(pages, lambda page: page.arm.value, [arm.value for arm in Arm])


def by_rung(pages: Sequence[WeekPage]) -> dict[str, dict[str, int]]:
    """Return the counts of each rung that answered."""
    names = [*(rung.value for rung in Rung), "unknown"]
    return _by(pages, lambda page: page.rung.value if page.rung else "unknown", names)


def _by(
    pages: Sequence[WeekPage], name_of: Callable[[WeekPage], str], names: Sequence[str]
) -> dict[str, dict[str, int]]:
    groups: defaultdict[str, list[WeekPage]] = defaultdict(list)
    for page in pages:
        groups[name_of(page)].append(page)
    return {name: counted(groups[name]) for name in names if name in groups}


def lifts(pages: Sequence[WeekPage]) -> dict[str, dict[str, float] | None]:
    """Return all but holdback against holdback, by measure; None where too few clients tell."""
    treated, held = sides(pages)
    return {name: against(treated, held, holds) for name, holds in MEASURES.items()}


def lift_by_arm(pages: Sequence[WeekPage]) -> dict[str, dict[str, float] | None]:
    """Return the clicks of each arm against pages of holdback that are like its own."""
    _, held = sides(pages)
    found = {}
    for arm in sorted(TREATED):
        own = [page for page in pages if page.arm is arm]
        like = [page for page in held if page.aside is (arm is Arm.EXPLORE)]
        if own:
            found[arm.value] = against(own, like, MEASURES["clicks"])
    return found


def by_day(pages: Sequence[WeekPage], from_ms: int, until_ms: int) -> list[dict[str, Any]]:
    """Return each day's counts by arm, and the lift in clicks from the start to its end."""
    of_day: defaultdict[int, list[WeekPage]] = defaultdict(list)
    for page in pages:
        of_day[page.at_ms // DAY_MS].append(page)
    treated, held, days, found = _Clients(), _Clients(), [], None
    for day in range(from_ms // DAY_MS, until_ms // DAY_MS + 1):
        if new := of_day[day]:
            for side, some in zip((treated, held), sides(new), strict=True):
                side.add(some, MEASURES["clicks"])
            found = _told(lift(treated.told, held.told))
        days.append(
            {
                "day": day_of(day * DAY_MS),
                "at_ms": day * DAY_MS,
                "arms": by_arm(new),
                "lift": found,
            }
        )
    return days


def against(treated: Iterable[WeekPage], held: Iterable[WeekPage], holds: Measure) -> dict[str, float] | None:
    """Return the relative difference of two sides, by client, with its 95 % interval."""
    return _told(lift(_by_client(treated, holds), _by_client(held, holds)))


def _told(found: Lift | None) -> dict[str, float] | None:
    return None if found is None else {"mean": found.lift, "low": found.low, "high": found.high}


def sides(pages: Sequence[WeekPage]) -> tuple[list[WeekPage], list[WeekPage]]:
    """Return the pages of the arms that are treated, and those of holdback."""
    treated = [page for page in pages if page.arm in TREATED]
    return treated, [page for page in pages if page.arm is Arm.HOLDBACK]


def _by_client(pages: Iterable[WeekPage], holds: Measure) -> dict[str, tuple[float, float]]:
    clients = _Clients()
    clients.add(pages, holds)
    return clients.told


@dataclass(kw_only=True)
class _Clients:
    """One side's pages by client, and of how many of them something holds."""

    told: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, pages: Iterable[WeekPage], holds: Measure) -> None:
        for page in pages:
            shown, hits = self.told.get(page.client, (0.0, 0.0))
            self.told[page.client] = (shown + 1, hits + holds(page))


def by_query(pages: Iterable[WeekPage]) -> dict[str, list[WeekPage]]:
    """Return the pages of both sides by query."""
    groups: defaultdict[str, list[WeekPage]] = defaultdict(list)
    for page in pages:
        if page.arm in TREATED or page.arm is Arm.HOLDBACK:
            groups[page.query].append(page)
    return groups


def query_lifts(groups: Mapping[str, Sequence[WeekPage]]) -> dict[str, dict[str, Any]]:
    """Return by query the clicks of both sides and the lift, of those on which enough clients tell."""
    found = {}
    for query, pages in groups.items():
        one = lifts(pages)["clicks"]
        if one is not None:
            treated, held = sides(pages)
            found[query] = {"treated": counted(treated), "held": counted(held), "lift": one}
    return found


def best_and_worst(measured: Mapping[str, Mapping[str, Any]], may_show: AbstractSet[str]) -> dict[str, Any]:
    """Return the queries that surely have more clicks and those that surely have fewer, as far as 95 % go.

    Of those that may be named, ranked by the interval's end that is nearer to 0: of many queries that few
    asked, those with the largest lift are those that were lucky.
    """
    told = [
        {"query": name.partition("|")[2], "segment": name.partition("|")[0], **one}
        for name, one in measured.items()
        if name in may_show
    ]
    best = [one for one in told if one["lift"]["low"] > 0]
    worst = [one for one in told if one["lift"]["high"] < 0]
    best.sort(key=lambda one: (-one["lift"]["low"], one["query"]))
    worst.sort(key=lambda one: (one["lift"]["high"], one["query"]))
    return {"best": best[:FEW], "worst": worst[:FEW], "better": len(best), "poorer": len(worst)}
