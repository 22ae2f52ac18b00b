"""What writing costs, worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.learner.cost import writing_cost
from agent.policy.prompt import Prompt
from agent.sections import LearnerSettings
from feedback.records import Form

COSTS = LearnerSettings(free_words=3, length_cost=0.002, repetition_cost=0.01)
SOFA = Prompt(query="red sofa")


def test_nothing_costs_nothing() -> None:
    assert writing_cost(SOFA, "", COSTS) == 0.0
    assert writing_cost(SOFA, "  ", COSTS) == 0.0


def test_a_few_new_words_cost_nothing() -> None:
    assert writing_cost(SOFA, "corner couch bed", COSTS) == 0.0


def test_each_further_word_costs() -> None:
    assert writing_cost(SOFA, "corner couch bed grey linen", COSTS) == pytest.approx(2 * 0.002)


def test_repeating_the_query_or_oneself_costs_by_the_share_of_such_words() -> None:
    # sofa is the query's, the second couch is a repetition: 2 of 3
    assert writing_cost(SOFA, "Sofa couch couch", COSTS) == pytest.approx(0.01 * 2 / 3)
    assert writing_cost(SOFA, "red sofa", COSTS) == pytest.approx(0.01)


def test_a_long_request_may_keep_its_own_words() -> None:
    request = Prompt(query="red sofa", form=Form.INSTEAD)
    assert writing_cost(request, "red sofa", COSTS) == 0.0
    assert writing_cost(request, "sofa sofa", COSTS) == pytest.approx(0.01 / 2)


@given(st.lists(st.sampled_from(["red", "sofa", "bed", "oak"]), max_size=8))
def test_the_cost_is_bounded_and_grows_with_a_repeated_word(words: list[str]) -> None:
    text = " ".join(words)
    cost = writing_cost(SOFA, text, COSTS)
    assert 0 <= cost <= 0.002 * 8 + 0.01
    assert writing_cost(SOFA, f"{text} sofa".strip(), COSTS) >= cost
