"""Policies of a table: the untrained one and those that learners left."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.evaluate.backtest_policy import ServingPolicy
from agent.evaluate.latest import newest_policy
from agent.policy.model import Policy
from agent.scoring import prompt_for
from agent.settings import Settings
from agent.weights.store import AdapterStore
from feedback.evidence.neighbours import VerifiedIndex
from tests.bench.learning.worker import tell

BASE = "base"
CHUNK = 64


def loaded(stores: Mapping[str, Path], settings: Settings) -> dict[str, ServingPolicy]:
    """Return the untrained policy and each store's newest version, by name."""
    found = {BASE: ServingPolicy(Policy.load(settings.policy), settings)}
    for name, store in stores.items():
        found[name] = ServingPolicy(newest_policy(AdapterStore(store), settings.policy), settings)
    return found


async def sampled(queries: Sequence[str], settings: Settings, n: int) -> dict[str, list[str]]:
    """Return n draws of the untrained policy for each query, as the explore arm's pool would hold them."""
    policy, nobody = await asyncio.to_thread(Policy.load, settings.policy), VerifiedIndex()
    drawn: dict[str, list[str]] = {}
    for start in range(0, len(queries), CHUNK):
        some = queries[start : start + CHUNK]
        prompts = [prompt_for(query, nobody, settings) for query in some]
        groups = await asyncio.to_thread(policy.sample, prompts, n=n, seed=start)
        drawn |= {q: [one.text for one in group] for q, group in zip(some, groups, strict=True)}
        tell("explore arm", len(drawn), len(queries))
    return drawn
