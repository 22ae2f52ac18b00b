"""One search template: read, looked at, rendered.

Guarantees that a plan without a rewrite is the shop's own body word for word, and that the shopper's words
and the rewrite's are values of text clauses, never query syntax.

The modes of the form *add*: in ``rerank`` the added terms score and never match, so that results, total and
facets are the shop's own; in ``recall`` they match as well, so that a page which raw leaves empty can fill.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from agent.errors import Permanent
from agent.policy.plan import Plan
from agent.retrieval.templates import markers
from agent.retrieval.templates.clauses import boosted, relaxed
from agent.retrieval.templates.markers import Body, put
from agent.retrieval.templates.parameters import Name, Parameter, Parameters, Part
from feedback.records import Form

DEFAULT = "default"
PARSED = frozenset({"query_string", "simple_query_string", "regexp", "wildcard", "wrapper"})
"""Queries whose text has a syntax of its own."""
Mode = Literal["recall", "rerank"]
SHOWN_ALONE = ("aggs", "aggregations", "highlight", "suggest", "explain", "profile")
"""What shoppers are shown beside the hits, and nobody else looks at."""


class Described(Part):
    """A template's file."""

    body: Body
    parameters: dict[Name, Parameter] = Field(default_factory=dict)
    mode: Mode | None = None
    """None: ``rerank`` where the body has facets, totals or groups, else ``recall``."""
    min_hits: int = Field(0, ge=0)
    """In ``rerank``: a search that finds fewer is made again in ``recall``."""
    added: Body | None = None
    """Clause of the added words, with ``$user_query`` in it; None: made of the text clause."""


def lacking(body: Body, object_ids: Sequence[str]) -> Body:
    """Return the body of the same search without some objects; scores and order stay."""
    if not object_ids:
        return body
    others = {"must": [body["query"]], "must_not": [{"ids": {"values": list(object_ids)}}]}
    return {**body, "query": {"bool": others}}


