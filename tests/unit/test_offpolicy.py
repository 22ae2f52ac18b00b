"""Off-policy estimates: right where the answer is known, silent where pages cannot tell."""

from dataclasses import replace

import numpy as np
import pytest

from agent.scoring.offpolicy import MIN_EFFECTIVE, ExploreLog, Method, estimate

METHODS: tuple[Method, ...] = ("ips", "snips", "doubly_robust")


def log_of(pages: int = 4000, *, target: tuple[float, float] = (0.2, 0.8)) -> ExploreLog:
    """Two lists of one query, shown equally often; the second earns .5, the first .1."""
    rng = np.random.default_rng(0)
    shown = rng.integers(2, size=pages)
    return ExploreLog(
        query=np.zeros(pages, dtype=np.int64),
        shown=shown,
        client=np.arange(pages) // 4,
        reward=(rng.random(pages) < np.array([0.1, 0.5])[shown]).astype(np.float64),
        behaviour=np.array([[0.5, 0.5]]),
        target=np.array([target]),
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_target_s_mean_lies_within_a_narrow_interval(method: Method) -> None:
    found = estimate(log_of(), method)
    assert found is not None
    assert found.low < 0.2 * 0.1 + 0.8 * 0.5 < found.high
    assert found.high - found.low < 0.08
    assert (found.pages, found.clients) == (4000, 1000)


@pytest.mark.parametrize("method", METHODS)
def test_too_few_effective_pages_are_no_estimate(method: Method) -> None:
    log = log_of(350, target=(0.01, 0.99))
    assert log.effective < MIN_EFFECTIVE
    assert estimate(log, method) is None
    assert estimate(replace(log_of(), client=np.zeros(4000, dtype=np.int64)), method) is None
    assert estimate(log_of(0), method) is None


def test_pages_of_one_client_are_no_independent_draws() -> None:
    log = log_of(2000)
    repeated = replace(
        log,
        **{name: np.tile(getattr(log, name), 4) for name in ("query", "shown", "client", "reward")},
    )
    once, often = estimate(log, "snips"), estimate(repeated, "snips")
    assert once is not None
    assert often is not None
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.02)


def test_the_direct_part_narrows_the_interval_where_queries_differ() -> None:
    rng = np.random.default_rng(1)
    query, shown = rng.integers(20, size=6000), rng.integers(2, size=6000)
    log = ExploreLog(
        query=query,
        shown=shown,
        client=rng.integers(2000, size=6000),
        reward=(query % 2) * 2.0 + shown * 0.1,
        behaviour=np.full((20, 2), 0.5),
        target=np.tile([0.1, 0.9], (20, 1)),
    )
    widths = {method: found.high - found.low for method in METHODS if (found := estimate(log, method))}
    assert widths["doubly_robust"] < widths["snips"] < widths["ips"]


@pytest.mark.parametrize(
    ("name", "rows"), [("behaviour", [[0.0, 1.0]]), ("behaviour", [[0.5, 0.4]]), ("target", [[np.nan, 1.0]])]
)
def test_probabilities_that_are_none_are_refused(name: str, rows: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=name):
        replace(log_of(), **{name: np.array(rows)})
