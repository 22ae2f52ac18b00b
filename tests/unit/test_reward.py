"""What an object and a list are worth, by hand."""

import pytest

from feedback.evidence.reading import ObjectEvidence, mean_attractiveness
from feedback.evidence.reward import attractiveness, dcg_difference
from feedback.settings import FeedbackSettings

SETTINGS = FeedbackSettings()


def test_actions_are_shrunk_to_the_shops_mean() -> None:
    fold = {"A": ObjectEvidence(examinations=6.0, impressions=8.0, clicks=3.0)}
    worth = attractiveness(fold, mu=0.1, alpha=4.0, settings=SETTINGS)
    assert worth == {"A": pytest.approx((3 + 0.4) / (6 + 4))}


def test_a_purchase_counts_three_times_a_click() -> None:
    fold = {"A": ObjectEvidence(examinations=6.0, clicks=1.0, purchases=1.0)}
    assert attractiveness(fold, mu=0.0, alpha=4.0, settings=SETTINGS) == {"A": pytest.approx(0.4)}


def test_an_object_hardly_seen_and_not_clicked_is_worth_nothing() -> None:
    fold = {
        "rare": ObjectEvidence(examinations=0.4, impressions=1.0),
        "seen": ObjectEvidence(examinations=0.5, impressions=1.0),
        "clicked": ObjectEvidence(examinations=0.3, impressions=1.0, clicks=1.0),
    }
    worth = attractiveness(fold, mu=0.2, alpha=1.0, settings=SETTINGS)
    assert set(worth) == {"seen", "clicked"}
    assert worth["seen"] == pytest.approx(0.2 / 1.5)
    assert worth["clicked"] == pytest.approx(1.2 / 2.0)  # a click is an examination at least


def test_without_impressions_worth_is_the_share_of_the_querys_clicks() -> None:
    fold = {"A": ObjectEvidence(clicks=3.0), "B": ObjectEvidence(clicks=1.0), "C": ObjectEvidence()}
    assert attractiveness(fold, mu=0.5, alpha=4.0, settings=SETTINGS) == {"A": 0.75, "B": 0.25}


def test_nothing_known_is_worth_nothing() -> None:
    assert attractiveness({}, mu=0.5, alpha=4.0, settings=SETTINGS) == {}


def test_the_difference_of_lists_counts_objects_whose_rank_differs() -> None:
    gains = {"A": 1.0, "B": 0.5, "C": 0.25}
    # A from 1 to 2: 1/log2(3) - 1; B from 2 to 1: .5 - .5/log2(3); C stays
    expected = (0.6309297535714575 - 1) + 0.5 * (1 - 0.6309297535714575)
    assert dcg_difference(["A", "B", "C"], ["B", "A", "C"], gains) == pytest.approx(expected)


def test_an_unknown_object_gains_nothing_and_pushes_others_down() -> None:
    assert dcg_difference([], ["X"], {"A": 1.0}) == 0.0
    assert dcg_difference(["A"], ["X", "A"], {"A": 1.0}) == pytest.approx(0.6309297535714575 - 1)


def test_objects_below_the_depth_and_repeated_ones_do_not_count() -> None:
    assert dcg_difference(["A", "B"], ["A", "C"], {"C": 1.0}, depth=1) == 0.0
    assert dcg_difference([], ["A", "A"], {"A": 1.0}) == 1.0


def test_the_mean_is_actions_an_examination_over_shown_objects() -> None:
    one = {"A": ObjectEvidence(examinations=3.0, clicks=1.0), "log": ObjectEvidence(clicks=9.0)}
    other = {"A": ObjectEvidence(examinations=1.0, purchases=1.0)}
    assert mean_attractiveness([one, other], SETTINGS.action_weight) == pytest.approx((1 + 3) / 4)
    assert mean_attractiveness([{}, {}], SETTINGS.action_weight) == 0.0
