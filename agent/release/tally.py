"""What a trial's shoppers did, client by client, as the ledger tells it.

Guarantees that only pages count on which the two versions' lists differ (or their words, where the shop
searched itself), in both arms alike; that clicks count once a page is as old as clicks take, and purchases
once it is as old as they take, so that neither arm looks better by being looked at early. Everything follows
from the ledger's rows, so a process that starts anew reads them again.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

import numpy as np

from agent.release.sequences import Arm
from agent.release.trial import Arms
from feedback.evidence.ledger import LedgerRow
from feedback.records import Action
from feedback.records import Arm as Treatment
from feedback.version_records import Trial

AGAIN_MS = 60_000
"""A further search of the same client within it: the page did not serve."""
ARMS = (Treatment.CANARY, Treatment.STABLE)
OVERALL = (Treatment.CANARY, Treatment.HOLDBACK)


@dataclass(slots=True, eq=False)
class _Page:
    client: str
    arm: Treatment
    at_ms: int
    arrived_ms: int
    differs: bool
    clicked: bool = False
    bought: bool = False
    counts: bool = True
    """False: it was taken back, its query was only on its way to a longer one."""
    after_ms: int | None = None
    """Until the client searched again; None: it has not."""


_Waiting = tuple[int, int, _Page]
"""In a heap: when it was shown, a number that none shares, the page."""


class _Counts:
    """Pages and hits of each client in each arm."""

    def __init__(self, arms: Sequence[Treatment] = ARMS) -> None:
        self._by_arm: dict[Treatment, defaultdict[str, list[int]]] = {
            arm: defaultdict(lambda: [0, 0]) for arm in arms
        }

    def add(self, page: _Page, *, hit: bool) -> None:
        counted = self._by_arm[page.arm][page.client]
        counted[0] += 1
        counted[1] += hit

    def hit(self, page: _Page) -> None:
        """Count a hit on a page that was added without one."""
        self._by_arm[page.arm][page.client][1] += 1

    def take_back(self, page: _Page) -> None:
        """Undo the adding of a page."""
        counted = self._by_arm[page.arm][page.client]
        counted[0] -= 1
        counted[1] -= page.clicked
        if not counted[0]:
            del self._by_arm[page.arm][page.client]

    def arms(self, left_out: AbstractSet[str]) -> Arms:
        """Return the first arm as the canary's, the second as the stable one's, but for some clients'."""
        canary, stable = (
            _arm(counted for client, counted in counts.items() if client not in left_out)
            for counts in self._by_arm.values()
        )
        return Arms(canary=canary, stable=stable)


def _arm(counts: Iterable[list[int]]) -> Arm:
    table = np.array(list(counts), dtype=np.float64).reshape(-1, 2)
    return Arm(pages=table[:, 0], clicks=table[:, 1])


@dataclass(frozen=True, kw_only=True)
class Ages:
    """How old a page must be."""

    click_ms: int
    purchase_ms: int


@dataclass(frozen=True, kw_only=True)
class Look:
    """The trial at one time: pages that differ, where nothing else is said."""

    clicks: Arms
    """Of pages old enough."""
    young: Arms
    """Of all pages: alike in both arms, and sooner."""
    purchases: Arms
    again: Arms
    """Pages followed by a further search within a minute, of pages old enough for clicks."""
    abandoned: Arms
    """Pages that the client left without a click or a further search, of the same."""
    pages: int
    """Of the canary, all ages."""
    holdback: Arms
    """The canary's and, in place of the stable arm, holdback's clicks, on all their pages."""
    share: float
    """Of the canary's pages, those that differ."""


