"""Figures of lists, worked out by hand."""

import ir_measures
import pytest

from agent.evaluate.metrics import by_score, click_ndcg, click_recall, dcg, mean, ndcg, recall


def test_ties_are_broken_by_id_and_not_by_the_order_of_arrival() -> None:
    assert by_score([("b", 1.0), ("c", 2.0), ("a", 1.0)]) == ["c", "a", "b"]
    assert by_score([("a", 1.0), ("b", 1.0), ("c", 2.0)]) == ["c", "a", "b"]


def test_a_click_on_the_third_object_is_worth_a_half() -> None:
    assert click_ndcg(["a", "b", "c"], "a") == 1.0
    assert click_ndcg(["a", "b", "c"], "c") == 0.5  # 1 / log2(4)


def test_a_click_below_the_tenth_rank_is_worth_nothing() -> None:
    ids = [str(i) for i in range(12)]
    assert click_ndcg(ids, "9") == pytest.approx(0.2890648)  # 1 / log2(11)
    assert click_ndcg(ids, "10") == 0.0
    assert click_ndcg(ids, "elsewhere") == 0.0
    assert click_recall(ids, "10") == 1.0
    assert click_recall(ids, "10", k=10) == 0.0


def test_graded_gains_are_discounted_by_rank() -> None:
    # 1 / log2(2) + 3 / log2(3) over the ideal 3 / log2(2) + 1 / log2(3)
    assert dcg(["b", "a"], {"a": 3.0, "b": 1.0}) == pytest.approx(1 + 3 / 1.5849625)
    assert ndcg(["b", "a"], {"a": 3.0, "b": 1.0}) == pytest.approx(2.8927893 / 3.6309298)


def test_the_ideal_list_has_no_more_ranks_than_are_judged() -> None:
    assert ndcg(["a"], {"a": 1.0, "b": 1.0}, k=1) == 1.0


def test_where_nothing_is_relevant_the_figure_is_zero() -> None:
    assert ndcg(["a"], {}) == 0.0
    assert recall(["a"], []) == 0.0


def test_recall_is_the_share_of_what_could_be_found() -> None:
    assert recall(["a", "x", "b"], ["a", "b", "c", "d"]) == 0.5
    assert recall(["a", "x", "b"], ["a", "b", "c", "d"], k=2) == 0.25


def test_the_mean_over_clicks_weighs_a_query_by_its_clicks() -> None:
    assert mean([1.0, 0.0], [3, 1]) == 0.75
    assert mean([]) == 0.0
    assert mean([1.0], [0]) == 0.0


def test_whole_grades_agree_with_the_usual_tool() -> None:
    gains = {"a": 3, "b": 1, "c": 2}
    ranked = ["b", "x", "a", "y", "c"]
    qrels = [ir_measures.Qrel("q", d, g) for d, g in gains.items()]
    run = [ir_measures.ScoredDoc("q", d, -float(i)) for i, d in enumerate(ranked)]
    expected = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run)[ir_measures.nDCG @ 10]
    assert ndcg(ranked, gains) == pytest.approx(expected)
