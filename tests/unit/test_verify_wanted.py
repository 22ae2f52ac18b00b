import pytest

from agent.verify.prior import Prior
from agent.verify.shop import Observed, Shop
from agent.verify.wanted import MOST, wanted
from feedback.evidence import Fold, ObjectEvidence, QueryEvidence, ShopTotals
from feedback.settings import FeedbackSettings

PRIOR = Prior(alpha=4.0)


def clicked(**clicks: float) -> dict[str, ObjectEvidence]:
    return {d: ObjectEvidence(clicks=n) for d, n in clicks.items()}


def asked(fold: Fold, everything: Fold, prior: Prior = PRIOR) -> tuple[tuple[str, float], ...]:
    shop = Shop(totals=ShopTotals(folds=(everything, {}), mu=0.1), settings=FeedbackSettings())
    observed = Observed(evidence=QueryEvidence(query="q", folds=(fold, {})), raw_ids=())
    return wanted(observed, shop, prior)


def test_what_is_wanted_is_the_share_of_clicks_beyond_what_all_queries_give() -> None:
    own = clicked(bed=3, sofa=1)
    found = dict(asked(own, clicked(bed=3, sofa=1 + 100, lamp=299)))
    assert list(found) == ["bed"]  # a quarter of the clicks is what the sofa has anywhere
    assert found["bed"] == pytest.approx(0.75, abs=0.01)


def test_shown_and_not_clicked_is_not_wanted_and_rarely_seen_counts_by_its_rate() -> None:
    own = {
        "low": ObjectEvidence(clicks=2, examinations=4),
        "top": ObjectEvidence(clicks=2, examinations=40),
        "dull": ObjectEvidence(examinations=40),
    }
    found = dict(asked(own, own | clicked(lamp=300)))
    assert set(found) == {"low", "top"}
    assert found["low"] > 3 * found["top"]
    assert asked(own, own | clicked(lamp=300), Prior(alpha=4.0, queries_matter=False)) == ()


def test_at_most_ten_objects_are_told_the_largest_first() -> None:
    own = clicked(**{f"d{i:02}": 1 + i for i in range(15)})
    found = asked(own, own | clicked(lamp=1000))
    assert [d for d, _ in found] == [f"d{i:02}" for i in range(14, 4, -1)]
    assert len(found) == MOST
    assert asked({}, clicked(lamp=3)) == ()
    assert asked(clicked(bed=0.2), clicked(bed=0.2, lamp=3)) == ()  # too long ago
