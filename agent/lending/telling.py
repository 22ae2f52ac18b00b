"""What judged queries lend, for people: the shop's terms, and what one query is offered."""

from functools import partial
from typing import Any

import msgspec

from agent.errors import Permanent
from agent.lending.looking import lendable, pages_of
from agent.lending.offers import offers
from agent.retrieval import Catalogue
from agent.settings import Settings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.stores import connect
from feedback.text import is_too_long, normalise

PURPOSE = "telling"


async def tell(settings: Settings, query: str | None = None) -> dict[str, Any]:
    """Return the terms, and for a query its offers, each with its page's gain, the best first.

    Raises Permanent for an empty or a too long query, SearchFailed (only for a query) and redis errors.
    """
    if query is not None and (not normalise(query) or is_too_long(query)):
        raise Permanent("the query is too long" if normalise(query) else "the query is empty")
    index = VerifiedIndex()
    async with connect(settings.redis.state_url, settings.redis.timeout_s) as redis:
        await index.refresh(redis, settings.keys)
    told = {"terms": msgspec.to_builtins(index.terms), "lenders": settings.serve.lenders}
    if query is None:
        return told
    own = index.get(query)
    if own is not None and own.settled:
        return told | {"query": own.query, "verdict": own.text}
    return told | await _offered(query, index, settings)


async def _offered(query: str, index: VerifiedIndex, settings: Settings) -> dict[str, Any]:
    found = offers(query, index, settings.serve.lenders)
    looked = {"query": found.query, "similarity": found.similarity, "offers": [], "lent": ""}
    if not found.any:
        return looked
    async with Catalogue(settings.opensearch) as catalogue:
        (pages,) = await pages_of([found], partial(catalogue.msearch, purpose=PURPOSE), settings)
    ordered = sorted(zip(found.gains(pages), found.texts, strict=True), key=lambda one: -one[0])
    lent = lendable(found, index.terms)
    return looked | {
        "offers": [{"text": text, "gain": gain} for gain, text in ordered],
        "lent": lent.best(pages)[0] if lent.any else "",
    }


def as_text(told: dict[str, Any]) -> str:
    """Return it in lines."""
    return "\n".join([_terms(told), *(_of_query(told) if "query" in told else [])])


def _terms(told: dict[str, Any]) -> str:
    if not told["lenders"]:
        return "lending is turned off (serve.lenders = 0)"
    terms = told["terms"]
    tried = f"{terms['loans']} loans tried on {terms['tried']} judged queries"
    if terms["gain"]:
        tried += f" gain {terms['gain']:+.3f} each (DCG), surely {terms['low']:+.3f}; {terms['worse']} harm"
    if not terms["lends"]:
        return f"nothing is lent: that it pays is not known; {tried}"
    least = f"a similarity of {terms['similarity']} and a gain of {terms['least_gain']}"
    return f"words are lent from {least} on: {tried}"


def _of_query(told: dict[str, Any]) -> list[str]:
    if "verdict" in told:
        return [f"{told['query']!r} is judged itself: {told['verdict'] or 'nothing is to be added'}"]
    if not told["similarity"]:
        return [f"no judged query is like {told['query']!r}"]
    offered = [f"{one['gain']:+.4f}  {one['text']}" for one in told["offers"]]
    nearest = f"the nearest judged query: {told['similarity']:.2f}"
    return [*offered, f"lent: {told['lent'] or 'nothing'} ({nearest})"]
