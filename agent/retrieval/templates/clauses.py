"""Clauses made of the shop's own text clause: the words that are added, or that take its place. Pure.

Added words are alternatives: any of them may be found, none must. Their clause is the shop's with
``operator`` *or*, without ``minimum_should_match`` and without phrases, which no added words make; and
without ``zero_terms_query``, so that a rewrite of which the analyzer leaves nothing finds nothing, not all.
"""

from collections.abc import Callable
from typing import Any

from agent.errors import Permanent

Body = dict[str, Any]
PER_FIELD = ("match", "match_bool_prefix")
OVER_FIELDS = ("multi_match", "combined_fields")
PHRASES = ("match_phrase", "match_phrase_prefix")
PHRASE_TYPES = ("phrase", "phrase_prefix")
STRICT = ("minimum_should_match", "cutoff_frequency", "zero_terms_query")


def relaxed(clause: object, path: str = "$") -> Body | None:
    """Return a text clause that any of its words suffices for; None: only phrases were in it.

    Raises:
        Permanent: it is of a kind whose relaxed form is not known; the message names its JSON path.
    """
    kind, inner = next(iter(clause.items())) if isinstance(clause, dict) and len(clause) == 1 else ("", None)
    make = RELAXING.get(kind)
    if make is None or not isinstance(inner, dict):
        known = ", ".join(RELAXING)
        raise Permanent(
            f"{path}: added words need a clause of {known}: give the template one of its own as added"
        )
    return make(kind, inner, f"{path}.{kind}")


def boosted(clause: Body, boost: float) -> Body:
    """Return the clause with its score times a boost; one that has a boost of its own keeps it."""
    ((kind, inner),) = clause.items()
    if kind in OVER_FIELDS and "boost" not in inner:
        return {kind: {**inner, "boost": boost}}
    return {"bool": {"must": [clause], "boost": boost}}


def _over_fields(kind: str, inner: Body, _path: str) -> Body | None:
    return None if inner.get("type") in PHRASE_TYPES else {kind: _lenient(inner)}


def _per_field(kind: str, inner: Body, _path: str) -> Body:
    """Return it; the short form names the words alone."""
    return {
        kind: {
            field: _lenient(one if isinstance(one, dict) else {"query": one}) for field, one in inner.items()
        }
    }


def _lenient(options: Body) -> Body:
    kept = {name: value for name, value in options.items() if name not in STRICT}
    return {**kept, "operator": "or"}


def _no_phrase(_kind: str, _inner: Body, _path: str) -> None:
    return None


def _dis_max(kind: str, inner: Body, path: str) -> Body | None:
    queries = _all(inner.get("queries", []), f"{path}.queries")
    return {kind: {**inner, "queries": queries}} if queries else None


def _bool(kind: str, inner: Body, path: str) -> Body | None:
    """Return one of which any clause suffices."""
    if set(inner) - {"must", "should", "boost", *STRICT}:
        other = sorted(set(inner) - {"must", "should", "boost", *STRICT})
        raise Permanent(f"{path}: holds {', '.join(other)}: put it beside the text clause, not into it")
    found = [
        one
        for name in ("must", "should")
        if name in inner
        for one in _all(_listed(inner[name]), f"{path}.{name}")
    ]
    rest = {"boost": inner["boost"]} if "boost" in inner else {}
    return {kind: {"should": found, "minimum_should_match": 1, **rest}} if found else None


def _listed(clauses: object) -> list[object]:
    return clauses if isinstance(clauses, list) else [clauses]


def _all(clauses: list[object], path: str) -> list[Body]:
    found = (relaxed(one, f"{path}[{place}]") for place, one in enumerate(clauses))
    return [one for one in found if one is not None]


RELAXING: dict[str, Callable[[str, Body, str], Body | None]] = {
    **dict.fromkeys(PER_FIELD, _per_field),
    **dict.fromkeys(OVER_FIELDS, _over_fields),
    **dict.fromkeys(PHRASES, _no_phrase),
    "dis_max": _dis_max,
    "bool": _bool,
}
