"""The gate, fed by hand: every figure has its limit, and each kind of ill version breaks one."""

import math

import pytest

from agent.release.gate import Answer, Shown, judge, unsound
from agent.sections import ReleaseSettings

QUERIES = [f"query {i}" for i in range(20)]
WORDS = ["sofa", "lamp", "chair", "table", "rug", "oven", "desk", "shelf", "bench", "stool"]
SETTINGS = ReleaseSettings()


def answers(
    reward: float = 0.1,
    text: str | None = None,
    *,
    unpopular: float | None = None,
    predicted: float | None = None,
) -> dict[str, Answer]:
    """Return answers of one reward; different words unless one text is given."""
    return {
        query: Answer(
            text=WORDS[i % 10] if text is None else text,
            reward=reward,
            unpopular=reward if unpopular is None else unpopular,
            predicted=reward if predicted is None else predicted,
        )
        for i, query in enumerate(QUERIES)
    }


def test_a_version_as_good_as_what_serves_is_admitted_with_its_gain() -> None:
    verdict = judge(Shown(candidate=answers(), serving=answers()), SETTINGS)
    assert verdict.admitted, verdict.reason
    assert verdict.gain == pytest.approx(0.1)  # all rewards alike: the bound is the mean
    assert all(figure.holds for figure in verdict.figures.values())


@pytest.mark.parametrize(("reward", "admitted"), [(0.095, True), (0.085, False)])
def test_it_may_be_worse_by_the_margin_and_no_more(reward: float, *, admitted: bool) -> None:
    verdict = judge(Shown(candidate=answers(reward), serving=answers(0.1)), SETTINGS)
    assert verdict.admitted is admitted
    assert admitted or "difference" in verdict.reason


def test_a_reward_that_is_no_number_holds_no_limit() -> None:
    assert not judge(Shown(candidate=answers(math.nan), serving=answers()), SETTINGS).admitted


def test_a_version_that_is_surely_worse_than_raw_is_refused_though_what_serves_is_worse_still() -> None:
    verdict = judge(Shown(candidate=answers(-0.1), serving=answers(-0.5)), SETTINGS)
    assert not verdict.admitted
    assert "reward_high" in verdict.reason
    assert "harm_rate" in verdict.reason


def test_harm_is_counted_on_judged_queries_alone() -> None:
    some = {q: Answer(text=WORDS[i % 10], reward=-0.1, judged=i < 5) for i, q in enumerate(QUERIES)}
    mostly = answers() | {q: one for q, one in some.items() if one.judged}
    verdict = judge(Shown(candidate=mostly, serving=mostly), SETTINGS)
    assert verdict.figures["harm_rate"].value == pytest.approx(5 / 20)
    assert verdict.figures["worse_than_raw"].value == 5


@pytest.mark.parametrize(
    ("text", "figure"),
    [
        ("sofa lamp chair table rug oven desk", "words"),
        ("best", "same"),
        ("🎉 ★", "odd"),
        ("xkcdqrst", "odd"),
        ("sofa sofa", "repeated"),
    ],
)
def test_words_that_please_no_shopper_are_refused_whatever_they_earn(text: str, figure: str) -> None:
    verdict = judge(Shown(candidate=answers(0.5, text=text), serving=answers(0.1)), SETTINGS)
    assert not verdict.admitted
    assert figure in verdict.reason


def test_falling_silent_at_once_is_refused() -> None:
    verdict = judge(Shown(candidate=answers(text=""), serving=answers()), SETTINGS)
    assert "silence_jump" in verdict.reason


@pytest.mark.parametrize(
    ("vital", "bad"),
    [("answer_s", 9.0), ("norm_ratio", 1e6), ("divergence_nats", 30.0), ("divergence_nats", math.nan)],
)
def test_what_the_machine_says_of_it_has_limits_too(vital: str, bad: float) -> None:
    shown = Shown(candidate=answers(), serving=answers(), vitals={vital: bad})
    assert vital in judge(shown, SETTINGS).reason


def test_a_gain_that_rests_on_popular_objects_alone_is_refused() -> None:
    verdict = judge(Shown(candidate=answers(unpopular=-0.01), serving=answers()), SETTINGS)
    assert "unpopular_reward" in verdict.reason


def test_a_gain_that_does_not_come_true_is_refused() -> None:
    verdict = judge(Shown(candidate=answers(predicted=1.0), serving=answers()), SETTINGS)
    assert verdict.figures["slope"].value == pytest.approx(0.1)  # .1 realised on 1 predicted, everywhere
    assert "slope_high" in verdict.reason


def test_it_is_held_against_the_weekly_anchor_as_well() -> None:
    shown = Shown(candidate=answers(0.1), serving=answers(0.1), anchor=answers(0.2))
    assert "anchor_difference" in judge(shown, SETTINGS).reason


def test_a_verdict_names_the_figure_its_value_and_its_limit() -> None:
    verdict = judge(Shown(candidate=answers(text="best"), serving=answers()), SETTINGS)
    assert "same is 1, at most 0.5 is asked" in verdict.reason


def test_what_cannot_be_loaded_is_refused_with_its_reason() -> None:
    assert unsound("torn").reason == "unsound: torn"
    assert not unsound("torn").admitted
