"""What is marked in a template's body, and filling it in. Pure.

``{"$query": CLAUSE}`` is the text clause, ``"$user_query"`` the shopper's words, ``"$name"`` the value of a
parameter; ``"$$name"`` is the text ``$name``. A value is put in as it is, whole, and never looked at again,
so that none is ever parsed as anything else. Where a parameter has no value, the nearest element of a list
around it is left out, or else the entry of the body (or of ``aggs``) that it stands in.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from agent.errors import Permanent

Body = dict[str, Any]
Rewrite = Callable[[Body], Body]
"""From the text clause as it was written to what is searched in its place."""
CLAUSE, WORDS = "$query", "$user_query"
RESERVED = ("user_query", "from", "size", "query")
ENTRIES = ("aggs", "aggregations")
ESCAPE = "$$"


class _Absent:
    """Stands for what is left out."""


@dataclass(frozen=True)
class Plain:
    """A part of a body in which nothing is marked."""

    part: object


ABSENT = _Absent()


def path_of(*steps: str | int) -> str:
    """Return a JSON path: ``$.query.bool.filter[0]``."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def marks(node: object, *steps: str | int) -> Iterator[tuple[str, str]]:
    """Yield each marker below a node with its JSON path."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key.startswith("$"):
                yield key, path_of(*steps, key)
            yield from marks(value, *steps, key)
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from marks(value, *steps, place)
    elif isinstance(node, str) and node.startswith("$") and not node.startswith(ESCAPE):
        yield node, path_of(*steps)


def filled(body: Body, values: Mapping[str, Any], rewrite: Rewrite) -> Body:
    """Return the body with the values of its parameters and words, and what becomes of its text clause.

    Args:
        body: as it was written.
        values: by parameter; None: it has none. ``user_query`` holds the shopper's words.
        rewrite: makes the clause that is searched; what it returns is not looked at again.
    """
    entries = ((key, _entry(key, node, values, rewrite)) for key, node in body.items())
    return {key: value for key, value in entries if value is not ABSENT}


def folded(body: Body) -> Body:
    """Return the body for `filled`, which need not walk through what is not marked: all copies share that."""
    return {
        key: {name: _folded(one) for name, one in node.items()}
        if key in ENTRIES and isinstance(node, dict)
        else _folded(node)
        for key, node in body.items()
    }


def put(clause: Body, values: Mapping[str, Any]) -> Body:
    """Return a clause with the values of its parameters and words, all of which it has."""
    return cast("Body", _put(clause, values, dict))


def only_clause(body: Body) -> tuple[str, Body]:
    """Return the JSON path of the one text clause, and the clause; raises Permanent where there is none."""
    found = list(_clauses(body))
    if len(found) != 1:
        where = f"stands at {', '.join(path for path, _ in found)}" if found else "is missing"
        raise Permanent(f'$: must hold one text clause, {{"{CLAUSE}": ...}}, in query; it {where}')
    return found[0]


def _clauses(node: object, *steps: str | int) -> Iterator[tuple[str, Body]]:
    if isinstance(node, dict):
        if CLAUSE in node:
            path = path_of(*steps, CLAUSE)
            if len(node) > 1 or not isinstance(node[CLAUSE], dict):
                raise Permanent(f"{path}: must be a clause and stand alone in its object")
            yield path, node[CLAUSE]
        for key, value in node.items():
            yield from _clauses(value, *steps, key)
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _clauses(value, *steps, place)


def _entry(key: str, node: object, values: Mapping[str, Any], rewrite: Rewrite) -> object:
    if key in ENTRIES and isinstance(node, dict):
        aggs = ((name, _put(agg, values, rewrite)) for name, agg in node.items())
        return {name: one for name, one in aggs if one is not ABSENT} or ABSENT
    return _put(node, values, rewrite)


def _folded(node: object) -> object:
    """Return it with what is not marked as one; a text clause is looked into by whoever rewrites it."""
    if isinstance(node, dict) and CLAUSE in node:
        return node
    if isinstance(node, dict):
        entries = {key: _folded(value) for key, value in node.items()}
        return Plain(node) if _all_plain(entries.values()) else entries
    if isinstance(node, list):
        elements = [_folded(one) for one in node]
        return Plain(node) if _all_plain(elements) else elements
    return node if isinstance(node, str) and node.startswith("$") else Plain(node)


def _all_plain(nodes: Iterable[object]) -> bool:
    return all(isinstance(node, Plain) for node in nodes)


def _put(node: object, values: Mapping[str, Any], rewrite: Rewrite) -> object:
    """Return the node filled in, or ABSENT where a value is missing outside of a list."""
    if isinstance(node, Plain):
        return node.part
    if isinstance(node, str):
        return _value(node, values)
    if isinstance(node, list):
        return [one for element in node if (one := _put(element, values, rewrite)) is not ABSENT]
    if not isinstance(node, dict):
        return node
    if CLAUSE in node:
        return rewrite(node[CLAUSE])
    made = {key: _put(value, values, rewrite) for key, value in node.items()}
    return ABSENT if any(value is ABSENT for value in made.values()) else made


def _value(text: str, values: Mapping[str, Any]) -> object:
    if text.startswith(ESCAPE):
        return text[1:]
    if not text.startswith("$"):
        return text
    value = values.get(text[1:])
    return ABSENT if value is None else value
