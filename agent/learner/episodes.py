"""Rollouts as RLlib's episodes, and back: one rewrite is one episode of one step.

A verified rewrite has no behaviour log-probabilities. What a group's advantages need is computed here, before
episodes are spread over learners. A rewrite that was drawn more than once is one episode, so that it is
scored once.
"""

import uuid
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from agent.learner.challengers import Estimator
from agent.learner.loss import Targets
from agent.learner.rollout import Rollout
from agent.policy.model import Policy
from agent.policy.pack import Group, Packed
from agent.policy.prompt import Prompt
from feedback.records import Rewrite

GROUP, PROMPT, COUNT = "group", "prompt", "count"
ADVANTAGE, IMITATION, SHARE = "advantage", "imitation", "share"


def episodes_of(rollout: Rollout, policy: Policy, *, distinct: bool = False) -> list[SingleAgentEpisode]:
    """Return the group's episodes: own samples with log-probabilities, verified rewrites without.

    Args:
        rollout: the group.
        policy: knows the tokens.
        distinct: count a text once that was drawn more than once.
    """
    prompt = rollout.prompt
    group = uuid.uuid4().hex
    observation = np.asarray(policy.encoder.prompt(prompt), np.int64)
    made: list[SingleAgentEpisode] = []
    for rewrite, reward, count in merged(rollout, distinct=distinct):
        outputs = {Columns.ACTION_LOGP: np.asarray(rewrite.token_logprobs, np.float32)}
        made.append(one_step(observation, rewrite.token_ids, reward, outputs))
        made[-1].custom_data[COUNT] = count
    for target in rollout.targets:
        ids = policy.encode(target.text, prompt.form)
        made.append(one_step(observation, ids, target.reward, {IMITATION: target.weight}))
    for episode in made:
        episode.custom_data.update({GROUP: group, PROMPT: prompt})
    return made


def merged(rollout: Rollout, *, distinct: bool) -> list[tuple[Rewrite, float, int]]:
    """Return the group's different own samples with their reward and how often each counts.

    Samples of the same tokens are one that counts as often as it was drawn, which changes no gradient;
    ``distinct``: samples of the same text are one that counts once.
    """
    found: dict[Hashable, tuple[Rewrite, float, int]] = {}
    for rewrite, reward in zip(rollout.own, rollout.rewards, strict=True):
        name: Hashable = rewrite.text if distinct else rewrite.token_ids
        first, worth, count = found.get(name, (rewrite, reward, 0))
        found[name] = (first, worth, 1 if distinct else count + 1)
    return list(found.values())


def one_step(
    observation: Any,  # noqa: ANN401 - numpy array
    token_ids: Sequence[int],
    reward: float,
    outputs: dict[str, Any],
) -> SingleAgentEpisode:
    """Return a finished episode of one action, the whole rewrite, with its reward."""
    episode = SingleAgentEpisode()
    episode.add_env_reset(observation)
    episode.add_env_step(
        np.zeros(0, np.int64),
        np.asarray(token_ids, np.int64),
        reward,
        terminated=True,
        extra_model_outputs=outputs,
    )
    return episode


def grouped(episodes: Iterable[SingleAgentEpisode]) -> dict[str, list[SingleAgentEpisode]]:
    """Return the episodes by group, in their order."""
    groups: dict[str, list[SingleAgentEpisode]] = {}
    for episode in episodes:
        groups.setdefault(episode.custom_data[GROUP], []).append(episode)
    return groups


def is_own(episode: SingleAgentEpisode) -> bool:
    """Tell an own sample from a verified rewrite."""
    return Columns.ACTION_LOGP in episode.extra_model_outputs


def set_advantages(
    episodes: Iterable[SingleAgentEpisode], *, estimator: Estimator, scale: float, learners: int
) -> None:
    """Enter what each rewrite's loss needs of its group: advantage, imitation, share of the step's loss.

    Args:
        episodes: of whole groups.
        estimator: says who is compared with whom.
        scale: rewards are divided by it.
        learners: over which the loss is averaged; each rewrite is on one of them.
    """
    groups = grouped(episodes)
    for group in groups.values():
        _set_advantages(group, estimator, scale)
        for episode in group:
            episode.custom_data[SHARE] *= max(1, learners) / len(groups)


def _set_advantages(group: Sequence[SingleAgentEpisode], estimator: Estimator, scale: float) -> None:
    own = [episode for episode in group if is_own(episode)]
    compared = list(group) if own and estimator.compares_verified else own
    counts = [int(episode.custom_data.get(COUNT, 1)) for episode in compared]
    rewards = [float(episode.get_return()) / scale for episode in compared]
    for episode in group:  # imitated, unless it is compared
        weight = 0.0 if is_own(episode) else float(episode.extra_model_outputs[IMITATION][0])
        episode.custom_data.update({ADVANTAGE: 0.0, IMITATION: weight, SHARE: 1.0})
    advantages = estimator.advantages(rewards, counts)
    size = max(1, sum(counts) - estimator.bessel)
    for episode, advantage, count in zip(compared, advantages, counts, strict=True):
        episode.custom_data.update({ADVANTAGE: advantage, IMITATION: 0.0, SHARE: count / size})


def to_group(episodes: Sequence[SingleAgentEpisode]) -> Group:
    """Return what is packed into one row."""
    prompt: Prompt = episodes[0].custom_data[PROMPT]
    completions = tuple(tuple(int(i) for i in episode.get_actions(0)) for episode in episodes)
    return Group(prompt=prompt, completions=completions)


def batch_of(groups: Sequence[Sequence[SingleAgentEpisode]], policy: Policy) -> tuple[Packed, Targets]:
    """Return the groups as one row each, with what the loss needs."""
    packed = policy.pack([to_group(group) for group in groups])
    rows, n, _ = packed.completion_ids.shape
    behaviour, advantage, imitation, own, share = (torch.zeros(rows, n) for _ in range(5))
    for row, group in enumerate(groups):
        for column, episode in enumerate(group):
            told = episode.custom_data
            advantage[row, column], imitation[row, column] = told[ADVANTAGE], told[IMITATION]
            share[row, column] = told[SHARE]
            if is_own(episode):
                own[row, column] = 1
                behaviour[row, column] = float(np.sum(episode.extra_model_outputs[Columns.ACTION_LOGP][0]))
    targets = Targets(
        behaviour=behaviour, advantage=advantage, imitation=imitation, own=own.bool(), share=share
    )
    return packed, Targets.of({k: v.to(policy.device) for k, v in targets.columns().items()})
