"""The learner on RLlib with a tiny model: it learns from true rewards, not from shuffled ones."""

import pytest
import torch
from toy import QUERIES, ToyCatalogue

from agent.learner.session import LearnerSession
from agent.scoring import prompt_for
from feedback.records import Verified

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("default"),  # RLlib warns of its own old names
]
BEST = 1 - 1 / 3.4594316  # the wanted object from rank 10 to rank 1: 1 / log2(2) - 1 / log2(11)


async def reward_of_samples(session: LearnerSession) -> float:
    """Return the mean reward of the first step's samples, before its update has any effect on them."""
    return (await session.train(max_updates=1)).reward


async def test_reward_rises_over_the_frozen_policys_by_a_third_of_what_can_be_had(build: object) -> None:
    session = await build()  # type: ignore[operator]
    frozen = await reward_of_samples(session)
    await session.train(max_updates=60, max_s=60)
    learned = (await session.train(max_updates=3)).reward
    assert frozen < 0.6 * BEST
    assert learned > frozen + BEST / 3


async def test_with_shuffled_rewards_it_does_not_learn(build: object) -> None:
    session = await build(shuffled=True)  # type: ignore[operator]
    await session.train(max_updates=60, max_s=60)
    learned = (await session.train(max_updates=10)).reward
    assert abs(learned) < BEST / 4


async def test_verified_rewrites_alone_teach_what_to_write(build: object) -> None:
    lone = {"queries_a_step": 1, "group": 1, "imitate_a_step": 7, "silent_share": 0.0}  # no own advantage
    session = await build(**lone)  # type: ignore[operator]
    for seq, query in enumerate(QUERIES, start=1):
        session.parts.stores.index.put(f"all|{query}", verdict(query, "sofa", seq))
    await session.train(max_updates=80, max_s=60)
    prompts = [prompt_for(q, session.parts.stores.index, session.parts.settings) for q in QUERIES]
    assert [r.text for r in await session.rewrite(prompts)] == ["sofa"] * len(QUERIES)


async def test_a_gradient_that_is_not_finite_changes_no_weight(
    build: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await build()  # type: ignore[operator]
    await session.train(max_updates=2)
    before = session.policy.adapter_state()
    true_score = session.policy.score_packed
    monkeypatch.setattr(session.policy, "score_packed", lambda packed: true_score(packed) * float("nan"))
    await session.train(max_updates=1)
    after = session.policy.adapter_state()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert session.vitals.skipped == 1
    monkeypatch.undo()
    await session.train(max_updates=1)
    assert not all(torch.equal(before[n], t) for n, t in session.policy.adapter_state().items())


async def test_a_failed_search_is_no_reward_and_the_queries_wait(build: object) -> None:
    catalogue = ToyCatalogue()
    catalogue.fail = True
    session = await build(catalogue=catalogue)  # type: ignore[operator]
    assert (await session.train(max_updates=1)).updates == 0
    assert set(session.parts.pool.waiting) == set(QUERIES)
    assert session.parts.pool.position() == {p: s - 1 for p, s in first_seqs(session).items()}
    catalogue.fail = False
    assert (await session.train(max_updates=1)).updates == 1


def first_seqs(session: LearnerSession) -> dict[int, int]:
    keys = session.parts.stores.keys
    seqs: dict[int, int] = {}
    for seq, query in enumerate(QUERIES, start=1):
        seqs.setdefault(keys.partition_of(query), seq)
    return seqs


def verdict(query: str, text: str, seq: int) -> Verified:
    return Verified(
        query=query,
        text=text,
        gain=0.5,
        gain_sd=0.1,
        p_harm=0.01,
        support=9.0,
        fingerprint="",
        changes=bool(text),
        evidence_seq=1,
        made_at_ms=0,
        seq=seq,
    )
