"""Both engines keep one contract: what a policy with that adapter alone writes, and how likely it was.

vLLM's side is a stand-in for its server (tests/checks/vllm_stand_in.py): no real vLLM was asked.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from engine_world import PROMPTS, SETTINGS, alone, noise, scored, settings_of
from vllm_stand_in import standing_in

from agent.errors import BadWeights, Transient
from agent.policy.engine import Engine, load_engine
from feedback.records import Rewrite

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # peft's business
VERSIONS = (0, 1, 2)


@pytest.fixture(params=["transformers", "vllm"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "transformers":
        yield load_engine(settings_of(tmp_path))
        return
    with standing_in() as server:
        made = load_engine(settings_of(tmp_path, engine="vllm", vllm_url=server.url, vllm_timeout_s=15))
        yield made
        made.close()


@pytest.fixture
def engine_of_three(engine: Engine) -> Engine:
    for version in VERSIONS[1:]:
        engine.hold(noise(version), version)
    return engine


def ids(rewrites: list[list[Rewrite]]) -> list[list[tuple[int, ...]]]:
    return [[one.token_ids for one in group] for group in rewrites]


def gap(version: int, rewrites: list[list[Rewrite]], temperature: float) -> float:
    """Return by how much any log-probability differs from that of the policy itself, in nats."""
    ours = [[list(one.token_logprobs) for one in group] for group in rewrites]
    theirs = scored(version, rewrites, temperature)
    pairs = [
        (a, b)
        for group, other in zip(ours, theirs, strict=True)
        for one, same in zip(group, other, strict=True)
        for a, b in zip(one, same, strict=True)
    ]
    return max(abs(a - b) for a, b in pairs)


def test_it_begins_with_the_base_model_alone(engine: Engine) -> None:
    assert (engine.version, set(engine.versions), engine.base_model) == (0, {0}, "tiny-1")


def test_greedy_rewrites_are_those_of_the_policy_with_that_adapter(engine_of_three: Engine) -> None:
    engine, seen = engine_of_three, set()
    for version in VERSIONS:
        engine.use(version)
        wrote = engine.sample(PROMPTS, n=1, greedy=True)
        own = alone(version).sample(PROMPTS, n=1, greedy=True)
        assert ids(wrote) == ids(own)
        assert [[one.text for one in group] for group in wrote] == [[one.text for one in g] for g in own]
        (temperature,) = {one.temperature for group in wrote for one in group}
        assert gap(version, wrote, temperature) < 1e-3
        seen.add(str(ids(wrote)))
    assert len(seen) == len(VERSIONS)  # else any adapter would do


def test_log_probabilities_are_of_the_distribution_that_was_sampled_from(engine_of_three: Engine) -> None:
    engine = engine_of_three
    for version in VERSIONS:
        engine.use(version)
        wrote = engine.sample(PROMPTS, n=4, seed=3)
        assert {one.temperature for group in wrote for one in group} == {SETTINGS.temperature}
        assert {one.version for group in wrote for one in group} == {version}
        assert gap(version, wrote, SETTINGS.temperature) < 1e-3  # another order of sums in single precision
        assert gap(version, wrote, 1.0) > 1e-1  # that of another temperature is told apart


def test_versions_stand_side_by_side_and_none_spoils_another(engine_of_three: Engine) -> None:
    engine = engine_of_three
    rounds: list[list[list[tuple[int, ...]]]] = []
    for version in (1, 2, 0, 1, 2, 0):
        engine.use(version)
        rounds.append(ids(engine.sample(PROMPTS, n=1, greedy=True)))
    assert rounds[:3] == rounds[3:]


def test_samples_are_as_many_as_asked_for_in_the_order_of_their_prompts(engine: Engine) -> None:
    wrote = engine.sample(PROMPTS, n=3, seed=5)
    assert [len(group) for group in wrote] == [3, 3, 3]
    limits = (SETTINGS.max_new_tokens, SETTINGS.long_max_new_tokens, SETTINGS.max_new_tokens)
    for group, limit in zip(wrote, limits, strict=True):
        assert all(0 < len(one.token_ids) == len(one.token_logprobs) <= limit for one in group)
    assert max(len(one.token_ids) for one in wrote[1]) > SETTINGS.max_new_tokens
    assert engine.sample([], n=3) == []


def test_a_seed_repeats_the_draws_and_equal_prompts_draw_by_themselves(engine: Engine) -> None:
    twins = [PROMPTS[0], PROMPTS[0]]
    first, again, other = (ids(engine.sample(twins, n=2, seed=seed)) for seed in (5, 5, 6))
    assert first == again != other
    assert len({one for group in first for one in group}) == 4


def test_a_rewrite_ends_with_its_line(engine: Engine) -> None:
    wrote = [one for group in engine.sample(PROMPTS * 8, n=4, seed=1) for one in group]
    ends = alone(0).encoder.tokenizer.ends
    done = [one for one in wrote if one.token_ids[-1] in ends]
    assert done
    assert not any(ends.intersection(one.token_ids[:-1]) for one in wrote)
    assert not any("\n" in one.text for one in wrote)


def test_a_version_that_is_not_held_is_not_used_and_the_former_goes_on(engine: Engine) -> None:
    before = ids(engine.sample(PROMPTS, n=1, greedy=True))
    with pytest.raises(Transient, match="does not hold version 7"):
        engine.use(7)
    assert (engine.version, ids(engine.sample(PROMPTS, n=1, greedy=True))) == (0, before)


def test_what_is_let_go_of_cannot_be_used_and_may_come_again(engine_of_three: Engine) -> None:
    engine = engine_of_three
    engine.keep({2})
    assert set(engine.versions) == {2}
    for version in (0, 1):
        with pytest.raises(Transient):
            engine.use(version)
    engine.use(2)
    assert ids(engine.sample(PROMPTS, n=1, greedy=True)) == ids(alone(2).sample(PROMPTS, n=1, greedy=True))
    engine.hold(noise(1), 1)
    engine.use(1)
    assert ids(engine.sample(PROMPTS, n=1, greedy=True)) == ids(alone(1).sample(PROMPTS, n=1, greedy=True))


def test_a_bad_adapter_takes_no_slot_and_the_others_go_on(engine_of_three: Engine) -> None:
    engine, good = engine_of_three, noise(3)
    name = next(iter(good))
    bad = {
        "missing": {key: one for key, one in good.items() if key != name},
        "unknown": {**good, "model.layers.9.q.lora_A.weight": torch.zeros(4, 4)},
        "shape": {**good, name: torch.zeros(3, 64)},
        "not finite": {**good, name: torch.full_like(good[name], float("nan"))},
    }
    for state in bad.values():
        with pytest.raises(BadWeights):
            engine.hold(state, 3)
    assert set(engine.versions) == set(VERSIONS)
    engine.use(1)
    assert ids(engine.sample(PROMPTS, n=1, greedy=True)) == ids(alone(1).sample(PROMPTS, n=1, greedy=True))
