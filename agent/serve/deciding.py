"""The ladder for many queries at once, as evaluations climb it; `agent.serve.choosing` does it for one."""

from collections.abc import Sequence

from agent.lending import Look, held
from agent.serve.ladder import Decision, choose
from agent.settings import Settings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.records import CachedRewrite, Rewrite


async def decide(
    queries: Sequence[str],
    rewrites: Sequence[Rewrite | None],
    lent: Sequence[str],
    index: VerifiedIndex,
    look: Look,
    settings: Settings,
) -> list[Decision]:
    """Return what each query is answered with, given the policy's words and a loan; raises SearchFailed."""
    texts = [one.text if one else "" for one in rewrites]
    holding = await held(queries, texts, index, look, settings)
    return [
        choose(
            query,
            index,
            CachedRewrite(rewrite=rewrite) if rewrite and holds else None,
            lent=loan,
            neighbours=settings.policy.neighbours,
        )
        for query, rewrite, loan, holds in zip(queries, rewrites, lent, holding, strict=True)
    ]
