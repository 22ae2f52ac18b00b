"""Off-policy estimates from explore pages: lists by hand, and the truth of a simulated arm."""

import random
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from explored_pages import explored

from agent.policy.model import Policy
from agent.policy.pack import Group
from agent.policy.prompt import Prompt
from agent.scoring.explored import TARGETS, estimates, log_of, rescored
from agent.sections import PolicySettings
from feedback.records import Choice, Explored, Rewrite

POOL = (
    Choice(text="settee", probability=0.5, page=1),
    Choice(text="sofa", token_ids=(1,), logprob=-1.0, probability=0.125, page=2),
    Choice(text="Sofa", token_ids=(2,), logprob=-3.0, probability=0.125, page=2),
    Choice(text="", token_ids=(3,), logprob=-2.0, probability=0.125, page=0),
    Choice(text="bed", token_ids=(4,), logprob=-5.0, probability=0.125, page=3),
)


def page(taken: int, preferred: float = 0.0, *, pool: tuple[Choice, ...] = POOL, **more: Any) -> Explored:  # noqa: ANN401
    base = explored(**{"query": "couch", **more}, preference=preferred)
    return msgspec.structs.replace(base, draw=msgspec.structs.replace(base.draw, choices=pool, taken=taken))


def test_choices_that_find_one_list_are_one_action() -> None:
    pages = [page(0, 0.5), page(2, -1.0, client="d"), page(4, query="hose")]
    log = log_of(pages, TARGETS["samples"])
    assert log is not None
    assert log.query.tolist() == [0, 0, 1]
    assert log.shown.tolist() == [1, 2, 3]
    assert log.client.tolist() == [0, 1, 0]
    assert log.reward.tolist() == [0.5, -1.0, 0.0]
    assert log.behaviour.tolist() == 2 * [[0.125, 0.5, 0.25, 0.125]]
    assert log.target.tolist() == 2 * [[0.25, 0.0, 0.5, 0.25]]
    assert log.weights.tolist() == [0.0, 2.0, 2.0]


def test_the_likeliest_sample_and_the_proposals_are_targets_where_there_are_some() -> None:
    likeliest, proposals = (log_of([page(0)], TARGETS[name]) for name in ("likeliest", "proposals"))
    assert likeliest is not None
    assert proposals is not None
    assert likeliest.target.tolist() == [[0.0, 0.0, 1.0, 0.0]]
    assert proposals.target.tolist() == [[0.0, 1.0, 0.0, 0.0]]
    assert log_of([page(0, pool=POOL[1:])], TARGETS["proposals"]) is None
    assert log_of([page(0, pool=POOL[:1])], TARGETS["likeliest"]) is None


def test_too_few_effective_pages_make_no_estimate() -> None:
    pages = [page(0, client=f"c{i}") for i in range(199)]
    assert estimates(pages, TARGETS["proposals"])["ips"] is None
    more = estimates([*pages, page(0)], TARGETS["proposals"])
    assert more["effective"] == pytest.approx(200)
    assert more["ips"]["value"] == 0
    assert estimates([], TARGETS["samples"]) == {
        "pages": 0,
        "effective": 0.0,
        "ips": None,
        "snips": None,
        "doubly_robust": None,
    }


def test_the_estimates_hold_the_truth_of_a_simulated_arm() -> None:
    rng = random.Random(0)
    worth = {0: 0.0, 1: -0.2, 2: 0.4, 3: 0.1}
    pages = []
    for i in range(4000):
        (taken,) = rng.choices(range(len(POOL)), [choice.probability for choice in POOL])
        mean = worth[POOL[taken].page]
        preferred = 0.0 if POOL[taken].page == 0 else (1.0 if rng.random() < (1 + mean) / 2 else -1.0)
        pages.append(page(taken, preferred, query=f"q{i % 10}", client=f"c{i % 400}"))
    truth = {"samples": 0.5 * 0.4 + 0.25 * 0.1, "proposals": -0.2, "likeliest": 0.4}
    for name, value in truth.items():
        found = estimates(pages, TARGETS[name])
        for method in ("ips", "snips", "doubly_robust"):
            low, high = found[method]["interval"]
            assert low < value < high
            assert high - low < 0.25


@pytest.fixture(name="policy", scope="module")
def _policy() -> Policy:
    return Policy.load(PolicySettings(model="tiny", lora_layers=2))


def test_another_version_draws_among_the_samples_in_proportion_to_its_ratio(policy: Policy) -> None:
    prompt = Prompt(query="couch", examples=(("bed", ""),))
    samples = policy.sample([prompt], n=3, seed=0)[0]
    before = policy.adapter_state()
    noise = {
        n: t + 0.3 * torch.randn(t.shape, generator=torch.Generator().manual_seed(0))
        for n, t in before.items()
    }
    pool = (POOL[0], *(choice(one, i) for i, one in enumerate(samples, start=2)))
    base = explored("couch", rewrite=samples[0], examples=prompt.examples)
    shown = msgspec.structs.replace(base, draw=msgspec.structs.replace(base.draw, choices=pool, taken=1))
    unchanged = rescored([shown], policy)(shown)
    assert unchanged == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=1e-4)
    policy.load_adapter(noise, 1)
    changed = rescored([shown], policy)(shown)
    scores = [_score(policy, prompt, one) for one in samples]
    ratios = np.exp([new - sum(one.token_logprobs) for new, one in zip(scores, samples, strict=True)])
    policy.load_adapter(before, 0)
    assert changed == pytest.approx([0, *(ratios / ratios.sum())], rel=1e-3)
    assert changed != pytest.approx(unchanged, abs=1e-3)
    foreign = msgspec.structs.replace(shown, draw=msgspec.structs.replace(shown.draw, base_model="other"))
    assert rescored([foreign], policy)(foreign) is None


def _score(policy: Policy, prompt: Prompt, rewrite: Rewrite) -> float:
    return policy.score([Group(prompt=prompt, completions=(rewrite.token_ids,))]).sum().item()


def choice(rewrite: Rewrite, number: int) -> Choice:
    logprob = sum(rewrite.token_logprobs)
    return Choice(
        text=rewrite.text, token_ids=rewrite.token_ids, logprob=logprob, probability=1 / 6, page=number
    )
