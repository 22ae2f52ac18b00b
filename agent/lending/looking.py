"""Looks at the pages of offers, and says which is lent. Guarantees that a search that fails lends nothing."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Protocol

from agent.lending.offers import DEPTH, Offers, offered, offers
from agent.lending.terms import Trial
from agent.policy.plan import Plan
from agent.retrieval.results import Results
from agent.settings import Settings
from feedback.evidence.neighbours import Neighbour, VerifiedIndex
from feedback.evidence.reward import moves
from feedback.records import LendingTerms

KNOWN = 0.5
"""Of what a page pushes out, by weight, that a query's shoppers must have seen for it to tell anything."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A judged query as its own shoppers know it."""

    query: str
    near: Sequence[Neighbour]
    """Judged queries around it, none of which took its clicks from its shoppers; the nearest first."""
    like: tuple[str, ...] = ()
    """Queries that are no independent witnesses beside it."""
    worth: Callable[[str], float]
    """Share that an object has in what they did, less its share elsewhere."""
    seen: AbstractSet[str] | None = None
    """Objects that they looked at; None: pages were not logged."""


class Look(Protocol):
    """Searches plans without documents; raises SearchFailed."""

    async def __call__(self, plans: list[Plan], *, size: int) -> Sequence[Results]:
        """Return the first page of each plan, in order."""
        ...


def lendable(found: Offers, terms: LendingTerms) -> Offers:
    """Return what may be lent on the shop's terms."""
    if not terms.lends or found.similarity <= terms.similarity:
        return replace(found, texts=())
    return replace(found, least=terms.least_gain)


def said(found: Offers, text: str, settings: Settings) -> Offers:
    """Return the policy's words in place of the offers."""
    return replace(found, texts=(text,) if text else (), least=settings.serve.policy_gain)


async def lend(queries: Sequence[str], index: VerifiedIndex, look: Look, settings: Settings) -> list[str]:
    """Return what each query is lent, empty where nothing is; raises SearchFailed."""
    found = [lendable(offers(query, index, settings.serve.lenders), index.terms) for query in queries]
    return await best(found, look, settings)


async def best(found: Sequence[Offers], look: Look, settings: Settings) -> list[str]:
    """Return the best text of each; raises SearchFailed."""
    pages = await pages_of(found, look, settings)
    return [one.best(some)[0] if some else "" for one, some in zip(found, pages, strict=True)]


async def held(
    queries: Sequence[str], texts: Sequence[str], index: VerifiedIndex, look: Look, settings: Settings
) -> list[bool]:
    """Tell for each query whether the clicks around speak for the policy's words; raises SearchFailed.

    They do where the raw page is empty or nothing is known around, too.
    """
    found = [offers(query, index, settings.serve.lenders) for query in queries]
    told = [said(one, text, settings) for one, text in zip(found, texts, strict=True)]
    return await speak_for(told, look, settings)


async def speak_for(told: Sequence[Offers], look: Look, settings: Settings) -> list[bool]:
    """Tell whether the clicks around speak for what the policy said; raises SearchFailed."""
    pages = await pages_of(told, look, settings)
    return [not some or not some[0] or bool(one.best(some)[0]) for one, some in zip(told, pages, strict=True)]


async def attempt(judged: Sequence[Judged], look: Look, settings: Settings) -> list[Trial]:
    """Return what the others would lend to each judged query, had nobody asked it; raises SearchFailed."""
    found = [offered(one.query, None, one.near, settings.serve.lenders) for one in judged]
    pages = await pages_of(found, look, settings)
    return [_trial(*of) for of in zip(judged, found, pages, strict=True)]


def _trial(judged: Judged, found: Offers, pages: Sequence[Sequence[str]]) -> Trial:
    text, claimed = found.best(pages) if pages else ("", 0.0)
    if not text:
        return Trial(query=judged.query, like=judged.like, similarity=found.similarity)
    moved = moves(pages[0], pages[1 + found.texts.index(text)], DEPTH)
    return Trial(
        query=judged.query,
        like=judged.like,
        similarity=found.similarity,
        claimed=claimed,
        gain=sum(weight * judged.worth(object_id) for object_id, weight in moved.items()),
        known=_knows(judged.seen, moved),
    )


def _knows(seen: AbstractSet[str] | None, moved: Mapping[str, float]) -> bool:
    """Tell whether most of what a page pushes out was seen, by weight; what it brings in has its worth."""
    out = {object_id: -weight for object_id, weight in moved.items() if weight < 0}
    known = sum(weight for object_id, weight in out.items() if seen is None or object_id in seen)
    return known >= KNOWN * sum(out.values())


async def pages_of(found: Sequence[Offers], look: Look, settings: Settings) -> list[list[Sequence[str]]]:
    """Return the pages of each one's plans, all in one look; none where there is nothing to look at."""
    plans = [one.plans(settings) if one.any else [] for one in found]
    flat = list(dict.fromkeys(plan for some in plans for plan in some))
    pages = dict(zip(flat, await look(flat, size=DEPTH), strict=True)) if flat else {}
    return [[pages[plan].object_ids for plan in some] for some in plans]