class Tally:
    """Counts of one trial."""

    def __init__(self, trial: Trial, ages: Ages) -> None:
        self.trial = trial
        self._ages = ages
        self._pages: dict[str, _Page] = {}
        """By query_id."""
        self._last: dict[str, _Page] = {}
        """Each client's newest one."""
        self._unclicked: list[_Waiting] = []
        self._unbought: list[_Waiting] = []
        self._numbers = count()
        self._clicks, self._again, self._purchases = _Counts(), _Counts(), _Counts()
        self._young = _Counts()
        self._abandoned, self._overall = _Counts(), _Counts(OVERALL)
        self._searches: Counter[str] = Counter()
        """Of the canary, by client."""

    def add(self, row: LedgerRow, arrived_ms: int = 0) -> None:
        """Take a row in; rows come in the order in which they arrived."""
        if row.kind == "page":
            self._page(row, arrived_ms)
        elif row.gives == "page":
            self._page_back(row)
        elif row.gives == "action":
            self._action(row, arrived_ms)

    def look(self, now_ms: int, left_out: AbstractSet[str] = frozenset()) -> Look:
        """Return the counts as of now, without those of the clients (digests) that are left out."""
        self._mature(now_ms)
        young = self._young.arms(left_out)
        differing = int(young.canary.pages.sum())
        searches = sum(n for client, n in self._searches.items() if client not in left_out)
        return Look(
            clicks=self._clicks.arms(left_out),
            young=young,
            purchases=self._purchases.arms(left_out),
            again=self._again.arms(left_out),
            abandoned=self._abandoned.arms(left_out),
            pages=differing,
            holdback=self._overall.arms(left_out),
            share=differing / searches if searches else 0.0,
        )

    def _page(self, row: LedgerRow, arrived_ms: int) -> None:
        self._searches[row.client] += row.arm is Treatment.CANARY
        if self._again_given(row):
            return
        before = self._last.pop(row.client, None)
        if before is not None:
            before.after_ms = max(0, row.at_ms - before.at_ms)
        differs = row.trial == self.trial.version and row.arm in ARMS
        if not (differs or row.arm in OVERALL) or row.aside or row.query_id in self._pages:
            return
        page = _Page(client=row.client, arm=row.arm, at_ms=row.at_ms, arrived_ms=arrived_ms, differs=differs)
        self._pages[row.query_id] = page
        self._last[row.client] = page
        heappush(self._unclicked, (page.at_ms, next(self._numbers), page))
        if differs:
            self._young.add(page, hit=False)
            heappush(self._unbought, (page.at_ms, next(self._numbers), page))

    def _page_back(self, row: LedgerRow) -> None:
        self._searches[row.client] -= row.arm is Treatment.CANARY
        page = self._pages.get(row.query_id)
        if page is not None and page.counts:
            page.counts = False
            if page.differs:
                self._young.take_back(page)

    def _again_given(self, row: LedgerRow) -> bool:
        """Let a page count again that was taken back; return whether it is one."""
        page = self._pages.get(row.query_id)
        if page is None or page.counts:
            return False
        page.counts = True
        if page.differs:
            self._young.add(page, hit=page.clicked)
        return True

    def _action(self, row: LedgerRow, arrived_ms: int) -> None:
        page = self._pages.get(row.query_id)
        if page is None:
            return
        age_ms = arrived_ms - page.arrived_ms
        if row.action is Action.CLICK and not page.clicked and age_ms <= self._ages.click_ms:
            page.clicked = True
            if page.differs and page.counts:
                self._young.hit(page)
        if row.action is Action.PURCHASE and age_ms <= self._ages.purchase_ms:
            page.bought = row.sign > 0

    def _is_abandoned(self, page: _Page) -> bool:
        """Tell whether the client left: no click, and no further search as long as clicks are waited for."""
        left = page.after_ms is None or page.after_ms > self._ages.click_ms
        return left and not page.clicked

    def _mature(self, now_ms: int) -> None:
        for page in _of_age(self._unclicked, now_ms - self._ages.click_ms):
            if page.differs:
                self._clicks.add(page, hit=page.clicked)
                self._again.add(page, hit=page.after_ms is not None and page.after_ms < AGAIN_MS)
                self._abandoned.add(page, hit=self._is_abandoned(page))
            if page.arm in OVERALL:
                self._overall.add(page, hit=page.clicked)
        for page in _of_age(self._unbought, now_ms - self._ages.purchase_ms):
            self._purchases.add(page, hit=page.bought)


def _of_age(waiting: list[_Waiting], shown_by_ms: int) -> Iterator[_Page]:
    """Take out what was shown by then, the oldest first; yield what counts."""
    while waiting and waiting[0][0] <= shown_by_ms:
        page = heappop(waiting)[2]
        if page.counts:
            yield page
