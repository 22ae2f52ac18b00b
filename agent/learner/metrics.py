"""The learner's metrics, declared once.

Rewards are DCG differences to the raw list; what a step tells is of the last step that told it, and no number
before the first.
"""

import math

from prometheus_client import Counter, Gauge, Histogram

UPDATES = Counter("unseen_learner_updates", "Optimiser steps made.")
SKIPPED = Counter("unseen_learner_skipped_updates", "Updates dropped because a gradient was not finite.")
ROLLOUTS = Counter("unseen_learner_rollouts", "Own samples that were searched and scored.")
STEP_SECONDS = Histogram(
    "unseen_learner_step_seconds",
    "Time of one step: sampling, searching, scoring, update.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160),
)
REWARD = Gauge(
    "unseen_learner_reward_dcg", "Mean reward of a step, of own samples and of verified rewrites.", ["of"]
)
ADVANTAGE_SPREAD = Gauge(
    "unseen_learner_advantage_spread_ratio",
    "Standard deviation of own samples' advantages, in units of learner.imitation_scale.",
)
WITHOUT_SIGNAL = Gauge(
    "unseen_learner_groups_without_signal_ratio", "Share of groups whose own samples all find the same."
)
DIVERGENCE_NATS = Gauge(
    "unseen_learner_divergence_nats", "Nats a token of own samples between the policy and its base model."
)
CLIPPED = Gauge(
    "unseen_learner_clipped_ratio",
    "Share of own samples whose importance weight is cut: worse than the others, and likelier than sampled.",
)
EFFECTIVE = Gauge(
    "unseen_learner_effective_sample_ratio",
    "Effective sample size (Kong) by importance weights, as a share: own samples, explore pages.",
    ["of"],
)
STALENESS = Gauge(
    "unseen_learner_staleness_versions",
    "Versions made since the words of a step's explore pages were written, mean; own samples are fresh.",
)
GRADIENT_NORM = Gauge(
    "unseen_learner_gradient_norm", "Global norm of a step's gradient before it is clipped."
)
WAITING = Gauge("unseen_learner_waiting_queries", "Queries that moved and were not learned from since.")
VERSION = Gauge("unseen_learner_version", "The version that the learner goes on from.")
CLICK_TO_WEIGHTS = Histogram(
    "unseen_learner_click_to_weights_seconds",
    "From a query's newest click, when its move was seen, to the version that learned from it.",
    buckets=(1, 5, 10, 30, 60, 120, 300, 900, 3600, 14_400, 86_400),
)

for _told in (
    *(REWARD.labels(of=of) for of in ("own", "candidates")),
    *(EFFECTIVE.labels(of=of) for of in ("own", "explored")),
    *(ADVANTAGE_SPREAD, WITHOUT_SIGNAL, DIVERGENCE_NATS, CLIPPED, GRADIENT_NORM, STALENESS),
):
    _told.set(math.nan)
