"""Holds a template against the live index: what OpenSearch says of it, told by JSON path. Pure.

OpenSearch searches an unknown field without a word and finds nothing, so that fields are looked up as well.
"""

import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from typing import Any

from agent.retrieval.templates.markers import Body, path_of

TEXT = ("match", "match_bool_prefix", "match_phrase", "match_phrase_prefix")
NAMED_BY_KEY = frozenset((*TEXT, "term", "terms", "range", "prefix", "wildcard"))
"""Clauses whose keys are fields."""
OPTIONS = frozenset({"boost", "_name"})
OWN = frozenset({"_score", "_doc", "_id", "_shard_doc"})
BRACKETED = re.compile(r"\[([^\[\]]+)\]")
Step = str | int


def unknown_fields(body: Body, known: Collection[str]) -> list[str]:
    """Return ``<JSON path>: the index has no field <name>`` of each, in the order of the body."""
    return [
        f"{path}: the index has no field {name}"
        for name, path in fields_of(body)
        if name not in OWN and not any(fnmatchcase(one, name) for one in known)
    ]


def fields_of(node: Any, *steps: Step) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Yield each field that a body names, with the JSON path of where it does; parameters are passed over."""
    if isinstance(node, list):
        for place, one in enumerate(node):
            yield from fields_of(one, *steps, place)
    elif isinstance(node, dict):
        for key, one in node.items():
            yield from _named(key, one, *steps, key)
            yield from fields_of(one, *steps, key)


def _named(key: str, node: Any, *steps: Step) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    if key in NAMED_BY_KEY and isinstance(node, dict) and "field" not in node:  # else it is a facet
        yield from ((name, path_of(*steps, name)) for name in node if name not in OPTIONS)
    names = node if key == "fields" and isinstance(node, list) else [node] if key == "field" else []
    for place, name in enumerate(names):
        if isinstance(name, str) and not name.startswith("$"):
            at = path_of(*steps, place) if key == "fields" else path_of(*steps)
            yield name.partition("^")[0], at


def placed(body: Body, reason: str) -> str:
    """Return OpenSearch's reason with the JSON path of what it names, where the body has it."""
    for name in reversed(BRACKETED.findall(reason)):
        path = next((path for word, path in _words(body) if word == name), None)
        if path is not None:
            return f"{path}: {reason}"
    return f"$: {reason}"


def _words(node: Any, *steps: Step) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Yield every key and text with its path, the deepest keys after what they stand in."""
    if isinstance(node, dict):
        for key, one in node.items():
            yield key, path_of(*steps, key)
            yield from _words(one, *steps, key)
    elif isinstance(node, list):
        for place, one in enumerate(node):
            yield from _words(one, *steps, place)
    elif isinstance(node, str):
        yield node, path_of(*steps)
