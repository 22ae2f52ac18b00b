import pytest

from agent.verify.prior import Prior
from agent.verify.shop import Shop
from agent.verify.wanted import MOST, wanted, worth_of
from feedback.evidence.reading import Fold, ObjectEvidence, QueryEvidence, ShopTotals
from feedback.settings import FeedbackSettings

PRIOR = Prior(alpha=4.0)


def clicked(**clicks: float) -> dict[str, ObjectEvidence]:
    return {d: ObjectEvidence(clicks=n) for d, n in clicks.items()}


def asked(fold: Fold, everything: Fold, prior: Prior = PRIOR) -> tuple[tuple[str, float], ...]:
    shop = Shop(totals=ShopTotals(folds=(everything, {}), mu=0.1), settings=FeedbackSettings())
    return wanted(QueryEvidence(query="q", folds=(fold, {})), shop, prior)


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


def test_worth_is_less_than_nothing_for_what_is_popular_elsewhere_and_nothing_in_the_mean() -> None:
    own = clicked(bed=3, sofa=1)
    everything = clicked(bed=3, sofa=1 + 100, lamp=300)
    shop = Shop(totals=ShopTotals(folds=(everything, {}), mu=0.1), settings=FeedbackSettings())
    worth = worth_of(QueryEvidence(query="q", folds=(own, {})), shop, PRIOR)
    assert worth("bed") == pytest.approx(0.75, abs=0.01)
    assert worth("sofa") == pytest.approx(0.0, abs=0.01)
    assert worth("lamp") == pytest.approx(-0.75, abs=0.01)
    assert sum(map(worth, ("bed", "sofa", "lamp"))) == pytest.approx(0.0, abs=0.01)


def test_an_object_that_nobody_was_shown_attracts_as_newcomers_do() -> None:
    own = {"bed": ObjectEvidence(clicks=2, examinations=4), "dull": ObjectEvidence(examinations=40)}
    shop = Shop(totals=ShopTotals(folds=(own | clicked(lamp=300), {}), mu=0.1), settings=FeedbackSettings())
    evidence = QueryEvidence(query="q", folds=(own, {}))
    unknown, known = (worth_of(evidence, shop, Prior(alpha=4.0, newcomer=rate)) for rate in (0.0, 0.15))
    bed = (2 + 4 * 0.1) / (4 + 4)
    assert known("new") - unknown("new") == pytest.approx(0.15 / bed)
    assert known("dull") == unknown("dull")  # it was shown
    log = QueryEvidence(query="q", folds=(clicked(bed=2), {}))
    assert worth_of(log, shop, Prior(newcomer=0.15))("new") <= 0  # nobody knows what a log's pages showed
