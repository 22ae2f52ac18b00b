"""How much is tried out, and on which searches: where evidence is thin, and never more than the share says.

A search explores with a chance in proportion to how little is known of its query: sqrt(a / (a + n)) for n
effective searches, the standard deviation of a rate that n observations and a prior worth a were made of,
against the prior's own. Pure but for `Exploration`, which looks the number up. Guarantees that the chances
handed out are on average within the share, whatever the traffic; that a client's searches of one query of one
day are drawn once, so that a page does not flip (a chance that falls as evidence grows ends it, no more); and
that the chance stands beside the page, so that arms can be compared.
"""

from dataclasses import dataclass

from agent.policy.call import UNSPLIT
from agent.sections import ServeSettings
from agent.serve.arms import DAY_MS
from agent.serve.metrics import EXPLORE_CHANCES, EXPLORE_SEARCHES
from feedback.evidence.popularity import Popularity, band_of
from feedback.records import Band
from feedback.settings import FeedbackSettings
from feedback.text import bucket

PRIOR = 100.0
"""Searches of queries that nothing is known of, as which the budget begins: so it spends less at first."""
BURST = 100.0
"""Searches whose share may be spent ahead."""
BUCKETS = 2**32
"""So many that a chance of a well-known query, far below a thousandth, is the one that is written down."""
HORIZON = 10_000.0
"""Searches after which traffic is forgotten by 1 / e."""


def doubt(searches: float, prior_searches: float) -> float:
    """Return how little is known of a query with so many effective searches, in (0, 1]."""
    return float((prior_searches / (prior_searches + max(0.0, searches))) ** 0.5)


class Budget:
    """Turns doubt into chances; one gateway's own, so that all of them together keep the share too."""

    def __init__(self, share: float, *, most: float) -> None:
        self._share = share
        self._most = most
        self._searches = PRIOR
        self._doubt = PRIOR
        self._spent = PRIOR * share

    def chance(self, doubt: float) -> float:
        """Return the chance to explore of a search with this doubt, in [0, most]; spends nothing."""
        fair = self._share * doubt * self._searches / self._doubt
        left = self._share * (self._searches + 1 + BURST) - self._spent
        return max(0.0, min(self._most, fair, left))

    def spend(self, doubt: float, chance: float) -> None:
        """Take a search into account that got this chance."""
        kept = 1 - 1 / HORIZON
        self._searches = self._searches * kept + 1
        self._doubt = self._doubt * kept + doubt
        self._spent = self._spent * kept + chance


def explores(query: str, client: str, now_ms: int, chance: float) -> bool:
    """Tell whether the client's search explores; ``client`` is named within its tenant."""
    place = bucket(f"{now_ms // DAY_MS}|{client}|{query}", BUCKETS, salt="explore")
    return place < chance * BUCKETS


@dataclass(frozen=True, kw_only=True)
class Chance:
    """What a search of a query may be tried out with."""

    band: Band | None = None
    """None: nobody could tell, and nothing is tried."""
    chance: float = 0.0


class Exploration:
    """One gateway's budget over what it has seen."""

    def __init__(self, serve: ServeSettings, feedback: FeedbackSettings, popularity: Popularity) -> None:
        self._serve = serve
        self._feedback = feedback
        self._popularity = popularity
        share = serve.explore_share / (1 - serve.holdback_share)  # of the clients outside holdback
        self._budget = Budget(share, most=max(share, serve.explore_most))

    async def chance(self, query: str, segment: str = UNSPLIT, *, counts: bool) -> Chance:
        """Return the chance of a search outside holdback; ``counts`` where a page will be shown."""
        searches = await self._popularity.searches(query, segment)
        if searches is None:
            return Chance()
        band = band_of(searches, self._feedback)
        unsure = doubt(searches, self._serve.explore_prior_searches) * self._serve.explore_weight[band]
        chance = self._budget.chance(unsure)
        if counts:
            self._budget.spend(unsure, chance)
            EXPLORE_CHANCES.labels(band=band.value).inc(chance)
            EXPLORE_SEARCHES.labels(band=band.value).inc()
        return Chance(band=band, chance=chance)
