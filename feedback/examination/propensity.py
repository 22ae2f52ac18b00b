"""How likely a rank is looked at, estimated from objects that concurrent arms show at different ranks.

Pure. Three models of a page are fitted: `feedback.examination.browsing`, which holds the position-based
model, `feedback.examination.chain`, which holds the cascade, and `feedback.examination.trust`. The one that
best predicts pages held out is kept: no model is right, and the curve of a wrong one is biased however many
pages there are. Which ranks an object gets is the arms' chance and not its worth. Guarantees the prior
where too few objects join a rank to the first one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, get_args

import numpy as np

from feedback.examination import browsing, chain, trust
from feedback.examination.curve import Choice, Model, examination
from feedback.examination.pages import DEPTH, Column, Page, Table

HOLD_OUT = 5
"""Each so many-th page is predicted from the others, where a model is chosen."""
MARGIN: dict[Model, float] = {"browsing": 0.0, "cascade": 0.0, "trust": 0.001}
"""Nats a page that a model must predict better by. On simulated logs of 200,000 pages trust gains .004 to
.006 on browsing where there is some, .0004 where there is none; cascade .006 in its world, else -.01."""


class Fitted(Protocol):
    """A fitted model of pages."""

    @property
    def by_rank(self) -> Column:
        """Probability that a rank is looked at, over the pages; 1 at the first."""
        ...

    @property
    def trusted(self) -> Column:
        """Clicks a showing that go to the rank itself."""
        ...

    def log_likelihood(self, table: Table) -> float:
        """Return the mean over pages, in nats."""
        ...


FITS: dict[Model, Callable[[Table, Column], Fitted]] = {
    "browsing": browsing.fit,
    "cascade": chain.fit,
    "trust": trust.fit,
}


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What the pages say of the ranks."""

    by_rank: tuple[float, ...]
    """Probability that ranks 1 to `DEPTH` are looked at, over the pages given; rank 1 is 1 by convention."""
    trusted: tuple[float, ...] = ()
    """Clicks a showing that go to the rank itself; empty: none."""
    model: Model
    log_likelihood: dict[Model, float] = field(default_factory=dict)
    """Of pages held out, a page, in nats; only where a model was chosen."""
    joined: tuple[int, ...]
    """Ranks that objects shown at several ranks join to rank 1; the others keep the prior."""
    pages: int
    clicks: int
    """On objects that were shown at more than one rank."""

    @property
    def is_connected(self) -> bool:
        """Whether every rank is joined to the first."""
        return len(self.joined) == DEPTH


def fit(pages: Iterable[Page], prior: Sequence[float], *, model: Choice = "auto") -> Examination:
    """Return the estimate; ``prior`` is the stated curve, by rank from 1.

    ``auto`` takes the browsing model until all ranks are joined, then the one that best predicts pages held
    out, by a margin.
    """
    seen = list(pages)
    table, stated = Table.of(seen), _stated(prior)
    scores = _scores(seen, stated) if model == "auto" and len(table.joined) == DEPTH else {}
    chosen = _chosen(model, scores)
    found = FITS[chosen](table, stated)
    return Examination(
        by_rank=tuple(float(p) for p in found.by_rank),
        trusted=tuple(float(t) for t in found.trusted) if found.trusted.any() else (),
        model=chosen,
        log_likelihood=scores,
        joined=table.joined,
        pages=len(seen),
        clicks=int(table.clicks[table.telling].sum()),
    )


def _scores(pages: Sequence[Page], stated: Column) -> dict[Model, float]:
    """Return how well each model predicts the pages held out from the others."""
    told = [page for i, page in enumerate(pages) if i % HOLD_OUT]
    held_out = pages[::HOLD_OUT]
    known, asked = Table.split([told, held_out])
    return {name: FITS[name](known, stated).log_likelihood(asked) for name in get_args(Model)}


def _chosen(choice: Choice, scores: dict[Model, float]) -> Model:
    if choice != "auto":
        return choice
    return max(scores, key=lambda name: scores[name] - MARGIN[name], default="browsing")


def _stated(prior: Sequence[float]) -> Column:
    curve = np.array([examination(rank, prior) for rank in range(1, DEPTH + 1)])
    stated: Column = curve / curve[0]
    return stated
