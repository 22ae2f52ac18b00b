"""What a body of `_search` asks, as far as it can be told. Pure.

A body is recognised where it names the shopper's words by UBI (``ext.ubi.user_query``) or is a call of one of
the shop's templates. Of a body that names them and is no template's, the rewrite's words are added beside its
query, where they score and never match.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from agent.errors import Refused
from agent.policy.call import TemplateCall
from agent.retrieval.templates import Templates
from agent.retrieval.templates.markers import Body
from agent.retrieval.templates.matching import OFFSET, SIZE, recognise
from agent.retrieval.templates.template import leads_with_score
from agent.serve.dropin.json import encoded
from agent.serve.schemas import RewriteRequest
from feedback.text import stamp

MOST_BYTES = 1024 * 1024
"""Of a body, once unpacked."""
MOST_PAGE = 100
"""Objects of a page that may teach; a longer list is no page."""
MOST_NAME = 100
MOST_DIGITS = 9
"""Of a number in a text; Python reads no more than some thousands."""
BY_SCORE = frozenset({"sampler", "diversified_sampler", "top_hits"})
"""Facets that look at the order: words that score would change them."""
LATER = ("search_after",)
LISTED = ("query", "sort", "post_filter", "collapse", "rescore")
"""What decides which list a body pages through."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One search that was recognised."""

    request: RewriteRequest
    call: TemplateCall
    body: Body
    """As OpenSearch is to get it, without what is for us."""
    is_templates: bool
    """Whether a template makes the body; else the rewrite's words go beside its query."""
    size: int
    offset: int
    is_first: bool
    """Whether it is the first page of its list."""
    query_id: str = ""
    """That the client names: of the page before, if it is ours."""
    object_id_field: str = ""
    """Of the document, where the client names one."""
    ubi: Mapping[str, Any]
    """The client's part for UBI; empty: there is none."""

    @cached_property
    def like(self) -> str:
        """What tells its list from others of the same words; empty where its call does: see Pinned."""
        if self.is_templates:
            return ""
        listed = {name: self.body[name] for name in LISTED if name in self.body}
        return stamp(encoded(listed))


def unpacked(content: bytes, encoding: str) -> bytes:
    """Return a body as it was before it was packed; raises Refused."""
    if encoding in ("", "identity"):
        return content
    if encoding != "gzip":
        raise Refused("content-encoding: must be gzip or none")
    try:
        opened = zlib.decompressobj(zlib.MAX_WBITS | 16)
        found = opened.decompress(content, MOST_BYTES + 1)
    except zlib.error as error:
        raise Refused(f"body: is no gzip: {error}") from error
    if len(found) > MOST_BYTES or not opened.eof:
        raise Refused(f"body: must have at most {MOST_BYTES} bytes unpacked, and be whole")
    return found


def without_ubi(body: Body) -> Body:
    """Return the body without UBI's part, which only its plugin understands."""
    ext = body.get("ext")
    if not isinstance(ext, dict) or "ubi" not in ext:
        return body
    rest = {name: value for name, value in ext.items() if name != "ubi"}
    kept = {name: value for name, value in body.items() if name != "ext"}
    return {**kept, "ext": rest} if rest else kept


def with_ubi(body: Body, ubi: Mapping[str, Any]) -> Body:
    """Return the body with a part for UBI in place of its own."""
    ext = body.get("ext")
    return {**body, "ext": {**(ext if isinstance(ext, dict) else {}), "ubi": ubi}}


def read(body: Body, templates: Templates, params: Mapping[str, str]) -> Asked | None:
    """Return what a body asks; None: it is not known what the shopper wrote, or nothing could be added.

    ``params`` are those beside the body, of which ``size`` and ``from`` stand above it.
    """
    own, ubi = without_ubi(body), _ubi(body)
    page = {name: _count(params.get(name, own.get(name, least))) for name, least in PAGE.items()}
    query = own.get("query")
    looks = isinstance(query, dict) and any(one.is_shops for one in templates)
    found = recognise(templates, _plain(own)) if looks else None
    words = ubi.get("user_query") or (found.user_query if found else "")
    size, offset = page["size"], page["from"]
    if not isinstance(words, str) or not isinstance(query, dict) or not size or offset is None:
        return None
    found = found if found and found.user_query == words else None
    request = _request(words, ubi, size)
    if request is None or (found is None and _depends_on_scores(own)):
        return None
    return Asked(
        request=request,
        call=found.call if found else _beside(templates, own),
        body=own,
        is_templates=found is not None,
        size=size,
        offset=offset,
        is_first=offset == 0 and not any(name in own for name in LATER),
        query_id=_text(ubi.get("query_id")),
        object_id_field=_text(ubi.get("object_id_field")),
        ubi=ubi,
    )


PAGE = {"size": SIZE, "from": OFFSET}


def beside(body: Body, added: Body) -> Body:
    """Return the body with a clause that scores beside its query; its own words are what is highlighted."""
    query = {"bool": {"must": [body["query"]], "should": [added]}}
    highlight = body.get("highlight")
    if not isinstance(highlight, dict) or "highlight_query" in highlight:
        return {**body, "query": query}
    return {**body, "query": query, "highlight": {**highlight, "highlight_query": body["query"]}}


def _beside(templates: Templates, body: Body) -> TemplateCall:
    """Return the call as which a search of no template counts: the default one, which it is not quite."""
    by_relevance = leads_with_score(body.get("sort"))
    call = templates.call("default", {})
    return replace(call, by_relevance=by_relevance, instead=False, as_judged=False, mixes=False)


def _depends_on_scores(body: Body) -> bool:
    """Tell whether words that score would change what is found, or its facets."""
    facets = body.get("aggs", body.get("aggregations"))
    return "min_score" in body or any(name in BY_SCORE or name == "_score" for name in _names(facets))


def _plain(node: Any) -> Any:  # noqa: ANN401 - JSON
    """Return it with fractions as templates have them."""
    if isinstance(node, dict):
        return {key: _plain(one) for key, one in node.items()}
    if isinstance(node, list):
        return [_plain(one) for one in node]
    return float(node) if isinstance(node, Decimal) else node


def _names(node: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Yield every key and every text below a node."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            yield "_score" if "_score" in one else one


def _ubi(body: Body) -> Mapping[str, Any]:
    ext = body.get("ext")
    ubi = ext.get("ubi") if isinstance(ext, dict) else None
    return ubi if isinstance(ubi, dict) else {}


def _request(words: str, ubi: Mapping[str, Any], size: int) -> RewriteRequest | None:
    """Return the request for a rewrite; a name that is too long is left out."""
    attributes = ubi.get("query_attributes")
    session = attributes.get("session_id") if isinstance(attributes, dict) else ""
    try:
        return RewriteRequest(
            user_query=words,
            client_id=_name(ubi.get("client_id")),
            session_id=_name(session),
            size=min(size, MOST_PAGE),
            application=_name(ubi.get("application")),
        )
    except ValidationError:
        return None


def _name(value: object) -> str:
    text = _text(value)
    return text if len(text) <= MOST_NAME and text.isprintable() else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    """Return a number of a body, or of the parameters beside it; None: it is none."""
    if isinstance(value, str):
        is_one = value.isascii() and value.isdecimal() and len(value) <= MOST_DIGITS
        return int(value) if is_one else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
