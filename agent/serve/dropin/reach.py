"""How far a body reaches: another index, the cluster's state, more than a search may cost. Pure.

Guarantees that of what OpenSearch would read as the name of an index, nothing but the shop's own passes, and
that a body is no deeper than whoever walks it here can follow.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from agent.errors import Refused
from agent.retrieval.templates.markers import Body

MOST_DEPTH = 150
"""Objects and lists inside each other: whoever walks a body here takes up to two of Python's thousand frames
for each."""
LOOKUP = frozenset({"id", "_id", "doc", "path", "field", "fields"})
"""Beside the name of an index: the object is read from there."""
SHAPES = "shapes"
"""Where OpenSearch looks for a shape whose index is not named."""
DEFAULT_SIZE = 10
MOST_INT = 2**31 - 1


def refuse_reach(body: Body, index: str) -> None:
    """Raise Refused where a body reads another index, or keeps or runs something in the cluster."""
    for key in ("pit", "search_pipeline", "scroll"):
        if key in body:
            raise Refused(f"body: {key} is not forwarded")
    for one in _boosted(body.get("indices_boost")):
        _refuse_other(one, index)
    for node in _objects(body):
        _refuse_lookup(node, index)
        _refuse_hidden(node)


def hits_of(body: Body) -> int | None:
    """Return how many hits a search asks for, read as OpenSearch does; None: it is no number."""
    size = body.get("size", DEFAULT_SIZE)
    if isinstance(size, bool) or not isinstance(size, int | str | Decimal):
        return None
    try:
        number = Decimal(size)
    except InvalidOperation:
        return None
    return int(min(max(number, Decimal(0)), Decimal(MOST_INT))) if number.is_finite() else None


def _refuse_lookup(node: Body, index: str) -> None:
    for key in ("index", "_index"):
        if LOOKUP & node.keys():
            _refuse_other(node.get(key, index), index)
    if isinstance(shape := node.get("indexed_shape"), dict):
        _refuse_other(shape.get("index", SHAPES), index)


def _refuse_hidden(node: Body) -> None:
    """Raise Refused where a query stands in a text, which only OpenSearch could read."""
    wrapped, collate = node.get("wrapper"), node.get("collate")
    if isinstance(wrapped, dict) and "query" in wrapped:
        raise Refused("body: wrapper is not forwarded: its query cannot be read here")
    if isinstance(collate, dict) and "query" in collate:
        raise Refused("body: collate is not forwarded: its query cannot be read here")


def _refuse_other(named: object, index: str) -> None:
    if named not in (index, [index]):
        raise Refused(f"body: {ascii(named)[:60]} is another index than {index}")


def _boosted(boosts: object) -> Iterator[str]:
    """Yield the names of indices whose hits are to count more."""
    for one in boosts if isinstance(boosts, list) else [boosts]:
        if isinstance(one, dict):
            yield from one


def _objects(node: Any) -> Iterator[Body]:  # noqa: ANN401 - JSON
    """Yield every object below a node; raises Refused where they lie too deep."""
    waiting = [(node, 1)]
    while waiting:
        one, depth = waiting.pop()
        if not isinstance(one, dict | list):
            continue
        if depth > MOST_DEPTH:
            raise Refused(f"body: must have at most {MOST_DEPTH} objects and lists inside each other")
        if isinstance(one, dict):
            yield one
        waiting += ((below, depth + 1) for below in (one.values() if isinstance(one, dict) else one))
