"""Candidates from what shoppers typed next and from co-clicks, by hand."""

import math

import pytest

from feedback.evidence.candidates import arms_of, by_fold, co_clicks, head, pairs, rank
from feedback.evidence.reading import ObjectEvidence, QueryEvidence
from feedback.records import Arm

SOFA = QueryEvidence(
    query="couch",
    folds=(
        {"A": ObjectEvidence(clicks=3.0), "B": ObjectEvidence(clicks=1.0)},
        {"B": ObjectEvidence(clicks=2.0), "C": ObjectEvidence(examinations=4.0)},
    ),
)


def test_weights_are_read_by_fold_and_segment() -> None:
    stored = {b"0|all|sofa": b"2", b"1|all|sofa": b"4", b"0|de|bank": b"8", b"1|all|a|b": b"6"}
    assert by_fold(stored, 0.5, segment="all") == {"sofa": (1.0, 2.0), "a|b": (0.0, 3.0)}
    assert by_fold({b"1|sofa bed": b"2"}, 1.0) == {"sofa bed": (0.0, 2.0)}


def test_support_stands_by_the_arm_whose_pages_gave_it() -> None:
    stored = {b"0h|all|sofa": b"2", b"0w|all|sofa": b"1", b"1h|all|sofa": b"4", b"0|all|old": b"1"}
    assert by_fold(stored, 0.5, segment="all") == {"sofa": (1.5, 2.0), "old": (0.5, 0.0)}
    assert arms_of(stored, segment="all") == {"sofa": frozenset({Arm.HOLDBACK, Arm.SHADOW})}
    assert {head(1, arm) for arm in Arm} == {"1h", "1s", "1c", "1e", "1w", "1l"}
    (one,) = rank(SOFA, {}, {"sofa": (1.0, 0.0)}, limit=1, arms=arms_of(stored, segment="all"))
    assert one.arms == {Arm.HOLDBACK, Arm.SHADOW}


def test_co_click_support_stays_in_its_fold() -> None:
    clicked = {"A": {"sofa": (1.0, 5.0), "couch": (3.0, 3.0)}, "B": {"sofa": (3.0, 1.0)}}
    support = co_clicks(SOFA, clicked, {"sofa": 7.0})
    assert list(support) == ["sofa"]
    a, b = 6 / 8, 4 / 8  # of its searches led to each
    assert support["sofa"] == pytest.approx(
        (0.75 * math.log(2) * a + 0.25 * math.log(4) * b, math.log(2) * b)
    )


def test_a_query_that_leads_to_many_things_supports_none_of_them() -> None:
    clicked = {"B": {"furniture": (9.0, 9.0), "settee": (4.0, 4.0)}}
    support = co_clicks(SOFA, clicked, {"furniture": 900.0, "settee": 8.0})
    assert sum(support["settee"]) > sum(support["furniture"])


def test_the_best_are_tried_two_by_two() -> None:
    found = rank(SOFA, {"sofa": (3.0, 0.0), "settee": (2.0, 0.0), "divan": (1.0, 0.0)}, {}, limit=3)
    assert pairs(found, 5) == ["sofa settee", "sofa divan", "settee divan"]
    assert pairs(found, 2) == ["sofa settee"]
    assert pairs(found[:1], 5) == []


def test_the_best_supported_come_first_and_the_query_itself_never() -> None:
    refined = {"sofa": (1.0, 0.0), "couch": (9.0, 9.0), "settee": (2.0, 2.0)}
    found = rank(SOFA, refined, {"sofa": (0.5, 0.0), "divan": (0.1, 0.0)}, limit=3)
    assert [(c.text, c.source) for c in found] == [
        ("settee", "reformulation"),
        ("sofa", "reformulation"),
        ("divan", "co-click"),
    ]
    assert found[1].support == pytest.approx((math.log(2) + 0.5, 0.0))
    assert len(rank(SOFA, refined, {}, limit=1)) == 1
