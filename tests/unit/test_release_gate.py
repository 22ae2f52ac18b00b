"""The gate lets sound versions through that are not worse on held-back queries."""

from pathlib import Path

import pytest
import torch

from agent.release.gate import Gate, compare
from agent.sections import ReleaseSettings
from agent.weights import AdapterStore
from agent.weights.verdict import Answer
from feedback.records import Manifest

QUERIES = [f"query {i}" for i in range(10)]


@pytest.fixture
def store(tmp_path: Path) -> AdapterStore:
    return AdapterStore(tmp_path)


@pytest.fixture
def manifest(store: AdapterStore) -> Manifest:
    saved = store.save(3, {"a": torch.ones(2)})
    return Manifest(
        version=3,
        parent=2,
        base_model="tiny",
        prompt_version="v1",
        uri=saved.uri,
        sha256=saved.sha256,
        n_bytes=saved.n_bytes,
        made_at_ms=0,
        steps=1,
    )


def answers(reward: float, queries: list[str] = QUERIES) -> dict[str, Answer]:
    return {query: Answer(text="sofa", reward=reward) for query in queries}


@pytest.mark.parametrize(("reward", "admitted"), [(0.2, True), (0.195, True), (0.15, False)])
def test_a_version_may_be_worse_by_the_margin_and_no_more(
    store: AdapterStore, manifest: Manifest, reward: float, *, admitted: bool
) -> None:
    gate = Gate(ReleaseSettings(margin=0.01), store)
    verdict = gate.judge(manifest, answers(reward), answers(0.2))
    assert verdict.admitted is admitted
    assert verdict.figures["difference"] == pytest.approx(reward - 0.2)


def test_a_file_that_changed_is_refused_however_good_its_figures(
    store: AdapterStore, manifest: Manifest
) -> None:
    (store.folder / manifest.uri).write_bytes(b"x")
    verdict = Gate(ReleaseSettings(), store).judge(manifest, answers(1.0), answers(0.0))
    assert not verdict.admitted
    assert verdict.reason.startswith("unsound")


def test_too_few_held_back_queries_judge_soundness_alone(store: AdapterStore, manifest: Manifest) -> None:
    gate = Gate(ReleaseSettings(min_queries=8), store)
    few = QUERIES[:7]
    assert gate.judge(manifest, answers(0.0, few), answers(1.0, few)).admitted


def test_the_figures_are_paired() -> None:
    candidate = {
        "a": Answer(text="sofa", reward=0.3),
        "b": Answer(text="sofa", reward=-0.1),
        "c": Answer(text="", reward=0.0),
        "only here": Answer(text="x", reward=9.0),
    }
    serving = {query: Answer(text="", reward=0.0) for query in "abc"}
    figures = compare(candidate, serving)
    assert figures["queries"] == 3
    assert figures["difference"] == pytest.approx(0.2 / 3)
    # deviations from .0667: .2333, -.1667, -.0667; squares .0544, .0278, .0044; sum .0867 / 2 / 3
    assert figures["difference_se"] == pytest.approx((0.086667 / 6) ** 0.5, rel=1e-4)
    assert (figures["wins"], figures["losses"]) == (1, 1)
    assert figures["silent"] == pytest.approx(1 / 3)
    assert figures["same"] == 1.0


def test_a_gain_over_raw_is_bounded_from_below_and_unknown_from_a_few_queries() -> None:
    def bound(rewards: list[float]) -> float:
        answers = {f"q{i}": Answer(text="x", reward=r) for i, r in enumerate(rewards)}
        return compare(answers, answers)["reward_bound"]

    assert bound([0.1] * 7) == 0.0
    assert bound([0.1] * 8) == pytest.approx(0.1)
    assert bound([0.9, *[-0.1] * 7]) < 0 < sum([0.9, *[-0.1] * 7])  # one lucky query proves nothing


def test_a_reward_that_is_no_number_admits_nothing(store: AdapterStore, manifest: Manifest) -> None:
    verdict = Gate(ReleaseSettings(), store).judge(manifest, answers(float("nan")), answers(0.1))
    assert not verdict.admitted
    assert "not a number" in verdict.reason
