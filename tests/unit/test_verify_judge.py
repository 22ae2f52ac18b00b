import math
from dataclasses import replace

import pytest

from agent.sections import VerifySettings
from agent.verify.judge import Judge, Listed, Reason
from agent.verify.posterior import by_rates, by_shares, lift_bound
from agent.verify.prior import Prior, newcomer_rate
from agent.verify.shop import Observed, Shop
from feedback.evidence.reading import ObjectEvidence, QueryEvidence, ShopTotals
from feedback.evidence.reward import moves
from feedback.settings import FeedbackSettings

FEEDBACK = FeedbackSettings()
SECOND = 1 / math.log2(3)
PRIOR = Prior(concentration=1.0, page_share=0.5, alpha=4.0)
Clicks = dict[str, float]


def clicked(**clicks: float) -> dict[str, ObjectEvidence]:
    return {d: ObjectEvidence(clicks=n) for d, n in clicks.items()}


def shop(**clicks: float) -> Shop:
    """A shop with these clicks over all queries, spread over many objects besides."""
    everything = clicked(**{f"other{i}": 10.0 for i in range(100)}) | clicked(**clicks)
    return Shop(totals=ShopTotals(folds=(everything, {}), mu=0.1), settings=FEEDBACK)


def judge(prior: Prior = PRIOR, **clicks: float) -> Judge:
    return Judge(shop=shop(**clicks), prior=prior, settings=VerifySettings())


def observed(first: Clicks, second: Clicks, raw: str) -> Observed:
    folds = clicked(**first), clicked(**second)
    return Observed(evidence=QueryEvidence(query="q", folds=folds), raw_ids=tuple(raw))


def lists(*pages: str) -> list[Listed]:
    return [Listed(text=f"to {page}", object_ids=tuple(page)) for page in pages]


def test_only_what_changes_its_rank_moves() -> None:
    assert moves("abc", "bac", 10) == {"a": SECOND - 1, "b": 1 - SECOND}
    assert moves("abc", "abc", 10) == {}
    assert moves("abc", "abd", 2) == {}  # what is below the depth is not seen


def test_from_clicks_the_gain_is_the_mean_of_what_each_clicks_object_moved() -> None:
    own = {"x": 3.0, "a": 1.0}
    nobody = shop().without({})
    belief = by_shares({"x": 1.0, "a": -0.5}, own, page={}, elsewhere=nobody, prior=Prior(concentration=1e-9))
    assert belief.mean == pytest.approx((3 * 1.0 - 1 * 0.5) / 4)
    square = (3 * 1.0 + 1 * 0.25) / 4
    assert belief.sd == pytest.approx(math.sqrt((square - 0.625**2) / 5))
    assert 0 < belief.p_harm < 0.1


def test_the_raw_page_speaks_against_pushing_it_down_before_any_click_does() -> None:
    page = shop().page(("a",))
    belief = by_shares({"x": 1.0, "a": SECOND - 1}, {}, page=page, elsewhere=shop().without({}), prior=PRIOR)
    popular = 0.5 / (1000 + 50)  # nobody clicked a: half an action, 100 objects with 10 clicks each
    assert belief.mean == pytest.approx((0.5 + 0.5 * popular) * (SECOND - 1))
    assert belief.p_harm == 1.0


def test_where_nothing_moves_down_there_is_no_harm() -> None:
    belief = by_shares({"x": 1.0}, {"x": 1.0}, page={}, elsewhere=shop().without({}), prior=PRIOR)
    assert belief.p_harm == 0.0
    assert belief.mean > 0.49


def test_from_pages_the_gain_is_a_sum_of_rates() -> None:
    fold = {
        "x": ObjectEvidence(examinations=16, clicks=8),
        "a": ObjectEvidence(examinations=16),
    }
    gains = {"x": (8 + 4 * 0.1) / 20, "a": 0.4 / 20}
    belief = by_rates(
        {"x": 1.0, "a": -1.0, "unknown": 0.5, "raw": -0.5}, fold, mu=0.1, prior=PRIOR, gains=gains
    )
    assert belief.mean == pytest.approx(0.42 - 0.02 - 0.5 * 0.1)  # no newcomer earned anything yet
    variance = 0.42 / 20 + 0.02 / 20 + 0.25 * 0.1 / 4
    assert belief.sd == pytest.approx(math.sqrt(variance))
    assert belief.p_harm == pytest.approx(0.5 * math.erfc(belief.mean / belief.sd / math.sqrt(2)))


def test_an_unknown_object_that_comes_in_is_worth_what_newcomers_earned_at_least() -> None:
    earning = replace(PRIOR, newcomer=0.2)
    belief = by_rates({"unknown": 1.0, "raw": -1.0}, {}, mu=0.1, prior=earning, gains={})
    assert belief.mean == pytest.approx(0.2 - 0.1)


def test_newcomers_earn_what_objects_that_raw_lacks_earned_when_first_examined() -> None:
    page = {"a": ObjectEvidence(examinations=50, clicks=50)}

    def rate(n: int, **each: float) -> float:
        shown = {f"new{i}": ObjectEvidence(**each) for i in range(n)}
        one = Observed(evidence=QueryEvidence(query="q", folds=(page | shown, {})), raw_ids=("a",))
        return newcomer_rate([one], shop())

    assert rate(29, examinations=1, clicks=0.5) == 0.0  # too few to tell
    assert 0.3 < rate(60, examinations=1, clicks=0.5) < rate(600, examinations=1, clicks=0.5) < 0.5
    often = rate(60, examinations=100, clicks=50)  # one examination each, however often it was shown
    assert often == pytest.approx(rate(60, examinations=1, clicks=0.5))
    assert rate(60, examinations=1) == 0.0


