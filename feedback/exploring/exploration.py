"""What trying out costs shoppers: clicks a search of the explore arm against those beside it. Pure.

Both arms are drawn with a chance that stands beside each page and depends on the query. So the stable pages
are weighed by chance / (1 - chance): they then ask what the explored ones ask (the effect on the explored;
Hirano, Imbens and Ridder, Econometrica 2003). The interval is over clients, whose pages are not independent,
by linearisation; none where few clients were seen.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from feedback.evidence.ledger import LedgerRow
from feedback.records import Action, Arm, Band

MIN_CLIENTS = 30
"""Of each arm; below it there is no interval, and the normal quantile would be too short."""
Z = NormalDist().inv_cdf(0.975)
ALL = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One page that could have explored."""

    band: Band
    client: str
    explored: bool
    chance: float
    """That it would; in (0, 1)."""
    clicks: int


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of the searches of one band, or of all."""

    band: str
    searches: int
    """Of both arms."""
    explored: int
    clicks: float
    """A search of the explore arm."""
    clicks_otherwise: float
    """A search of the stable arm, of the same queries."""
    cost: float
    """Clicks a search that exploring took from shoppers; below 0: it gave them some."""
    interval: tuple[float, float] | None
    """95 %, of the cost."""

    @property
    def share(self) -> float:
        """Of the searches that explored."""
        return self.explored / self.searches

    def figures(self) -> dict[str, object]:
        """Return it as plain values."""
        return {
            "searches": self.searches,
            "explored": self.explored,
            "share": self.share,
            "clicks_a_search": self.clicks,
            "clicks_a_search_otherwise": self.clicks_otherwise,
            "cost": self.cost,
            "interval": self.interval,
        }


def seen_in(rows: Iterable[LedgerRow]) -> list[Seen]:
    """Return the pages that were drawn for either arm, with how many of their objects were clicked.

    Pages that were taken back are left out, in whatever order the rows come.
    """
    given: Counter[tuple[str, str, str, int]] = Counter()
    pages: dict[tuple[str, str, str, int], LedgerRow] = {}
    clicked: defaultdict[tuple[str, str, str, int], set[str]] = defaultdict(set)
    for row in rows:
        name = (row.client, row.segment, row.query, row.at_ms)
        if row.gives == "page" and row.band is not None and 0 < row.chance < 1:
            pages[name] = row
            given[name] += row.sign
        elif row.action is Action.CLICK:
            clicked[name].update(row.object_ids)
    return [
        Seen(
            band=row.band,
            client=row.client,
            explored=row.arm is Arm.EXPLORE,
            chance=row.chance,
            clicks=len(clicked[name]),
        )
        for name, row in pages.items()
        if given[name] > 0 and row.band is not None and row.arm in (Arm.EXPLORE, Arm.STABLE)
    ]


def costs(pages: Sequence[Seen]) -> list[Cost]:
    """Return the cost over all, then by band; a band where one of the arms has no page is left out."""
    by_band: dict[str, Sequence[Seen]] = {ALL: pages}
    by_band |= {band.value: [page for page in pages if page.band is band] for band in Band}
    return [cost for name, some in by_band.items() if (cost := _cost(name, some)) is not None]


def _cost(band: str, pages: Sequence[Seen]) -> Cost | None:
    explored = np.array([page.explored for page in pages], bool)
    if not len(pages) or explored.all() or not explored.any():
        return None
    clicks = np.array([page.clicks for page in pages], float)
    chance = np.array([page.chance for page in pages])
    weight = np.where(explored, 1.0, chance / (1 - chance))
    weight /= np.where(explored, weight[explored].sum(), weight[~explored].sum())
    tried = float((weight * clicks)[explored].sum())
    otherwise = float((weight * clicks)[~explored].sum())
    influence = weight * np.where(explored, tried - clicks, clicks - otherwise)
    cost = otherwise - tried
    reach = _reach(influence, explored, [page.client for page in pages])
    return Cost(
        band=band,
        searches=len(pages),
        explored=int(explored.sum()),
        clicks=tried,
        clicks_otherwise=otherwise,
        cost=cost,
        interval=None if reach is None else (cost - reach, cost + reach),
    )


def _reach(influence: NDArray[np.float64], explored: NDArray[np.bool_], clients: list[str]) -> float | None:
    names, of_client = np.unique(clients, return_inverse=True)
    if min(len(set(of_client[arm])) for arm in (explored, ~explored)) < MIN_CLIENTS:
        return None
    sums = np.bincount(of_client, influence)
    return Z * float(np.sqrt((sums**2).sum() * len(names) / (len(names) - 1)))
