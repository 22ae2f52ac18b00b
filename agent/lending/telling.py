"""What judged queries lend, for people: the shop's terms, and what one query is offered."""

from functools import partial
from typing import Any

import msgspec

from agent.lending.looking import lendable, pages_of
from agent.lending.offers import offers
from agent.retrieval import Catalogue
from agent.settings import Settings
from feedback.neighbours import VerifiedIndex
from feedback.stores import connect

PURPOSE = "telling"


async def tell(settings: Settings, query: str = "") -> dict[str, Any]:
    """Return the terms, and for a query its offers, each with its page's gain, the best first.

    Raises SearchFailed (only where there is a query) and redis errors.
    """
    index = VerifiedIndex()
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    try:
        await index.refresh(redis, settings.keys)
    finally:
        await redis.aclose()
    told: dict[str, Any] = {"terms": msgspec.to_builtins(index.terms)}
    return told | await _offered(query, index, settings) if query.strip() else told


async def _offered(query: str, index: VerifiedIndex, settings: Settings) -> dict[str, Any]:
    offered = offers(query, index, settings.serve.lenders)
    async with Catalogue(settings.opensearch) as catalogue:
        (pages,) = await pages_of([offered], partial(catalogue.msearch, purpose=PURPOSE), settings)
    gains = offered.gains(pages) if pages else [0.0] * len(offered.texts)
    lent = lendable(offered, index)
    own = index.get(query)
    return {
        "query": offered.query,
        "judged": own is not None and own.settled,
        "similarity": offered.similarity,
        "offers": [
            {"text": text, "gain": gain}
            for gain, text in sorted(zip(gains, offered.texts, strict=True), key=lambda one: -one[0])
        ],
        "lent": lent.best(pages)[0] if lent.any else "",
    }


def as_text(told: dict[str, Any]) -> str:
    """Return it in lines."""
    lines = [_terms(told["terms"])]
    if "query" in told:
        lines += [f"{one['gain']:+.4f}  {one['text']}" for one in told["offers"]] or [_no_offer(told)]
        lines.append(
            f"lent: {told['lent'] or 'nothing'} (the nearest judged query: {told['similarity']:.2f})"
        )
    return "\n".join(lines)


def _terms(terms: dict[str, Any]) -> str:
    tried = f"{terms['loans']} loans tried on {terms['tried']} judged queries"
    if terms["loans"] and terms["gain"]:
        tried += f" gain {terms['gain']:+.3f} each (DCG), surely {terms['low']:+.3f}; {terms['worse']} harm"
    if not terms["lends"]:
        return f"nothing is lent: that it pays is not known; {tried}"
    return (
        f"words are lent from a similarity of {terms['similarity']} and a gain of {terms['least_gain']} on: "
        f"{tried}"
    )


def _no_offer(told: dict[str, Any]) -> str:
    if told["judged"]:
        return f"{told['query']!r} has a verdict of its own"
    return f"no judged query is like {told['query']!r}"
