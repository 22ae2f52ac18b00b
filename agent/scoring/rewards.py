"""Rewrites, searched and scored.

Guarantees that a failed search is an error and never a reward.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from agent.policy.plan import Plan
from agent.retrieval import Results, judged_plan
from agent.scoring.snapshot import Snapshot
from agent.settings import Settings
from feedback.evidence.reward import dcg_difference


class Searches(Protocol):
    """What scoring needs of the catalogue."""

    async def msearch(self, plans: Sequence[Plan], *, size: int = 10, purpose: str) -> list[Results]:
        """Return the first page of each plan, in order; raises SearchFailed if any one has none."""
        ...


async def rewards(
    catalogue: Searches,
    groups: Mapping[str, Sequence[str]],
    frozen: Snapshot,
    settings: Settings,
    *,
    purpose: str,
) -> dict[str, list[float]]:
    """Return the DCG difference to raw of each query's rewrites, in their order; empty ones have 0.

    Raises:
        SearchFailed: the live catalogue gave no answer to one of the searches.
    """
    wanted: dict[Plan, None] = {}
    for query, texts in groups.items():
        for text in ("", *texts):
            wanted.setdefault(judged_plan(query, text, settings))
    depth = settings.learner.depth
    pages = await catalogue.msearch(list(wanted), size=depth, purpose=purpose)
    lists = {one: page.object_ids for one, page in zip(wanted, pages, strict=True)}

    def reward(query: str, text: str) -> float:
        raw, other = (lists[judged_plan(query, t, settings)] for t in ("", text))
        return dcg_difference(raw, other, frozen.gains[query], depth)

    return {query: [reward(query, text) for text in texts] for query, texts in groups.items()}