def test_lift_is_against_the_other_queries_only() -> None:
    own = {"x": 20.0}
    everywhere = shop(x=20.0)  # all of x's clicks are this query's
    assert lift_bound("x", own, everywhere.without(own), PRIOR) > 100
    popular = shop(x=20.0 + 1000.0)  # half of all other clicks are x's
    assert lift_bound("x", own, popular.without(own), PRIOR) < 2


def test_without_clicks_or_candidates_or_change_there_is_no_claim() -> None:
    nothing = judge().judge(observed({}, {}, "ab"), lists("ba"))
    assert nothing.reason is Reason.NO_CLICKS
    assert judge().judge(observed({"x": 1}, {}, "ab"), []).reason is Reason.NO_CANDIDATE
    assert judge().judge(observed({"x": 1}, {}, "ab"), lists("ab")).reason is Reason.CHANGES_NOTHING


def test_a_clicked_object_that_raw_does_not_find_is_a_claim_after_one_click() -> None:
    found = judge(x=3).judge(observed({"x": 1}, {}, ""), lists("yx", "xy"))
    assert found.reason is Reason.CLAIM
    assert found.listed == lists("xy")[0]
    assert found.posterior.p_harm == 0.0
    assert found.support == 1


def test_a_popular_object_is_no_reason_to_rewrite() -> None:
    one = observed({"x": 2}, {"x": 2}, "ab")
    assert judge(x=4 + 5).judge(one, lists("xy")).reason is Reason.CLAIM
    assert judge(x=4 + 2000).judge(one, lists("xy")).reason is Reason.POPULARITY


def test_on_an_empty_page_an_object_need_only_be_wanted_more_than_elsewhere() -> None:
    empty, full = observed({"x": 2}, {"x": 2}, ""), observed({"x": 2}, {"x": 2}, "ab")
    assert judge(x=4 + 500).judge(full, lists("xy")).reason is Reason.POPULARITY
    assert judge(x=4 + 500).judge(empty, lists("xy")).reason is Reason.CLAIM
    assert judge(x=4 + 20000).judge(empty, lists("xy")).reason is Reason.POPULARITY


def test_the_half_that_chose_a_candidate_does_not_judge_it() -> None:
    one = observed({"x": 3}, {"a": 3}, "ab")
    found = judge(x=3, a=3).judge(one, lists("xb"))
    assert found.reason is Reason.NO_GAIN  # both choose it, as the only one; together they lose
    split = observed({"x": 4}, {"y": 2, "x": 2}, "ab")
    held_out = judge(x=6, y=2).judge(split, lists("xab", "yxab"))
    assert held_out.reason is Reason.CLAIM
    assert held_out.listed == lists("yxab")[0]  # 'yxab' was chosen by the second half; the first bounds it
    moved = moves("ab", "yxab", 10)
    bound = judge(x=6, y=2).posterior(split, moved, split.evidence.fold(0))
    assert held_out.posterior.mean == bound.mean


def test_one_half_alone_pays_for_the_number_tried() -> None:
    one = observed({"x": 4}, {}, "ab")
    few = judge(x=4).judge(one, lists("xab"))
    many = judge(x=4).judge(one, lists("xab", "xba", "axb", "bxa"))
    assert few.listed == many.listed
    assert many.posterior.p_harm == pytest.approx(4 * few.posterior.p_harm)


def seen(**shown: tuple[float, float]) -> dict[str, ObjectEvidence]:
    """Objects with examinations and clicks."""
    return {d: ObjectEvidence(examinations=e, clicks=c) for d, (e, c) in shown.items()}


def on_pages(first: dict[str, ObjectEvidence], second: dict[str, ObjectEvidence], raw: str) -> Observed:
    return Observed(evidence=QueryEvidence(query="q", folds=(first, second)), raw_ids=tuple(raw))


def test_a_click_on_what_no_page_shows_any_more_supports_nothing() -> None:
    gone = on_pages(seen(old=(9, 9), a=(9, 1)), seen(old=(9, 9)), "ab")
    assert judge(a=1, old=18).judge(gone, []).support == 1  # a's alone
    found = on_pages(seen(old=(9, 9), x=(4, 3), a=(9, 0)), seen(x=(4, 2)), "ab")
    assert judge(x=5, old=9).judge(found, lists("xa")).support == 5
    played = observed({"old": 9}, {}, "ab")  # a log's pages were others'
    assert judge(old=9).judge(played, []).support == 9


def test_a_half_that_saw_nothing_that_would_move_up_leaves_it_to_the_other() -> None:
    told, untold = seen(x=(8, 8), a=(8, 0)), seen(old=(8, 8), a=(8, 0))
    whole = on_pages(told, untold, "a")
    alone = judge(x=8, old=8).judge(whole, lists("ya", "xa"))
    assert alone.reason is Reason.CLAIM  # left to itself the other half would choose ya, and deny xa
    assert alone.listed == lists("xa")[0]
    belief = judge(x=8, old=8).posterior(whole, moves("a", "xa", 10), whole.evidence.merged())
    assert alone.posterior.p_harm == pytest.approx(2 * belief.p_harm)  # two were tried


def test_where_clicks_follow_objects_alone_logged_pages_verify_nothing() -> None:
    shown = {"x": ObjectEvidence(examinations=30, clicks=20), "a": ObjectEvidence(examinations=30)}
    one = Observed(evidence=QueryEvidence(query="q", folds=(shown, shown)), raw_ids=("a",))
    assert judge(x=40).judge(one, lists("xa")).reason is Reason.CLAIM
    alone = Prior(concentration=1.0, queries_matter=False)
    assert judge(alone, x=40).judge(one, lists("xa")).reason is Reason.POPULARITY
