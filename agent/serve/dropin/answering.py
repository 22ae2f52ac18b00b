"""What is read of, and written into, an answer of OpenSearch's `_search`. Pure."""

from collections.abc import Iterable
from typing import Any

from agent.retrieval.templates.markers import Body

Objects = tuple[str, ...]


def objects_of(answer: Body, field: str) -> Objects | None:
    """Return the ids of the hits, best first; None: the answer does not tell them, or not whole.

    ``field`` names the id in the documents, where the client goes by one: where it is not the object's own
    ``_id`` anywhere, nothing can be told.
    """
    try:
        hits: list[Any] = answer["hits"]["hits"]
        ids = tuple(str(hit["_id"]) for hit in hits)
        named = tuple(str(hit["_source"][field]) for hit in hits) if field else ids
    except (KeyError, TypeError):
        return None
    return ids if named == ids and is_whole(answer) else None


def is_whole(answer: Body) -> bool:
    """Tell whether all shards answered in time, and looked at all that they have."""
    shards = answer.get("_shards")
    if answer.get("timed_out") or answer.get("terminated_early") or not isinstance(shards, dict):
        return False
    return bool(shards.get("total")) and shards.get("failed", 1) == 0


def hits_of(answer: Body) -> list[Body] | None:
    """Return the hits; None: they are not told, or their ids are not."""
    hits = answer.get("hits")
    found = hits.get("hits") if isinstance(hits, dict) else None
    known = isinstance(found, list) and all(isinstance(hit, dict) and "_id" in hit for hit in found)
    return found if known else None


def total_of(answer: Body) -> int | None:
    """Return how many were found; None: it is not told, or more than was counted."""
    hits = answer.get("hits")
    total = hits.get("total") if isinstance(hits, dict) else None
    if isinstance(total, dict):
        total = total.get("value") if total.get("relation", "eq") == "eq" else None
    return total if isinstance(total, int) else None


def with_total(answer: Body, total: int) -> Body:
    """Return the answer with another total, in the form that it has."""
    before = answer["hits"]["total"]
    written: object = {**before, "value": total} if isinstance(before, dict) else total
    return {**answer, "hits": {**answer["hits"], "total": written}}


def drafted(object_ids: Iterable[str], *answers: Body) -> Body:
    """Return the first answer with these objects of all of them as its hits, in this order.

    Its total is the largest, where all are told; its facets stay. Objects that no answer has are left out.
    """
    found: dict[str, Body] = {}
    for answer in answers:
        found |= {str(hit["_id"]): hit for hit in hits_of(answer) or []}
    hits = [found[object_id] for object_id in object_ids if object_id in found]
    page = {**answers[0], "hits": {**answers[0]["hits"], "hits": hits}}
    totals = [total_of(answer) for answer in answers]
    known = [total for total in totals if total is not None]
    return with_total(page, max(known)) if known and len(known) == len(totals) else page


def named(answer: Body, query_id: str) -> Body:
    """Return the answer with the page's query_id, where UBI's plugin puts it."""
    ext = answer.get("ext")
    return {**answer, "ext": {**(ext if isinstance(ext, dict) else {}), "ubi": {"query_id": query_id}}}


def error(status: int, kind: str, reason: str) -> Body:
    """Return an error as OpenSearch's clients read it."""
    cause = {"type": kind, "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": status}
