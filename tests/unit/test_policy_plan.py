"""Forms and limits of a rewrite."""

from agent.policy.plan import plan
from agent.sections import PlanSettings

SETTINGS = PlanSettings(max_chars=20, max_terms=3)


def test_words_are_dropped_whole_and_the_query_s_own_cost_no_room() -> None:
    said = plan("leather couch", "leather couch leather couch sofa settee divan", SETTINGS)
    assert said.terms == ("sofa", "settee", "divan")
    assert plan("couch", "sofa upholstered settee", SETTINGS).terms == ("sofa", "upholstered")
    assert plan("couch", "sofa " + "x" * 40, SETTINGS).terms == ("sofa",)
    assert plan("couch", "x" * 40, SETTINGS).is_raw


def test_no_more_words_than_the_limit() -> None:
    assert plan("couch", "a b c d e", SETTINGS).terms == ("a", "b", "c")
