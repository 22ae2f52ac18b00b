"""Worlds in which nothing can gain by relevance, or nothing differs: what is claimed there is a mistake."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import override

from agent.demo.client import Page
from agent.demo.shop import Grades, Population, Query, Visit
from agent.demo.traffic import Tally
from agent.evaluate.lift import TWO_SIDED, Lift, lift
from agent.lending import lend
from feedback.text import bucket
from tests.service.null_release import claims, release_noise
from tests.service.virtual_shop import VirtualShop


class ByRank(Population):
    """They find every object as good as any other, whatever they asked."""

    @override
    def _grades_of(self, need: Query) -> Grades:
        del need
        return {product.product_id: 1 for product in self._shop.products}


class ByPopularity(Population):
    """They like some objects much, others a little and most not at all, whatever they asked."""

    @override
    def _grades_of(self, need: Query) -> Grades:
        del need
        return {product.product_id: _LIKED[bucket(product.product_id, 10)] for product in self._shop.products}


_LIKED = (3, 2, 1, 1, 0, 0, 0, 0, 0, 0)


@dataclass
class ClientTally(Tally):
    """Counts each client's searches, and those with a click, by arm."""

    clients: dict[str, dict[str, tuple[float, float]]] = field(default_factory=lambda: defaultdict(dict))

    @override
    def add(self, visit: Visit, page: Page, clicked: list[str], *, purchases: int) -> None:
        """Count one page and what was done with it."""
        super().add(visit, page, clicked, purchases=purchases)
        searches, pleased = self.clients[page.arm].get(visit.client_id, (0.0, 0.0))
        self.clients[page.arm][visit.client_id] = searches + 1, pleased + bool(clicked)

    def gain(self, errors: float) -> Lift | None:
        """Return the lift of the stable arm over the holdback."""
        return lift(self.clients["stable"], self.clients["holdback"], errors=errors)

    def of_itself(self, errors: float) -> Lift | None:
        """Return the lift of one half of the stable arm's clients over the other: both get the same."""
        stable = self.clients["stable"]
        halves: list[Mapping[str, tuple[float, float]]] = [
            {c: n for c, n in stable.items() if bucket(c, 2, salt="a/a") == half} for half in (0, 1)
        ]
        return lift(*halves, errors=errors)


async def null_figures(
    world: VirtualShop,
    shoppers: Population,
    folder: Path,
    *,
    seconds: float,
    versions: int,
    errors: float = TWO_SIDED,
) -> dict[str, Any]:
    """Return what the whole pipeline claims after so many virtual seconds and versions of noise.

    ``errors`` is how many standard errors the lifts' intervals reach to each side.
    """
    tally = world.tally = ClientTally()
    await world.open_for(seconds, shoppers)
    asked = [query for query, _ in await world.evidence.popular(10_000)]
    clicked = sum(evidence.clicks > 0 for evidence in await world.evidence.read(asked))
    released = await release_noise(world, folder, versions=versions)
    await world.parts.known.refresh()
    return {
        "requests": tally.requests,
        "clicks": tally.clicks,
        "queries_with_clicks": clicked,
        "verified": world.verifier.serving,
        "verified_share": world.verifier.serving / clicked if clicked else 0.0,
        **claims(released, world.settings.serve.min_policy_gain or 0.0),
        "policy_gain": world.parts.known.policy_gain,
        "lift": shown(tally.gain(errors)),
        "lift_of_itself": shown(tally.of_itself(errors)),
    }


async def lent(world: VirtualShop, queries: Sequence[str]) -> float:
    """Return the share of these queries, which nobody asked, that judged ones lend words."""
    look = partial(world.catalogue.msearch, purpose="evaluation")
    loans = await lend(queries, world.parts.known.index, look, world.settings)
    return sum(bool(loan) for loan in loans) / len(queries)


def shown(found: Lift | None) -> dict[str, float | bool] | None:
    """Return a lift for a report."""
    if found is None:
        return None
    return {"lift": found.lift, "low": found.low, "high": found.high, "holds_nothing": found.holds_nothing}
