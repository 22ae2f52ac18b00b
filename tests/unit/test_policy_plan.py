"""Forms and limits of a rewrite."""

import pytest

from agent.policy.plan import MOST_CHARS, is_text, plan
from agent.sections import PlanSettings
from feedback.text import normalise

SETTINGS = PlanSettings(max_chars=20, max_terms=3)


def test_words_are_dropped_whole_and_the_query_s_own_cost_no_room() -> None:
    said = plan("leather couch", "leather couch leather couch sofa settee divan", SETTINGS)
    assert said.terms == ("sofa", "settee", "divan")
    assert plan("couch", "sofa upholstered settee", SETTINGS).terms == ("sofa", "upholstered")
    assert plan("couch", "sofa " + "x" * 40, SETTINGS).terms == ("sofa",)
    assert plan("couch", "x" * 40, SETTINGS).is_raw


def test_of_a_text_without_end_a_bounded_part_is_read_and_no_word_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []

    def counted(text: str) -> str:
        read.append(text)
        return normalise(text)

    monkeypatch.setattr("agent.policy.plan.normalise", counted)
    assert plan("couch", "ab " * 10_000 + "sofa", SETTINGS).terms == ("ab",)
    assert plan("couch", "x" * 100_000, SETTINGS).is_raw
    assert plan("couch", "y " + " " * (MOST_CHARS - 4) + "lampshade", SETTINGS).terms == ("y",)
    assert max(map(len, read)) <= MOST_CHARS


def test_what_is_no_text_is_told_from_what_is() -> None:
    for text in ("", "sofa", "*:*", "}{", "\x00\n", "\U0001f6cb", "x" * MOST_CHARS):
        assert is_text(text)
    for text in ("\ud800", "sofa \udfff", "x" * (MOST_CHARS + 1)):
        assert not is_text(text)


def test_no_more_words_than_the_limit() -> None:
    assert plan("couch", "a b c d e", SETTINGS).terms == ("a", "b", "c")
