"""Times of the gateway's stages, from its metrics."""

import httpx

from agent.settings import Settings
from agent.watching.replicas import metrics_of

STAGES = "unseen_stage_seconds"
Counts = dict[float, float]
"""Cumulative, by upper bound in seconds."""


async def stage_counts(settings: Settings) -> dict[str, Counts]:
    """Return each stage's histogram."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://127.0.0.1:{settings.serve.admin_port}/metrics")).content
    found: dict[str, Counts] = {}
    for one in (one for metric in metrics_of({"": text}) if metric.name == STAGES for one in metric.samples):
        if one.name == f"{STAGES}_bucket":
            found.setdefault(one.labels["stage"], {})[float(one.labels["le"])] = one.value
    return found


def p99_ms(before: Counts, after: Counts) -> float:
    """Return the upper bound of the bucket that p99 lies in: it is never too small."""
    counts = _between(before, after)
    total = counts[float("inf")]
    return 1000 * min(bound for bound, count in counts.items() if count >= 0.99 * total)


def share_within(before: Counts, after: Counts, bound_s: float) -> float:
    """Return the share that took no longer than a bucket's bound."""
    counts = _between(before, after)
    return round(counts[bound_s] / counts[float("inf")], 3)


def _between(before: Counts, after: Counts) -> Counts:
    return {bound: after[bound] - before.get(bound, 0.0) for bound in after}
