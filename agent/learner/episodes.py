"""Rollouts as RLlib's episodes, and back: one rewrite is one episode of one step.

A verified rewrite has no behaviour log-probabilities. What a group's advantages need is computed here, before
episodes are spread over learners.
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from agent.learner.loss import Targets, leave_one_out
from agent.learner.rollout import Rollout
from agent.policy.model import Policy
from agent.policy.pack import Group, Packed
from agent.policy.prompt import Prompt

GROUP, PROMPT, ADVANTAGE, IMITATION, SHARE = "group", "prompt", "advantage", "imitation", "share"


def episodes_of(rollout: Rollout, policy: Policy) -> list[SingleAgentEpisode]:
    """Return the group's episodes: own samples with log-probabilities, verified rewrites without."""
    prompt = rollout.prompt
    group = uuid.uuid4().hex
    observation = np.asarray(policy.encoder.prompt(prompt), np.int64)
    made: list[SingleAgentEpisode] = []
    for rewrite, reward in zip(rollout.own, rollout.rewards, strict=True):
        outputs = {Columns.ACTION_LOGP: np.asarray(rewrite.token_logprobs, np.float32)}
        made.append(_episode(observation, rewrite.token_ids, reward, outputs))
    for target in rollout.targets:
        ids = policy.encode(target.text, prompt.form)
        made.append(_episode(observation, ids, 0.0, {IMITATION: target.weight}))
    for episode in made:
        episode.custom_data.update({GROUP: group, PROMPT: prompt})
    return made


def _episode(
    observation: Any,  # noqa: ANN401 - numpy array
    token_ids: Sequence[int],
    reward: float,
    outputs: dict[str, Any],
) -> SingleAgentEpisode:
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


def set_advantages(episodes: Iterable[SingleAgentEpisode], *, scale: float, learners: int) -> None:
    """Enter each own sample's advantage, in units of ``scale``, and each group's share of the loss."""
    groups = grouped(episodes)
    for group in groups.values():
        own = [episode for episode in group if is_own(episode)]
        advantages = leave_one_out([float(episode.get_return()) / scale for episode in own])
        for episode, advantage in zip(own, advantages, strict=True):
            episode.custom_data[ADVANTAGE] = advantage
        for episode in group:
            episode.custom_data[SHARE] = max(1, learners) / len(groups)


def to_group(episodes: Sequence[SingleAgentEpisode]) -> Group:
    """Return what is packed into one row."""
    prompt: Prompt = episodes[0].custom_data[PROMPT]
    completions = tuple(tuple(int(i) for i in episode.get_actions(0)) for episode in episodes)
    return Group(prompt=prompt, completions=completions)


def batch_of(groups: Sequence[Sequence[SingleAgentEpisode]], policy: Policy) -> tuple[Packed, Targets]:
    """Return the groups as one row each, with what the loss needs."""
    packed = policy.pack([to_group(group) for group in groups])
    rows, n, _ = packed.completion_ids.shape
    behaviour, advantage, imitation, own = (torch.zeros(rows, n) for _ in range(4))
    for row, group in enumerate(groups):
        for column, episode in enumerate(group):
            outputs = episode.extra_model_outputs
            if is_own(episode):
                own[row, column] = 1
                behaviour[row, column] = float(np.sum(outputs[Columns.ACTION_LOGP][0]))
                advantage[row, column] = episode.custom_data[ADVANTAGE]
            else:
                imitation[row, column] = float(outputs[IMITATION][0])
    targets = Targets(
        behaviour=behaviour,
        advantage=advantage,
        imitation=imitation,
        own=own.bool(),
        share=torch.tensor([group[0].custom_data[SHARE] for group in groups]),
    )
    return packed, Targets.of({k: v.to(policy.device) for k, v in targets.columns().items()})
