"""Times of the gateway's stages, from its metrics."""

import re

import httpx

from agent.settings import Settings

BUCKET = re.compile(r'unseen_stage_seconds_bucket\{le="([^"]+)",stage="([a-z]+)"\} ([0-9.e+]+)')
Counts = dict[float, float]
"""Cumulative, by upper bound in seconds."""


async def stage_counts(settings: Settings) -> dict[str, Counts]:
    """Return each stage's histogram."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://127.0.0.1:{settings.serve.admin_port}/metrics")).text
    found: dict[str, Counts] = {}
    for bound, stage, count in BUCKET.findall(text):
        found.setdefault(stage, {})[float(bound)] = float(count)
    return found


def p99_ms(before: Counts, after: Counts) -> float:
    """Return the upper bound of the bucket that p99 lies in: it is never too small."""
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in after}
    total = counts[float("inf")]
    return 1000 * min(bound for bound, count in counts.items() if count >= 0.99 * total)


def share_within(before: Counts, after: Counts, bound_s: float) -> float:
    """Return the share that took no longer than a bucket's bound."""
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in after}
    return round(counts[bound_s] / counts[float("inf")], 3)
