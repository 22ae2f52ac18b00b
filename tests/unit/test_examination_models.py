"""Three ways to read a page: each is found in its own world, and the wrong one's curve is worse."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from feedback.examination.curve import Curve
from feedback.examination.pages import DEPTH, Page, Table
from feedback.examination.propensity import Examination, fit
from feedback.settings import FeedbackSettings

PRIOR = FeedbackSettings().examination
QUERIES, SHUFFLED = 25, 0.4
RANKS = range(1, DEPTH + 1)
Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
World = Callable[[Array, np.random.Generator], tuple[Flags, Flags]]


def by_position(worth: Array, rng: np.random.Generator) -> tuple[Flags, Flags]:
    looked = rng.random(worth.shape) < np.array(RANKS) ** -0.6
    return looked, looked & (rng.random(worth.shape) < worth)


def downwards(worth: Array, rng: np.random.Generator) -> tuple[Flags, Flags]:
    """Goes on after three objects in four that were skipped, and after two clicks in five."""
    reading = np.ones(len(worth), dtype=np.bool_)
    looked, clicked = np.zeros((2, *worth.shape), dtype=np.bool_)
    for rank in range(DEPTH):
        looked[:, rank] = reading
        clicked[:, rank] = reading & (rng.random(len(worth)) < worth[:, rank])
        reading &= rng.random(len(worth)) < np.where(clicked[:, rank], 0.4, 0.75)
    return looked, clicked


def trusting(worth: Array, rng: np.random.Generator) -> tuple[Flags, Flags]:
    """Clicks the first ranks too where nothing attracts: three times in ten the very first."""
    looked = rng.random(worth.shape) < np.array(RANKS) ** -0.6
    return looked, looked & (rng.random(worth.shape) < worth + 0.3 / np.array(RANKS) * (1 - worth))


class Log:
    """20,000 pages, the best first on six in ten of them."""

    def __init__(self, world: World, n: int = 20_000) -> None:
        rng = np.random.default_rng(0)
        self.worth = np.sort(0.9 * rng.beta(1.0, 1.5, (QUERIES, DEPTH)))[:, ::-1]
        self.query = rng.integers(QUERIES, size=n)
        self.order = np.tile(np.arange(DEPTH), (n, 1))
        shuffled = rng.random(n) < SHUFFLED
        self.order[shuffled] = rng.permuted(self.order[shuffled], axis=1)
        looked, self.clicked = world(self.worth[self.query[:, None], self.order], rng)
        self.truth = looked.mean(axis=0) / looked[:, 0].mean()

    @property
    def pages(self) -> list[Page]:
        rows = zip(self.query, self.order, self.clicked, strict=True)
        return [
            Page(
                query=str(q),
                object_ids=[str(d) for d in ids],
                clicked=frozenset((np.flatnonzero(clicks) + 1).tolist()),
            )
            for q, ids, clicks in rows
        ]

    def worth_error(self, curve: Curve) -> float:
        """Root mean square error of a(q, d), its scale and nothing else taken out."""
        cell = (self.query[:, None] * DEPTH + self.order).ravel()
        looked = np.tile([curve.looked(rank) for rank in RANKS], len(self.order))
        trusted = np.tile([curve.trust(rank) for rank in RANKS], len(self.order))
        seen, extra = np.bincount(cell, looked), np.bincount(cell, trusted)
        found = np.maximum(0, np.bincount(cell, self.clicked.ravel()) - extra) / seen
        truth = self.worth.ravel()
        scaled = found * (found @ truth) / (found @ found)
        return float(np.sqrt(np.mean((scaled - truth) ** 2)))


def curve_of(found: Examination) -> Curve:
    return Curve(by_rank=found.by_rank, trusted=found.trusted)


@pytest.fixture(scope="module", params=[(by_position, "browsing"), (downwards, "cascade")])
def told(request: pytest.FixtureRequest) -> tuple[Log, str]:
    world, name = request.param
    return Log(world), name


def test_the_model_that_predicts_pages_held_out_is_kept_and_its_curve_is_right(
    told: tuple[Log, str],
) -> None:
    log, name = told
    found = fit(log.pages, PRIOR)
    assert found.model == name
    assert set(found.log_likelihood) == {"browsing", "cascade", "trust"}
    assert found.by_rank == pytest.approx(tuple(log.truth), rel=0.1)
    assert found.trusted == ()


def test_a_page_read_downwards_misleads_the_browsing_model() -> None:
    log = Log(downwards)
    browsing, cascade = (fit(log.pages, PRIOR, model=m) for m in ("browsing", "cascade"))
    assert cascade.log_likelihood == {}
    errors = [np.abs(np.array(one.by_rank) / log.truth - 1).max() for one in (browsing, cascade)]
    assert errors[1] < 0.5 * errors[0]


def test_trust_is_told_from_attraction_and_its_correction_lowers_the_error_of_worth() -> None:
    log = Log(trusting)
    found = fit(log.pages, PRIOR)
    assert found.model == "trust"
    assert found.trusted[0] == pytest.approx(0.3, abs=0.06)
    assert found.trusted[-1] == 0.0
    without = fit(log.pages, PRIOR, model="browsing")
    assert log.worth_error(curve_of(found)) < 0.6 * log.worth_error(curve_of(without))


def test_without_randomised_ranks_nobody_is_thought_to_trust() -> None:
    pages = [Page(query="q", object_ids=("a", "b"), clicked=frozenset({1}))] * 500
    for model in ("trust", "cascade"):
        found = fit(pages, PRIOR, model=model)
        assert found.by_rank == pytest.approx(PRIOR)
        assert (found.trusted, found.joined) == ((), (1,))


def test_pages_alike_stand_in_one_row_and_short_ones_end() -> None:
    short = Page(query="q", object_ids=("a",), clicked=frozenset({1, 7}))
    long = Page(query="q", object_ids=tuple("abcdefghijkl"), clicked=frozenset({2, 12}))
    table = Table.of([short, long, short])
    assert table.times.tolist() == [2.0, 1.0]
    assert table.shown.sum(axis=0).tolist() == [1, DEPTH]
    assert table.clicks.tolist() == [2.0, 1.0, *[0.0] * 8, 0.0]
    assert table.last[-1].tolist() == [1, 2]


def test_what_counts_little_counts_as_the_floor_and_trust_ends_with_its_ranks() -> None:
    curve = Curve(by_rank=(1.0, 0.02), trusted=(0.3,), floor=0.1)
    assert [curve.looked(rank) for rank in (1, 2, 9)] == [1.0, 0.1, 0.1]
    assert [curve.trust(rank) for rank in (1, 2)] == [0.3, 0.0]
