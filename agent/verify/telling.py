"""What is known of one query, for people: each object's worth and what a rewrite gains, with their bounds."""

from typing import Any

from agent.errors import Permanent
from agent.retrieval import Catalogue, judged_plan
from agent.settings import Settings
from agent.verify.searching import pages
from feedback.clock import Clock, wall_clock
from feedback.evidence.posterior import Belief, attractions, difference
from feedback.evidence.reading import EvidenceReader
from feedback.stores import connect
from feedback.text import normalise

LEVEL = 0.95


async def tell(
    settings: Settings, query: str, *, rewrite: str = "", level: float = LEVEL, clock: Clock = wall_clock
) -> dict[str, Any]:
    """Return the belief about every object known for the query, most worth first; the gain of a rewrite too.

    The prior is the settings' own; the verifier's is fitted over all queries and may be stronger. Raises
    Permanent for an empty query, SearchFailed (only where there is a rewrite) and redis errors.
    """
    if not normalise(query):
        raise Permanent("the query is empty")
    async with connect(settings.redis.state_url, settings.redis.timeout_s) as redis:
        reader = EvidenceReader(redis, settings.keys, settings.feedback, clock)
        (evidence,) = await reader.read([query])
        mu = (await reader.totals()).mu
    fold, alpha = evidence.merged(), settings.verify.prior_examinations
    known = attractions(fold, mu=mu, alpha=alpha, settings=settings.feedback)
    ordered = sorted(known.items(), key=lambda item: (-item[1].mean, item[0]))
    told: dict[str, Any] = {
        "query": evidence.query,
        "level": level,
        "objects": [{"object_id": d, **_said(belief, level)} for d, belief in ordered],
    }
    if rewrite:
        lists = await _lists(settings, query, rewrite)
        gain = difference(
            lists, fold, mu=mu, alpha=alpha, settings=settings.feedback, depth=settings.verify.depth
        )
        told |= {"rewrite": rewrite, "gain": {**_said(gain, level), "p_harm": gain.chance_below(0.0)}}
    return told


async def _lists(settings: Settings, query: str, rewrite: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the first page of the query and of its rewrite on the live catalogue."""
    raw, other = (judged_plan(normalise(query), text, settings) for text in ("", rewrite))
    async with Catalogue(settings.opensearch) as catalogue:
        found = await pages(catalogue, [raw, other], size=settings.verify.depth)
    return found[raw], found[other]


def _said(belief: Belief, level: float) -> dict[str, float]:
    low, high = belief.bounds(level)
    return {"mean": belief.mean, "low": low, "high": high}
