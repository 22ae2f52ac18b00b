"""The direct signal: single pages of the explore arm as episodes, off-policy corrected.

One page is one action, the rewrite that was drawn, with the probability that it was drawn with and a reward
of that page alone: how far its clicks preferred the rewritten list (`feedback.exploring.interleaving`).
There is no group to compare with, so the baseline is the running mean of the preferences of the same band
of queries. The policy has moved on since: a negative advantage is weighted by min(1, pi / pi_old) of the
whole rewrite, without gradient, a positive one is not weighted (TOPR, arXiv 2503.14286), as in the replayed
groups. A step whose effective sample size (Kong, 1992) is too small a part of its episodes leaves them out.
Pure functions.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from torch import Tensor

from agent.learner.episodes import ADVANTAGE, GROUP, IMITATION, PROMPT, SHARE, one_step
from agent.learner.loss import truncated_ratio
from agent.policy.model import Policy
from agent.policy.prompt import Prompt
from feedback.records import Band, Explored

DIRECT = "direct"
"""In an episode's custom data: its part in the direct loss, `Lone`."""
MEMORY = 500.0
"""Pages that a baseline remembers."""
PRIOR = 20.0
"""Pages of no preference that it begins with."""


@dataclass(kw_only=True)
class Baseline:
    """Running means of preferences by band, one learner's own."""

    known: dict[Band | None, tuple[float, float]] = field(default_factory=dict)
    """Mean and pages behind it."""

    def of(self, band: Band | None, preference: float) -> float:
        """Return the band's mean before this page, and take the page in."""
        mean, pages = self.known.get(band, (0.0, PRIOR))
        pages = min(pages + 1, MEMORY)
        self.known[band] = (mean + (preference - mean) / pages, pages)
        return mean


@dataclass(kw_only=True)
class Lone:
    """What the direct loss needs of one episode."""

    behaviour: float
    """Log-probability of the whole rewrite when it was drawn, nats."""
    advantage: float
    share: float = 0.0
    """Of the step's loss, known before episodes are spread over learners."""


def direct_episode(page: Explored, policy: Policy, baseline: Baseline) -> SingleAgentEpisode:
    """Return the page as an episode, compared with the baseline, which takes it in."""
    return page_episode(page, policy, page.preference - baseline.of(page.band, page.preference))


def page_episode(page: Explored, policy: Policy, advantage: float) -> SingleAgentEpisode:
    """Return the page as an episode; to the loss of groups it is nothing."""
    prompt = Prompt(query=page.query, examples=page.draw.examples, form=page.form)
    observation = np.asarray(policy.encoder.prompt(prompt), np.int64)
    episode = one_step(observation, page.rewrite.token_ids, page.preference, {IMITATION: 0.0})
    lone = Lone(behaviour=sum(page.rewrite.token_logprobs), advantage=advantage)
    nothing = {ADVANTAGE: 0.0, IMITATION: 0.0, SHARE: 0.0}
    episode.custom_data.update({GROUP: uuid.uuid4().hex, PROMPT: prompt, DIRECT: lone, **nothing})
    return episode


def split(episodes: Iterable[SingleAgentEpisode], *, learners: int) -> list[SingleAgentEpisode]:
    """Enter the share of each direct episode, as large as a group's; return the episodes of groups."""
    every = list(episodes)
    of_groups = [episode for episode in every if DIRECT not in episode.custom_data]
    groups = {episode.custom_data[GROUP] for episode in of_groups or every}
    for episode in every:
        if DIRECT in episode.custom_data:
            episode.custom_data[DIRECT].share = max(1, learners) / len(groups)
    return of_groups


@dataclass(frozen=True, kw_only=True)
class DirectTargets:
    """What the direct loss needs beside the log-probabilities; shaped as a batch of groups."""

    direct_behaviour: Float[Tensor, "rows n"]
    direct_advantage: Float[Tensor, "rows n"]
    direct_share: Float[Tensor, "rows n"]
    """0: not a direct episode."""

    def columns(self) -> dict[str, Tensor]:
        """Return the tensors by name, for a batch of another library."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def of(cls, columns: dict[str, Tensor]) -> Self:
        """Read the tensors back from a batch that holds them by name (others are ignored)."""
        return cls(**{one.name: columns[one.name] for one in fields(cls)})


def direct_columns(
    groups: Sequence[Sequence[SingleAgentEpisode]],
    n: int,
    device: Any,  # noqa: ANN401 - torch's own
) -> dict[str, Tensor]:
    """Return the direct targets of a batch with n rewrites a row; zeros where an episode is of a group."""
    behaviour, advantage, share = (torch.zeros(len(groups), n) for _ in range(3))
    for row, group in enumerate(groups):
        for column, episode in enumerate(group):
            lone: Lone | None = episode.custom_data.get(DIRECT)
            if lone is not None:
                behaviour[row, column], advantage[row, column] = lone.behaviour, lone.advantage
                share[row, column] = lone.share
    targets = DirectTargets(direct_behaviour=behaviour, direct_advantage=advantage, direct_share=share)
    return {name: tensor.to(device) for name, tensor in targets.columns().items()}


def effective_share(ratio: Float[Tensor, " n"]) -> float:
    """Return (sum w)^2 / (n sum w^2) of importance weights, in (0, 1]; 1 where there is none."""
    square = float((ratio**2).sum())
    return float(ratio.sum()) ** 2 / (len(ratio) * square) if square else 1.0


def direct_loss(
    logprobs: Float[Tensor, "rows n tokens"],
    mask: Bool[Tensor, "rows n tokens"],
    targets: DirectTargets,
    *,
    min_effective: float,
) -> tuple[Float[Tensor, ""], float | None]:
    """Return -sum of share c A log pi, and the effective share; None where there is no direct episode.

    Args:
        logprobs: nats, of each token under the current policy, with gradients.
        mask: False: padding.
        targets: see there.
        min_effective: below it the loss is 0.
    """
    log_pi = torch.where(mask, logprobs, 0.0).sum(-1)
    used = targets.direct_share > 0
    if not bool(used.any()):
        return log_pi.sum() * 0.0, None
    # Far away from the behaviour a single weight would be infinite; weights count relative to each other.
    gap = (log_pi.detach() - targets.direct_behaviour)[used]
    effective = effective_share((gap - gap.max()).exp())
    credit = targets.direct_advantage
    ratio = truncated_ratio(log_pi, targets.direct_behaviour)
    credit = torch.where(credit < 0, credit * ratio, credit)
    loss = -(targets.direct_share * credit * log_pi).sum()
    return (loss if effective >= min_effective else loss * 0.0), effective
