"""Clients of a trial that agree with themselves, come back over days, and buy late.

A client's clicks are beta-binomial: each client has a rate of its own around the arm's, so that two of its
clicks correlate by `correlation`. Rates and traffic swing by the hour. Pages a client sees are 1 and a
negative binomial number more: many have one, few have many.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.release.sequences import Floats, Totals

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

CYCLE = 0.3
"""By which the click rate swings over a day, as a share of it."""
PURCHASE_DELAY_DAYS = 7.0
RETURN_DAYS = 2
"""Between two visits of a client, in the mean."""
MINUTES_A_PAGE = 2
RETURNING = 0.5
"""Shape of the negative binomial distribution: its tail is heavier than a geometric one's."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What shoppers do."""

    rate: float
    """Clicks per page of the stable arm."""
    correlation: float
    """Of two pages' clicks within a client."""
    pages_a_client: float = 2.0
    """Mean, of pages on which the lists differ, in trials without an end; above 1."""
    bought: float = 0.1
    """Clicked pages that lead to a purchase, ever."""
    days: int = 1

    @property
    def design_effect(self) -> float:
        """Variance of an arm's rate over that of independent pages, once clients have seen all theirs."""
        more = self.pages_a_client - 1
        squares = self.pages_a_client**2 + more + more**2 / RETURNING
        return 1 + self.correlation * (squares / self.pages_a_client - 1)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """An arm's pages in order of time."""

    day: Floats
    client: Ints
    clicked: Bools
    bought: Bools
    """Within the age at which purchases are counted."""

    def until(self, days: Floats, marked: Bools) -> Totals:
        """Return the arm's totals at each time, of pages shown before it."""
        n_before, k_before = _before(self.client, marked)
        mark = marked.astype(np.float64)
        seen = np.searchsorted(self.day, days)
        return Totals(
            clients=_sums(n_before == 0, seen),
            pages=seen.astype(np.float64),
            clicks=_sums(mark, seen),
            pages_squared=_sums(2 * n_before + 1, seen),
            pages_clicks=_sums(n_before * mark + k_before + mark, seen),
            clicks_squared=_sums((2 * k_before + 1) * mark, seen),
        )


def arm(world: World, rng: np.random.Generator, *, pages: int, lift: float = 0.0) -> Stream:
    """Return about so many pages of an arm with 1 + ``lift`` times the world's click rate, ``lift`` <= 0."""
    more = world.pages_a_client - 1
    n_clients = max(1, round(pages / world.pages_a_client))
    counts = 1 + rng.negative_binomial(RETURNING, RETURNING / (RETURNING + more), n_clients)
    client = np.repeat(np.arange(n_clients), counts)
    shown = _days(world, rng, client)
    client, shown = client[shown < world.days], shown[shown < world.days]
    own = _own_rates(world, rng, n_clients)[client]
    chance = own * (1 + CYCLE * np.sin(2 * np.pi * shown))
    clicked = (rng.random(client.size) < chance) & (rng.random(client.size) < 1 + lift)
    early = 1 - np.exp(-1 / PURCHASE_DELAY_DAYS)
    bought = clicked & (rng.random(client.size) < world.bought * early)
    order = np.argsort(shown)
    return Stream(day=shown[order], client=client[order], clicked=clicked[order], bought=bought[order])


def _days(world: World, rng: np.random.Generator, client: Ints) -> Floats:
    """Return when each page is shown: half of them in the visit of the one before, others days later."""
    place = np.arange(client.size)
    first = _begins(client) == place
    returns = ~first & (rng.random(client.size) < 0.5)
    gaps = np.where(returns, rng.geometric(1 / RETURN_DAYS, client.size), 0)
    gaps[first] = rng.integers(world.days, size=np.count_nonzero(first))
    total = np.cumsum(gaps)
    begin = np.maximum.accumulate(np.where(first, place, 0))
    day = total - total[begin] + gaps[begin]
    visit = np.maximum.accumulate(np.where(first | returns, place, 0))
    hour = (0.6 + 0.2 * rng.standard_normal(client.size)) % 1
    return np.asarray(day + hour[visit] + (place - visit) * MINUTES_A_PAGE / 1440, np.float64)


def _own_rates(world: World, rng: np.random.Generator, n_clients: int) -> Floats:
    """Return each client's own click rate."""
    if world.correlation == 0:
        return np.full(n_clients, world.rate)
    strength = (1 - world.correlation) / world.correlation
    return rng.beta(world.rate * strength, (1 - world.rate) * strength, n_clients)


def _before(client: Ints, marked: Bools) -> tuple[Floats, Floats]:
    """Return for each page the client's pages and marked pages before it."""
    order = np.argsort(client, kind="stable")
    ordered = client[order]
    first = _begins(ordered)
    marks = np.concatenate([[0.0], np.cumsum(marked[order])])
    n_before, k_before = np.empty(client.size), np.empty(client.size)
    n_before[order] = np.arange(client.size) - first
    k_before[order] = marks[:-1] - marks[first]
    return n_before, k_before


def _begins(ordered: Ints) -> Ints:
    """Return for each entry where the run of its value begins."""
    place = np.arange(ordered.size)
    fresh = np.diff(ordered, prepend=-1) != 0
    return np.asarray(np.maximum.accumulate(np.where(fresh, place, 0)), np.int64)


def _sums(values: Floats | Bools, ends: Ints) -> Floats:
    """Return the sums of the first entries, up to each end."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])[ends]
