"""Several adapters over one tiny model write what each would write alone."""

from typing import Any

import pytest
import torch

from agent.errors import BadWeights, Transient
from agent.policy import attention, model
from agent.policy.model import Policy
from agent.policy.prompt import Prompt
from agent.policy.slots import Slots
from agent.sections import PolicySettings
from feedback.records import Form, Rewrite

torch.set_num_threads(1)
SETTINGS = PolicySettings(model="tiny", lora_rank=4, lora_layers=1)
PROMPTS = [
    Prompt(query="red couch"),
    Prompt(query="a spade for a very small garden", form=Form.INSTEAD),
    Prompt(query="rake", examples=(("hoe", ""), ("spade", "shovel"))),
]
State = dict[str, torch.Tensor]
Alone = dict[int, list[list[Rewrite]]]


def noise(seed: int) -> State:
    generator = torch.Generator().manual_seed(seed)
    state = Policy.load(SETTINGS).adapter_state()
    return {name: torch.randn(tensor.shape, generator=generator) for name, tensor in state.items()}


def written(version: int) -> list[list[Rewrite]]:
    policy = Policy.load(SETTINGS)
    if version:
        policy.load_adapter(noise(version), version)
    return policy.sample(PROMPTS, n=2, seed=5)


@pytest.fixture(name="alone", scope="module")
def _alone() -> Alone:
    """What each version writes in a policy of its own."""
    return {version: written(version) for version in (0, 1, 2)}


@pytest.fixture(name="slots")
def _slots() -> Slots:
    slots = Slots(Policy.load(SETTINGS))
    for version in (1, 2):
        slots.hold(noise(version), version)
    return slots


@pytest.fixture(name="prefixes")
def _prefixes(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The prefixes that were computed."""
    computed: list[object] = []
    compute = attention.prefix_cache

    def counted(*args: Any) -> Any:  # noqa: ANN401 - as the function is
        computed.append(args)
        return compute(*args)

    monkeypatch.setattr(model, "prefix_cache", counted)
    return computed


def test_the_versions_of_this_test_write_differently(alone: Alone) -> None:
    texts = [[one.token_ids for group in made for one in group] for made in alone.values()]
    assert len({tuple(one) for one in texts}) == 3


def test_a_slot_writes_what_its_adapter_writes_alone_whatever_wrote_before(
    slots: Slots, alone: Alone
) -> None:
    for version in (0, 1, 2, 1, 0, 2, 0, 0, 1, 1, 2, 2):  # each after each
        slots.use(version)
        assert slots.version == version
        assert slots.sample(PROMPTS, n=2, seed=5) == alone[version]


def test_switching_back_computes_no_prefix_anew(slots: Slots, prefixes: list[object]) -> None:
    for version in (1, 2, 1, 2, 0, 1):
        slots.use(version)
        slots.sample(PROMPTS, n=1, greedy=True)
    assert len(prefixes) == 3 * 2  # versions, forms


def test_weights_that_are_written_over_leave_the_slot_s_prefix_as_it_was(alone: Alone) -> None:
    policy = Policy.load(SETTINGS)
    slots = Slots(policy)
    slots.hold(noise(1), 1)
    slots.use(1)
    slots.sample(PROMPTS, n=1)
    policy.load_adapter(noise(2), 2)
    assert policy.sample(PROMPTS, n=2, seed=5) == alone[2]
    slots.use(0)
    slots.use(1)
    assert slots.sample(PROMPTS, n=2, seed=5) == alone[1]


def test_a_version_that_is_not_held_is_not_used_and_the_former_goes_on(slots: Slots, alone: Alone) -> None:
    slots.use(1)
    slots.keep({1})
    assert slots.versions == {1}
    with pytest.raises(Transient, match="does not hold version 2"):
        slots.use(2)
    assert slots.sample(PROMPTS, n=2, seed=5) == alone[1]


def test_a_slot_that_was_let_go_and_is_held_again_has_the_new_tensors(slots: Slots, alone: Alone) -> None:
    slots.use(1)
    slots.keep({0})
    slots.hold(noise(2), 1)
    slots.use(1)
    texts = [[one.text for one in group] for group in slots.sample(PROMPTS, n=2, seed=5)]
    assert texts == [[one.text for one in group] for group in alone[2]]


def test_a_bad_adapter_takes_no_slot(slots: Slots, alone: Alone) -> None:
    good = noise(3)
    name = next(iter(good))
    for bad in ({}, {**good, name: good[name] * torch.nan}, {**good, name: good[name][:-1]}):
        with pytest.raises(BadWeights, match="adapter"):
            slots.hold(bad, 3)
    assert slots.versions == {0, 1, 2}
    slots.use(2)
    assert slots.sample(PROMPTS, n=2, seed=5) == alone[2]


def test_no_room_on_the_device_is_the_adapter_s_fault(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(Policy, "held", full)
    with pytest.raises(BadWeights, match="version 3: no room"):
        slots.hold(noise(3), 3)
