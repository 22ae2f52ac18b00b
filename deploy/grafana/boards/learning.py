"""Whether the learner learns: reward, groups, distance from the base model, time."""

from boards.shared import GREEN, RED, panel, quantiles, row

PANELS = [
    row("Reward"),
    panel(
        "Reward",
        "DCG over raw, mean of a step: the policy's own samples, and the verified rewrites of the same queries.",
        "none",
        ("unseen_learner_reward_dcg{T}", "{{of}}"),
        width=12,
    ),
    panel(
        "Advantage spread",
        "Standard deviation of own samples' advantages, in units of learner.imitation_scale; 0: nothing to learn.",
        "none",
        ("unseen_learner_advantage_spread_ratio{T}", "spread"),
        width=12,
    ),
    row("Groups"),
    panel(
        "Groups without a signal",
        "Share of groups whose own samples all find the same.",
        "percentunit",
        ("unseen_learner_groups_without_signal_ratio{T}", "without"),
        steps=[(None, GREEN), (0.95, RED)],
    ),
    panel(
        "Rollouts a second",
        "Own samples that were searched and scored.",
        "ops",
        ("tenant:unseen_learner_rollouts:rate5m{T}", "rollouts"),
    ),
    panel(
        "Queries that wait",
        "Their evidence moved and was not learned from since.",
        "none",
        ("unseen_learner_waiting_queries{T}", "waiting"),
    ),
    row("Distance"),
    panel(
        "Divergence",
        "Nats a token from the base model, on own samples; above learner.max_divergence it is scaled back.",
        "none",
        ("unseen_learner_divergence_nats{T}", "nats a token"),
        steps=[(None, GREEN), (6, RED)],
    ),
    panel(
        "Clipped, and effective samples",
        "Share of own samples whose importance weight is cut; effective sample size as a share of all.",
        "percentunit",
        ("unseen_learner_clipped_ratio{T}", "clipped"),
        ("unseen_learner_effective_sample_ratio{T}", "effective: {{of}}"),
    ),
    panel(
        "Staleness",
        "Versions since the words of explore pages were written; own samples are fresh.",
        "none",
        ("unseen_learner_staleness_versions{T}", "versions"),
    ),
    panel(
        "Gradient norm",
        "Before it is clipped to 1; updates whose gradient is not finite are dropped.",
        "none",
        ("unseen_learner_gradient_norm{T}", "norm"),
        ("unseen_learner_skipped_updates_total{T}", "dropped updates"),
    ),
    row("Time"),
    panel(
        "A step",
        "Sampling, searching, scoring, update.",
        "s",
        *quantiles("unseen_learner_step_seconds"),
    ),
    panel(
        "Updates a second",
        "Optimiser steps.",
        "ops",
        ("sum(rate(unseen_learner_updates_total{T}[I]))", "updates"),
    ),
    panel(
        "A click's way into the weights",
        "From a query's newest click to the version that learned from it, of all versions since the start.",
        "s",
        ("histogram_quantile(0.5, sum by (le) (unseen_learner_click_to_weights_seconds_bucket{T}))", "p50"),
        ("histogram_quantile(0.99, sum by (le) (unseen_learner_click_to_weights_seconds_bucket{T}))", "p99"),
    ),
    panel(
        "Version",
        "That the learner goes on from, and the newest that exists.",
        "none",
        ("unseen_learner_version{T}", "learner"),
        ('unseen_shop_version{T, slot="newest"}', "newest"),
    ),
]
