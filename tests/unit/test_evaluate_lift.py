"""A lift counts clients, and its interval holds nothing as often as it says where there is nothing."""

import math

import numpy as np
import pytest

from agent.evaluate.lift import Arm, lift


def test_a_lift_is_the_ratio_of_the_sums() -> None:
    treated = {f"t{i}": (10.0, 6.0) for i in range(20)}
    control = {f"c{i}": (10.0, 5.0) for i in range(20)}
    found = lift(treated, control)
    assert found is not None
    assert found.lift == pytest.approx(0.2)  # .6 a search over .5
    assert found.low == pytest.approx(0.2)  # every client is like the others: no variance


def test_the_variance_is_that_of_clients() -> None:
    # 20 clients of one search each, half of them act: rate .5; squares 20 * .25 = 5;
    # variance 5 / 400 * 20 / 19 = .013158; of the log 4 times that, .052632
    arm = {f"c{i}": (1.0, float(i % 2)) for i in range(20)}
    found = lift(arm, arm)
    assert found is not None
    assert found.high == pytest.approx(math.expm1(1.96 * math.sqrt(2 * 0.0526316)), rel=1e-5)
    assert found.holds_nothing


def test_too_few_clients_or_actions_say_nothing() -> None:
    few = {f"c{i}": (1.0, 1.0) for i in range(19)}
    idle = {f"c{i}": (1.0, 0.0) for i in range(40)}
    enough = {f"c{i}": (1.0, 1.0) for i in range(20)}
    assert lift(few, enough) is None
    assert lift(enough, idle) is None
    assert lift(enough, enough) is not None


def test_two_equal_arms_of_eager_and_idle_clients_differ_in_one_of_twenty() -> None:
    random = np.random.default_rng(0)
    held = [found.holds_nothing for _ in range(600) if (found := lift(_arm(random), _arm(random)))]
    assert 0.93 <= sum(held) / len(held) <= 0.97


def test_a_tenth_more_is_seen_with_enough_clients() -> None:
    random = np.random.default_rng(0)
    found = lift(_arm(random, n=20_000, more=1.1), _arm(random, n=20_000))
    assert found is not None
    assert found.low > 0
    assert found.low < 0.1 < found.high


def _arm(random: np.random.Generator, n: int = 300, more: float = 1.0) -> Arm:
    searches = random.geometric(0.2, n).astype(float)
    eager = random.beta(2, 3, n)
    actions = random.poisson(searches * eager * more).astype(float)
    return {str(i): (searches[i], actions[i]) for i in range(n)}
