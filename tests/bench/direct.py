"""Which weights and which baseline the direct signal learns best with: `python -m tests.bench.direct --json`.

Simulated explore arms: 20 queries with 20 rewrites each, what is preferred known, every page drawn from
weights some updates old, half of the pages clicked. What counts is the preference that the policy earns in
the end, at each variant's best learning rate. Needs no service.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from agent.learner.direct import Baseline, DirectTargets, direct_loss
from feedback.records import Band
from tests.bench._intervals import standard_error
from tests.bench.quick import parse

QUERIES, REWRITES = 20, 20
PAGES = 8
LAGS = (20, 100)
RATES = (1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True)
class Variant:
    """How a page's advantage and weight are made."""

    weights: str
    """``negative``: as the learner does, min(1, ratio) on negative advantages alone; ``both``; ``none``."""
    baseline: bool


VARIANTS = [
    Variant(weights, baseline) for weights in ("negative", "both", "none") for baseline in (True, False)
]


class World:
    """What shoppers prefer; a third of the rewrites find the raw list."""

    def __init__(self, seed: int) -> None:
        self.draws = torch.Generator().manual_seed(seed)
        shape = (QUERIES, REWRITES)
        good = self._uniform(shape) < 0.15
        self.preferred = torch.where(
            good, 0.1 + 0.4 * self._uniform(shape), 0.32 * self._uniform(shape) - 0.3
        )
        self.same = self._uniform(shape) < 0.3
        self.preferred[self.same] = 0.0
        self.common = (0.5 * torch.randn(REWRITES, generator=self.draws)).requires_grad_()
        self.own = torch.zeros(shape, requires_grad=True)

    def _uniform(self, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, generator=self.draws)

    def logprobs(self) -> Tensor:
        return torch.log_softmax(self.common + self.own, -1)

    def page(self, behaviour: Tensor) -> tuple[int, int, float]:
        """Return query, rewrite and preference of a page whose list is not raw's."""
        while True:
            query = int(torch.randint(QUERIES, (1,), generator=self.draws))
            rewrite = int(torch.multinomial(behaviour[query].exp(), 1, generator=self.draws))
            if not self.same[query, rewrite]:
                break
        clicked, liked = self._uniform((2,)).tolist()
        up = liked < 0.5 + float(self.preferred[query, rewrite])
        return query, rewrite, (1.0 if up else -1.0) if clicked < 0.5 else 0.0

    def earned(self) -> float:
        return float((self.logprobs().exp() * self.preferred).sum(-1).mean().detach())


def learned(seed: int, variant: Variant, lag: int, rate: float, updates: int) -> float:
    """Return what a policy earns after all updates."""
    world, baseline = World(seed), Baseline()
    optimiser = torch.optim.SGD([world.common, world.own], lr=rate)
    past: list[Tensor] = []
    for _ in range(updates):
        past.append(world.logprobs().detach())
        behaviour = past[max(0, len(past) - 1 - lag)]
        pages = [world.page(behaviour) for _ in range(PAGES)]
        optimiser.zero_grad()
        torch.autograd.backward(loss_of(world, behaviour, pages, variant, baseline))
        optimiser.step()
    return world.earned()


def loss_of(
    world: World,
    behaviour: Tensor,
    pages: list[tuple[int, int, float]],
    variant: Variant,
    baseline: Baseline,
) -> Tensor:
    queries, rewrites = (torch.tensor([page[i] for page in pages], dtype=torch.long) for i in (0, 1))
    told = [preferred - baseline.of(Band.TAIL, preferred) * variant.baseline for _, _, preferred in pages]
    log_pi, log_old = world.logprobs()[queries, rewrites], behaviour[queries, rewrites]
    advantage, share = torch.tensor(told), torch.full((PAGES,), 1 / PAGES)
    if variant.weights == "both":
        advantage = advantage * (log_pi.detach() - log_old).clamp(max=0.0).exp()
    if variant.weights != "negative":
        return -(share * advantage * log_pi).sum()
    targets = DirectTargets(
        direct_behaviour=log_old[:, None], direct_advantage=advantage[:, None], direct_share=share[:, None]
    )
    mask = torch.ones(PAGES, 1, 1, dtype=torch.bool)
    return direct_loss(log_pi[:, None, None], mask, targets, min_effective=0.0)[0]


def rows(seeds: int, updates: int) -> Iterator[dict[str, Any]]:
    """Yield each variant's figures at its best rate."""
    for lag in LAGS:
        for variant in VARIANTS:
            by_rate = {
                rate: [learned(s, variant, lag, rate, updates) for s in range(seeds)] for rate in RATES
            }
            rate, found = max(by_rate.items(), key=lambda item: mean(item[1]))
            yield {
                "lag": lag,
                "weights": variant.weights,
                "baseline": variant.baseline,
                "rate": rate,
                "preference": mean(found),
                "standard_error": standard_error(found),
            }


def main() -> int:
    """Print the figures as one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.direct", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--updates", type=int, default=300)
    given = parse(parser, seeds=1, updates=3)
    torch.set_num_threads(1)
    found = []
    for row in rows(given.seeds, given.updates):
        print(row, file=sys.stderr)  # noqa: T201 - progress
        found.append(row)
    if given.json:
        print(json.dumps({"seeds": given.seeds, "updates": given.updates, "variants": found}))  # noqa: T201 - its output
    return 0


if __name__ == "__main__":
    sys.exit(main())