class Template:
    """One of a shop's templates."""

    def __init__(self, name: str, described: Described, *, is_shops: bool = True) -> None:
        """Look at it; raises Permanent, which names the JSON path of what is wrong.

        ``is_shops`` False: we wrote it, and not all of its fields need be there.
        """
        self.name = name
        self.is_shops = is_shops
        self.parameters = Parameters(described.parameters)
        self.body = described.body
        """As it was written."""
        self._folded = markers.folded(self.body)
        self.min_hits = described.min_hits
        self.added = described.added
        self._path, self._clause = markers.only_clause(self.body)
        totals = self.body.get("track_total_hits")
        self.mode: Mode = described.mode or ("rerank" if self._groups or totals else "recall")
        self._look()

    @property
    def instead(self) -> bool:
        """Whether a rewrite may take the query's place: its results are a different set."""
        return self.mode == "recall" and not self._groups

    @property
    def mixes(self) -> bool:
        """Whether two of its lists may be shown as one."""
        return "collapse" not in self.body

    @property
    def _groups(self) -> bool:
        return any(self.body.get(key) for key in ("aggs", "aggregations", "collapse"))

    def is_judged(self, values: Mapping[str, Any]) -> bool:
        """Tell whether verdicts of their segment rest on just these values."""
        return all(
            one.segment_by or values[name] == one.judged_by for name, one in self.parameters.described.items()
        )

    def by_relevance(self, values: Mapping[str, Any]) -> bool:
        """Tell whether these are sorted by relevance first."""
        asked = {"sort": self.body.get("sort", [])}
        return leads_with_score(markers.filled(asked, {**values, "user_query": ""}, dict).get("sort"))

    def render(
        self,
        plan: Plan,
        values: Mapping[str, Any],
        *,
        size: int,
        offset: int = 0,
        mode: Mode | None = None,
        documents: bool | None = None,
    ) -> Body:
        """Return the body of one search.

        Args:
            plan: what is searched.
            values: of all parameters.
            size: of the page.
            offset: objects before it.
            mode: of the form *add*; None: the template's.
            documents: whether the hits carry what the shop shows, facets and highlights with it (None: as
                the body says), documents without what stands beside the hits (True), or ids and scores.
        """
        known = {**values, "size": size, "from": offset, "user_query": plan.user_query}
        made = markers.filled(
            self._folded, known, lambda clause: self._rewritten(clause, plan, known, mode or self.mode)
        )
        made |= {"size": size, "from": offset}
        if documents is None:
            return made
        kept = {key: value for key, value in made.items() if key not in SHOWN_ALONE}
        return kept if documents else {**kept, "_source": False}

    def finds_few(self, plan: Plan, total: int) -> bool:
        """Tell whether a rewrite that only scored is to match as well: so few were found in all."""
        adds = plan.form is Form.ADD and not plan.is_raw
        return adds and self.mode == "rerank" and total < self.min_hits

    def clause(self, plan: Plan, values: Mapping[str, Any]) -> Body:
        """Return what stands in the text clause's place: for shops that search by themselves."""
        known = {**values, "size": 10, "from": 0, "user_query": plan.user_query}
        return self._rewritten(self._clause, plan, known, self.mode)

    def added_clause(self, plan: Plan, values: Mapping[str, Any]) -> Body | None:
        """Return the clause of a plan's words alone, by their weight; None: they have none."""
        made = self.added or relaxed(self._clause)
        known = {**values, "size": 10, "from": 0, "user_query": plan.text}
        return None if made is None else boosted(put(made, known), plan.weight)

    def _rewritten(self, clause: Body, plan: Plan, values: Mapping[str, Any], mode: Mode) -> Body:
        own = put(clause, values)
        made = None if plan.is_raw else self.added or relaxed(clause)
        if made is None:
            return own
        made = put(made, {**values, "user_query": plan.text})
        if plan.form is Form.INSTEAD:
            return _any_of([made, *([boosted(own, plan.own_weight)] if plan.own_weight > 0 else [])])
        added = boosted(made, plan.weight)
        return {"bool": {"must": [own], "should": [added]}} if mode == "rerank" else _any_of([own, added])

    def _look(self) -> None:
        if not self._path.startswith("$.query."):
            raise Permanent(f"{self._path}: the text clause must stand in query")
        if not _has_words(self._clause):
            raise Permanent(f"{self._path}: {markers.WORDS} must stand in it")
        self._look_at_marks()
        self._look_at_absence()
        self._look_at_added()
        self._look_at_hits()

    def _look_at_marks(self) -> None:
        described = self.parameters.described
        known = {f"${name}" for name in (*described, *markers.RESERVED)}
        found = dict(markers.marks(self.body)) | dict(markers.marks(self.added, "added"))
        for mark, path in found.items():
            if path.endswith(f".{mark}") and mark != markers.CLAUSE:
                raise Permanent(f"{path}: a parameter is a value, not a key")
            if mark not in known:
                why = f'"{mark}" is no parameter; name it under parameters, or write "${mark}"'
                raise Permanent(f"{path}: {why}")
        for name in described:
            if name in markers.RESERVED:
                raise Permanent(f"$.parameters.{name}: is the request's own")
            if f"${name}" not in found:
                raise Permanent(f"$.parameters.{name}: stands nowhere in the body")

    def _look_at_absence(self) -> None:
        """Raise Permanent where a parameter without a value would take the text clause with it."""
        described = self.parameters.described
        for name in (name for name, one in described.items() if one.default is None):
            values = {**dict.fromkeys((*described, "size", "from", "user_query"), 1), name: None}
            left = markers.filled(self.body, values, lambda clause: {markers.CLAUSE: clause})
            inside = f"${name}" in dict(markers.marks([self._clause, self.added]))
            if inside or not any(mark == markers.CLAUSE for mark, _ in markers.marks(left)):
                why = f"without a value the text clause at {self._path} falls with it: give it a default"
                raise Permanent(f"$.parameters.{name}: {why}")

    def _look_at_added(self) -> None:
        if self.added is None:
            relaxed(self._clause, self._path)
            return
        if len(self.added) != 1 or not _has_words(self.added):
            raise Permanent(f"$.added: must be one clause, and {markers.WORDS} must stand in it")
        for mark, path in markers.marks(self.added, "added"):
            if mark == markers.WORDS and _is_parsed(path):
                raise Permanent(f"{path}: a model's words are never query syntax or a script: use match")
        if found := _find("zero_terms_query", self.added, "added"):
            raise Permanent(f"{found}: words of which the analyzer leaves nothing would find everything")

    def _look_at_hits(self) -> None:
        if self.mode == "rerank" and (path := _find("min_score", self.body)):
            raise Permanent(f'{path}: words that score would change what is found: set mode to "recall"')
        totals = self.body.get("track_total_hits", True)
        counted = totals is True or (isinstance(totals, int) and totals >= self.min_hits > 0)
        if self.min_hits and not counted:
            raise Permanent("$.track_total_hits: must count as far as min_hits")


def leads_with_score(sort: Any) -> bool:  # noqa: ANN401 - JSON
    """Tell whether a body's ``sort`` is by relevance first."""
    first = sort[0] if isinstance(sort, list) and sort else sort
    if not first:
        return True
    if not isinstance(first, dict):
        return bool(first == "_score")
    field, order = next(iter(first.items()))
    order = order.get("order", "desc") if isinstance(order, dict) else order
    return field == "_score" and str(order).lower() == "desc"


def _is_parsed(path: str) -> bool:
    """Tell whether OpenSearch reads the text at a JSON path as more than words."""
    return bool(PARSED & set(re.split(r"[.\[\]]", path))) or path.endswith((".script", ".script.source"))


def _has_words(clause: Body) -> bool:
    return any(mark == markers.WORDS for mark, _ in markers.marks(clause))


def _find(key: str, node: object, *steps: str | int) -> str | None:
    """Return the JSON path of the first key of that name."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, one in pairs:
        found = markers.path_of(*steps, step) if step == key else _find(key, one, *steps, step)
        if found:
            return found
    return None


def _any_of(clauses: list[Body]) -> Body:
    return {"bool": {"should": clauses, "minimum_should_match": 1}}
