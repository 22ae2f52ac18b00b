"""How a log is cut, and the figures of judged clicks, worked out by hand."""

import pytest

from agent.errors import Permanent
from agent.evaluate.backtest_figures import Answer, OfQuery, Past, Row, by_query, calibration, rows, summary
from agent.evaluate.backtest_spans import sampled, spans, steps
from agent.evaluate.clicklog import Click


def click(i: int, query: str = "q", object_id: str = "A") -> Click:
    return Click(
        client_id=f"c{i}",
        user_query=query,
        query=query,
        object_id=object_id,
        query_at_ms=1000 * i,
        click_at_ms=1000 * i + 1500,
    )


def answer(query: str, raw: list[str], served: list[str], rung: str = "verified") -> Answer:
    return Answer(
        query=query,
        rung=rung,
        source=rung,
        text="word",
        claimed=0.5,
        lists={
            "raw": raw,
            "served": served,
            "nearest": raw,
            "policy": raw,
            "click_memory": raw,
            "served_memory": served,
        },
    )


LOG = [click(i) for i in range(20)]


def test_a_log_is_cut_into_tenths_by_count_and_frozen_from_the_judged_part_on() -> None:
    cut = spans(LOG, judge_from=0.9)
    assert [(s.first, s.last) for s in cut] == [(i, i + 2) for i in range(0, 20, 2)]
    assert [s.frozen for s in cut] == [False] * 9 + [True]
    assert cut[1].at_ms == 2000  # when its first query was asked


def test_a_slice_that_the_judged_part_begins_in_is_cut_there() -> None:
    cut = spans(LOG, judge_from=0.85)
    assert [(s.first, s.last, s.frozen) for s in cut[-3:]] == [
        (16, 17, False),
        (17, 18, True),
        (18, 20, True),
    ]


def test_a_log_shorter_than_ten_clicks_has_no_empty_slice() -> None:
    assert [(s.first, s.last) for s in spans(LOG[:3], judge_from=0.7)] == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("judge_from", [0.0, 0.01, 1.0])
def test_a_judged_part_needs_something_before_and_in_it(judge_from: float) -> None:
    with pytest.raises(Permanent, match="nothing to learn from or to judge"):
        spans(LOG, judge_from=judge_from)


def test_the_steps_that_learn_on_cover_the_judged_part() -> None:
    cut = steps(LOG, first=15)
    assert [(s.first, s.last) for s in cut] == [(i, i + 1) for i in range(15, 20)]


def test_queries_are_sampled_alike_for_the_same_seed() -> None:
    log = [click(i, f"q{i}") for i in range(20)]
    assert sampled(log, 5, seed=1) == sampled(list(reversed(log)), 5, seed=1)
    assert len(sampled(log, 5, seed=1)) == 5
    assert len(sampled(log, None, seed=1)) == 20


CLICKS = [
    click(0, "sofa"),
    click(1, "sofa"),
    click(2, "sofa", "B"),
    click(3, "lamp", "L"),
    click(4, "skipped"),
]
ANSWERS = {"sofa": answer("sofa", ["B", "A"], ["A", "B"]), "lamp": answer("lamp", [], ["X", "L"], "nearest")}
JUDGED = rows(CLICKS, ANSWERS, Past(queries={"sofa"}, objects={"A"}))
THIRD = 0.6309298  # 1 / log2(3)


def test_clicks_of_queries_that_were_not_sampled_do_not_count() -> None:
    assert {row.query for row in JUDGED} == {"sofa", "lamp"}


def test_the_figure_is_the_mean_over_clicks() -> None:
    figures = summary(JUDGED, seed=0)
    assert figures["ndcg10"]["raw"] == pytest.approx((2 * THIRD + 1 + 0) / 4)
    assert figures["ndcg10"]["served"] == pytest.approx((2 + THIRD + THIRD) / 4)
    assert figures["ndcg10_over_queries"]["served"] == pytest.approx(((2 + THIRD) / 3 + THIRD) / 2)
    assert figures["recall100"]["raw"] == 0.75


def test_wins_and_losses_are_over_distinct_queries() -> None:
    figures = summary(JUDGED, seed=0)
    assert (figures["wins"], figures["losses"]) == (2, 0)
    assert figures["many_clicks"] == {"least": 5, "wins": 0, "losses": 0}


def test_parts_are_told_by_what_was_known_before() -> None:
    figures = summary(JUDGED, seed=0)
    assert figures["never_seen"]["share"] == figures["empty"]["share"] == 0.25  # lamp
    assert figures["never_seen"]["served"] == pytest.approx(THIRD)
    assert figures["new_objects"]["clicks"] == 2  # B and L
    assert figures["by_rung"]["nearest"]["queries"] == 1


def test_what_rewriting_adds_to_click_memory_is_paired() -> None:
    added = summary(JUDGED, seed=0)["intervals"]["served_memory_minus_click_memory"]
    assert added["mean"] == pytest.approx((2 * (1 - THIRD) + THIRD - 1 + THIRD) / 4)


def test_a_served_query_that_falls_is_worse() -> None:
    fallen = rows([click(0, "x")], {"x": answer("x", ["A"], [])}, Past(queries=(), objects=()))
    assert summary(fallen, seed=0)["never_seen"]["worse"] == 1


def of_query(claimed: float, change: float, clicks: int, rung: str = "verified") -> OfQuery:
    ndcg = {"raw": 0.0, "served": change}
    return OfQuery(query="q", clicks=clicks, rung=rung, claimed=claimed, ndcg=ndcg)


def test_the_slope_of_realised_on_claimed_gain_goes_through_zero_and_weighs_clicks() -> None:
    queries = [of_query(0.4, 0.2, 1), of_query(0.2, 0.2, 2), of_query(0.9, 0.0, 9, rung="nearest")]
    # realised on claimed: .08 for one click and 2 of .04, over .16 and 2 of .04
    assert calibration(queries) == {"queries": 2, "slope": pytest.approx(0.16 / 0.24)}


def test_nothing_judged_is_all_zeros() -> None:
    nothing: list[Row] = []
    assert by_query(nothing) == []
    assert summary(nothing, seed=0)["ndcg10"]["served"] == 0.0
