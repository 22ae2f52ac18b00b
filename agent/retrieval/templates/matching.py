"""Recognises a body of `_search` as a call of a template. Pure.

Guarantees that what is recognised renders to just the body that was sent, page and all, so that a search
without a rewrite is the shop's own.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.errors import Refused
from agent.policy.call import TemplateCall
from agent.policy.plan import Plan
from agent.retrieval.templates.library import Templates
from agent.retrieval.templates.markers import CLAUSE, ENTRIES, ESCAPE, Body
from agent.retrieval.templates.template import Template

SIZE, OFFSET = 10, 0
"""OpenSearch's own, where a body does not say."""
MOST_STEPS = 5000
"""Some milliseconds, in which other searches wait."""
BESIDE = ("ext",)
"""Of a body, what is no part of a search."""
Bound = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """A body as a call of a template."""

    call: TemplateCall
    user_query: str
    size: int
    offset: int


def recognise(templates: Templates, sent: Body) -> Recognised | None:
    """Return the call that a body is, of the first template that makes it; None: it is of none."""
    body = {key: value for key, value in sent.items() if key not in BESIDE}
    size, offset = body.get("size", SIZE), body.get("from", OFFSET)
    if not all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in (size, offset)):
        return None
    own = {**body, "size": size, "from": offset}
    return next((found for one in templates if one.is_shops and (found := _call(templates, one, own))), None)


def _call(templates: Templates, template: Template, body: Body) -> Recognised | None:
    asked = {**template.body, "size": "$size", "from": "$from"}
    for bound in _ways(asked, body):
        words = bound.get("user_query")
        params = {name: bound[name] for name in template.parameters.described if name in bound}
        if not isinstance(words, str):
            continue
        try:
            call = templates.call(template.name, params)
        except Refused:
            continue
        _, values = templates.rendering(call)
        plan = Plan(user_query=words, call=call)
        if template.render(plan, values, size=body["size"], offset=body["from"]) == body:
            return Recognised(call=call, user_query=words, size=body["size"], offset=body["from"])
    return None


def _ways(asked: Body, body: Body) -> Iterator[Bound]:
    with contextlib.suppress(_TooManyWays, RecursionError):
        yield from _Walk().entries(asked, body, {})


class _TooManyWays(Exception):  # noqa: N818 - it is caught here
    """A template with so many optional elements that trying all of them would hold up others."""


class _Walk:
    """Walks a template and a body side by side; one body's."""

    def __init__(self) -> None:
        self._left = MOST_STEPS

    def entries(self, asked: Body, body: Body, bound: Bound) -> Iterator[Bound]:
        """Yield the ways in which a body, or its facets, has the template's entries; some may lack."""
        if set(body) - set(asked):
            return
        ways = [bound]
        for key, node in asked.items():
            if key not in body:
                ways = ways if _may_lack(node) else []
            elif key in ENTRIES and isinstance(node, dict) and isinstance(body[key], dict):
                ways = [new for way in ways for new in self.entries(node, body[key], way)]
            else:
                ways = [new for way in ways for new in self._same(node, body[key], way)]
        yield from ways

    def _same(self, node: Any, sent: Any, bound: Bound) -> Iterator[Bound]:  # noqa: ANN401 - JSON
        """Yield the ways in which what was sent is the template's node."""
        self._left -= 1
        if self._left < 0:
            raise _TooManyWays
        if isinstance(node, dict) and CLAUSE in node:
            node = node[CLAUSE]
        if isinstance(node, str) and node.startswith("$") and not node.startswith(ESCAPE):
            yield from _binds(node[1:], sent, bound)
        elif isinstance(node, dict) and isinstance(sent, dict):
            yield from self._objects(node, sent, bound)
        elif isinstance(node, list) and isinstance(sent, list):
            yield from self._lists(node, sent, bound)
        elif (node[1:] if isinstance(node, str) and node.startswith(ESCAPE) else node) == sent:
            yield bound

    def _objects(self, node: Body, sent: Body, bound: Bound) -> Iterator[Bound]:
        if set(node) != set(sent):
            return
        ways = [bound]
        for key, one in node.items():
            ways = [new for way in ways for new in self._same(one, sent[key], way)]
        yield from ways

    def _lists(self, node: list[Any], sent: list[Any], bound: Bound) -> Iterator[Bound]:
        """Yield the ways; elements of the template with a parameter may be left out."""
        if not node:
            if not sent:
                yield bound
            return
        first, *rest = node
        if sent:
            for way in self._same(first, sent[0], bound):
                yield from self._lists(rest, sent[1:], way)
        if _may_lack(first):
            yield from self._lists(rest, sent, bound)


def _binds(name: str, sent: Any, bound: Bound) -> Iterator[Bound]:  # noqa: ANN401 - JSON
    if name not in bound or bound[name] == sent:
        yield {**bound, name: sent}


def _may_lack(node: Any) -> bool:  # noqa: ANN401 - JSON
    """Tell whether a parameter without a value would leave the node out; the text clause always stays."""
    if isinstance(node, str):
        return node.startswith("$") and not node.startswith(ESCAPE) and node != "$user_query"
    if isinstance(node, dict):
        return CLAUSE not in node and any(_may_lack(one) for one in node.values())
    return isinstance(node, list) and any(_may_lack(one) for one in node)
