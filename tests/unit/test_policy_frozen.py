"""Scoring from kept outputs of the frozen layers: the same numbers and gradients, and less computed."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from agent.policy import frozen, lora
from agent.policy.frozen import parts_of
from agent.policy.model import Policy
from agent.policy.pack import Group
from agent.policy.prompt import Prompt
from agent.sections import PolicySettings
from feedback.records import Form

torch.set_num_threads(1)
PROMPTS = [
    Prompt(query="red couch", examples=(("grey couch", "sofa"), ("oak bed", ""))),
    Prompt(query="something to hang up a heavy picture", form=Form.INSTEAD),
    Prompt(query="rake"),
]


def made() -> Policy:
    policy = Policy.load(PolicySettings(model="tiny", lora_layers=1, device="cpu"))
    generator = torch.Generator().manual_seed(1)
    state = policy.adapter_state()
    policy.load_adapter({n: 0.3 * torch.randn(t.shape, generator=generator) for n, t in state.items()}, 1)
    return policy


@pytest.fixture(name="policy")
def _policy() -> Policy:
    policy = made()
    policy.keep_frozen()
    return policy


@pytest.fixture(name="passes")
def _passes(policy: Policy) -> Iterator[list[int]]:
    """Tokens of each pass through the lowest layer."""
    passes: list[int] = []
    layer = lora.stack_of(policy.lm)[0]
    handle = layer.register_forward_hook(lambda _m, _a, out: passes.append(first(out)[..., 0].numel()))
    yield passes
    handle.remove()


def first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def sampled(policy: Policy) -> list[Group]:
    drawn = policy.sample(PROMPTS, n=4, seed=0)
    return [
        Group(prompt=prompt, completions=tuple(r.token_ids for r in group))
        for prompt, group in zip(PROMPTS, drawn, strict=True)
    ]


def gradients(policy: Policy, groups: list[Group]) -> tuple[Tensor, list[Tensor]]:
    scores = policy.score(groups)
    weights = torch.linspace(-1, 1, scores.numel()).view_as(scores)
    parameters = list(lora.trained(policy.lm).values())
    return scores.detach(), list(torch.autograd.grad((scores * weights).sum(), parameters))


def assert_as_whole(policy: Policy, groups: list[Group]) -> None:
    scores, slopes = gradients(policy, groups)
    expected, expected_slopes = gradients(made(), groups)
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)
    for slope, other in zip(slopes, expected_slopes, strict=True):
        # Sums in another order: single elements near 0 differ by more than the gradient does.
        assert torch.linalg.norm(slope - other) <= 1e-4 * torch.linalg.norm(other)


def test_scores_and_gradients_are_those_of_the_whole_model(policy: Policy) -> None:
    groups = sampled(policy)
    written = [
        Group(prompt=prompt, completions=(policy.encode(text, prompt.form),))
        for prompt, text in zip(PROMPTS, ("sofa", "picture rail", ""), strict=True)
    ]
    assert_as_whole(policy, groups)
    assert_as_whole(policy, [*written, *groups])  # some rows are kept, some are not
    assert_as_whole(policy, [groups[1], written[0]])
    assert policy._frozen is not None
    assert policy._frozen._agrees is True


def test_what_was_sampled_or_scored_passes_the_frozen_layers_once(policy: Policy, passes: list[int]) -> None:
    policy.score(sampled(policy)[:1])  # which also compares
    groups = sampled(policy)
    passes.clear()
    policy.score(groups)
    first_prefixes = [len(policy.encoder.prefix(Form.INSTEAD))]
    assert passes == first_prefixes  # the other form's prefix came with the first batch
    other = [Group(prompt=PROMPTS[2], completions=(policy.encode("hoe"), policy.encode("spade")))]
    passes.clear()
    policy.score(other)
    assert len(passes) == 1
    policy.score(other)
    assert len(passes) == 1


def test_a_model_that_differs_in_halves_is_used_whole(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = lora.stack_of(policy.lm)
    forward = stack[1].forward

    def odd(hidden: Tensor, **rest: object) -> object:  # as an architecture would that looks at its place
        in_whole = len(policy.lm.get_decoder().layers) == 2
        return forward(hidden if in_whole else hidden + 0.5, **rest)

    monkeypatch.setattr(stack[1], "forward", odd)
    groups = sampled(policy)
    assert_as_whole(policy, groups)
    assert policy._frozen is not None
    assert policy._frozen._agrees is False


def test_only_so_much_is_kept_and_the_oldest_goes(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "KEPT_TOKENS", 10)
    keeper = policy._frozen
    assert keeper is not None
    keeper.keep(((1,), (2,)), torch.zeros(6, 3))
    keeper.keep(((1,), (3,)), torch.zeros(4, 3))
    keeper.keep(((1,), (3,)), torch.zeros(4, 3))  # again: counted once
    assert list(keeper._kept) == [((1,), (2,)), ((1,), (3,))]
    keeper.keep(((1,), (4,)), torch.zeros(1, 3))
    assert list(keeper._kept) == [((1,), (3,)), ((1,), (4,))]
    assert_as_whole(policy, sampled(policy))  # a batch larger than what is kept


def test_a_row_is_cut_into_its_prompt_and_what_each_rewrite_read() -> None:
    parts = parts_of((9,), [5, 6, 1, 2, 3, 4, 0, 0], [0, 0, 1, 1, 3, 3, -1, -1])
    assert [part.key for part in parts] == [((9,), (5, 6)), ((9,), (5, 6), (1, 2)), ((9,), (5, 6), (3, 4))]
    assert [part.columns for part in parts] == [slice(0, 2), slice(2, 4), slice(4, 6)]


def test_a_model_that_learns_in_all_layers_keeps_nothing() -> None:
    policy = Policy.load(PolicySettings(model="tiny", lora_layers=2))
    policy.keep_frozen()
    assert policy._frozen is None
    assert isinstance(lora.stack_of(policy.lm), nn.ModuleList)
