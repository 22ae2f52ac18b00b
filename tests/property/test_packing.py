"""Packed log-probabilities equal those of each rewrite behind its own copy of the prompt."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agent.policy.model import Policy
from agent.policy.pack import Group, Packed
from agent.policy.prompt import Prompt
from agent.sections import PolicySettings
from feedback.records import Form

torch.set_num_threads(1)
SETTINGS = PolicySettings(model="tiny", lora_rank=4, lora_layers=1)
WORDS = st.text("abc z", max_size=9)
PROMPTS = st.builds(
    Prompt,
    query=WORDS,
    examples=st.lists(st.tuples(WORDS, WORDS), max_size=3).map(tuple),
    form=st.sampled_from(Form),
)
COMPLETIONS = st.lists(
    st.lists(st.integers(0, 40), min_size=1, max_size=6).map(tuple), min_size=1, max_size=4
)
GROUPS = st.lists(
    st.builds(Group, prompt=PROMPTS, completions=COMPLETIONS.map(tuple)), min_size=1, max_size=4
)


def policy() -> Policy:
    """A tiny policy whose adapter does something."""
    made = Policy.load(SETTINGS)
    torch.manual_seed(1)
    made.load_adapter({k: torch.randn_like(v) * 0.3 for k, v in made.adapter_state().items()}, 1)
    return made


POLICY = policy()


def unpacked(group: Group, completion: tuple[int, ...]) -> Tensor:
    encoder = POLICY.encoder
    prompt = [*encoder.prefix(group.prompt.form), *encoder.prompt(group.prompt)]
    logits = POLICY.lm(torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 : -1]
    logprobs = torch.log_softmax(logits.float() / SETTINGS.temperature, -1)
    return logprobs.gather(-1, torch.tensor(completion)[:, None])[:, 0]


@given(GROUPS)
@settings(max_examples=25, deadline=None)
def test_packed_equals_unpacked(groups: list[Group]) -> None:
    packed = POLICY.score(groups)
    for r, group in enumerate(groups):
        for c, completion in enumerate(group.completions):
            expected = unpacked(group, completion)
            torch.testing.assert_close(packed[r, c, : len(completion)], expected, atol=1e-4, rtol=0)
            assert not packed[r, c, len(completion) :].any()
        assert not packed[r, len(group.completions) :].any()


@given(GROUPS)
@settings(max_examples=15, deadline=None)
def test_packed_gradients_equal_unpacked_ones(groups: list[Group]) -> None:
    parameters = [p for p in POLICY.lm.parameters() if p.requires_grad]
    packed = torch.autograd.grad(POLICY.score(groups).sum(), parameters)
    terms = [unpacked(group, c).sum() for group in groups for c in group.completions]
    expected = torch.autograd.grad(torch.stack(terms).sum(), parameters)
    for one, other in zip(packed, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


@given(st.lists(PROMPTS, min_size=1, max_size=5), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_sampled_equals_recomputed(prompts: list[Prompt], n: int, seed: int) -> None:
    rewrites = POLICY.sample(prompts, n=n, seed=seed)
    groups = [
        Group(prompt=p, completions=tuple(r.token_ids for r in rs))
        for p, rs in zip(prompts, rewrites, strict=True)
    ]
    with torch.no_grad():
        again = POLICY.score(groups)
    for r, row in enumerate(rewrites):
        for c, rewrite in enumerate(row):
            expected = torch.tensor(rewrite.token_logprobs)
            torch.testing.assert_close(again[r, c, : len(expected)], expected, atol=1e-4, rtol=0)


@given(GROUPS, st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_a_slice_of_the_rows_is_a_batch(groups: list[Group], at: int) -> None:
    row = min(at, len(groups) - 1)
    packed = POLICY.pack(groups)
    sliced = Packed.of({name: tensor[row : row + 1] for name, tensor in packed.columns().items()})
    whole = POLICY.score(groups)[row : row + 1]
    torch.testing.assert_close(POLICY.score_packed(sliced), whole, atol=1e-4, rtol=0)


KEEPING = policy()
KEEPING.keep_frozen()


@given(GROUPS)
@settings(max_examples=25, deadline=None)
def test_what_is_computed_from_kept_outputs_equals_it_too(groups: list[Group]) -> None:
    with torch.no_grad():
        torch.testing.assert_close(KEEPING.score(groups), POLICY.score(groups), atol=1e-4, rtol=0)
