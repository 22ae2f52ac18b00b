"""What of OpenSearch's interface is forwarded: reads of one index. Pure.

Guarantees that nothing passes that writes, that names another index in its path, its parameters or its body,
or that keeps state or runs a pipeline in the cluster; what cannot be read here is not forwarded either, since
OpenSearch may read it. Bodies are looked at by `agent.serve.dropin.reach`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from agent.errors import Refused
from agent.retrieval.templates.markers import Body
from agent.serve.dropin.json import decoded
from agent.serve.dropin.reach import hits_of, refuse_reach

GET = ("GET", "HEAD")
READS = (*GET, "POST")
KINDS: Mapping[str, tuple[str, ...]] = {
    "": ("HEAD",),
    "_search": READS,
    "_msearch": READS,
    "_count": READS,
    "_mget": READS,
    "_field_caps": READS,
    "_validate/query": READS,
    "_explain": READS,
    "_doc": GET,
    "_source": GET,
    "_mapping": GET,
    "_mappings": GET,
}
"""By what stands behind the index: the methods that read."""
OF_ONE = re.compile(r"/(?P<index>[^/]+)/(?P<what>_doc|_source|_explain)/(?!\.{1,2}$)[^/]+")
OF_ALL = re.compile(
    r"/(?P<index>[^/]+)/(?P<what>_search|_msearch|_count|_mget|_mappings?|_field_caps|_validate/query)"
)
ALONE = re.compile(r"/(?P<index>[^/]+)(?P<what>)")
FORM = frozenset(
    [
        "pretty",
        "human",
        "error_trace",
        "filter_path",
        "format",
        "typed_keys",
        "rest_total_hits_as_int",
        "flat_settings",
        "local",
    ]
)
HARMLESS = FORM | frozenset(
    [
        "request_cache",
        "allow_partial_search_results",
        "timeout",
        "batched_reduce_size",
        "max_concurrent_shard_requests",
        "max_concurrent_searches",
        "pre_filter_shard_size",
        "ccs_minimize_roundtrips",
        "ignore_unavailable",
        "allow_no_indices",
        "expand_wildcards",
        "ignore_throttled",
        "search_type",
        "cancel_after_time_interval",
        "phase_took",
        "preference",
        "size",
        "from",
        "_source",
        "_source_includes",
        "_source_excludes",
        "seq_no_primary_term",
        "version",
        "stored_fields",
        "docvalue_fields",
        "track_total_hits",
        "explain",
    ]
)
"""Parameters with which a search is still what its body says."""
TELLING = frozenset(
    [
        "q",
        "df",
        "analyzer",
        "analyze_wildcard",
        "default_operator",
        "lenient",
        "sort",
        "routing",
        "terminate_after",
        "track_scores",
        "stats",
        "fields",
        "include_unmapped",
        "realtime",
        "rewrite",
        "all_shards",
        "min_score",
        "master_timeout",
        "cluster_manager_timeout",
        "suggest_field",
        "suggest_mode",
        "suggest_size",
        "suggest_text",
    ]
)
"""Others that read: with them the body is not all that is asked."""
HEADS = frozenset(
    [
        "index",
        "search_type",
        "preference",
        "request_cache",
        "allow_partial_search_results",
        "max_concurrent_shard_requests",
        "ccs_minimize_roundtrips",
        "ignore_unavailable",
        "expand_wildcards",
        "allow_no_indices",
        "cancel_after_time_interval",
    ]
)
"""Keys of a head of `_msearch`."""
JSON_TYPES = frozenset({"", "application/json", "application/x-ndjson", "application/x-json"})
MOST_SEARCHES = 100
"""Of `_msearch`."""
MOST_HITS = 10_000
"""That all searches of a request may ask for, and documents that one may name."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """An allowed request."""

    kind: str
    """Such as ``_search``; ``info`` and ``exists`` for the cluster's greeting and the index's being there."""
    params: Mapping[str, str]


def allowed(method: str, path: str, query: str, index: str) -> Way:
    """Return what a request asks; raises Refused where it is not forwarded.

    Args:
        method: in capitals.
        path: as it was sent, percent-encoded.
        query: the part behind the question mark, as it was sent.
        index: the shop's.
    """
    params = _params(query)
    if path == "/" and method in GET:
        return Way(kind="info", params=params)
    if path == "/_msearch" and method in READS:
        return Way(kind="_msearch", params=params)
    found = OF_ALL.fullmatch(path) or OF_ONE.fullmatch(path) or ALONE.fullmatch(path)
    if found is None or unquote(found["index"]) != index or method not in KINDS.get(found["what"], ()):
        named = ascii(f"{method} {path}")[1:-1][:200]
        raise Refused(f"reads of the index {index} are forwarded and nothing else: not {named}")
    return Way(kind=found["what"] or "exists", params=params)


def body_of(content: bytes, content_type: str, index: str) -> Body | None:
    """Return the body of a request that is to be forwarded; None: it has none. Raises Refused."""
    if not content.strip():
        return None
    _refuse_type(content_type)
    body = decoded(content)
    if body is None:
        raise Refused("body: is no JSON object")
    refuse_reach(body, index)
    named = [one for one in (body.get("docs"), body.get("ids")) if isinstance(one, list)]
    if sum(map(len, named)) > MOST_HITS:
        raise Refused(f"body: must name at most {MOST_HITS} documents")
    return body


def pairs_of(content: bytes, content_type: str, index: str, *, named: bool) -> list[tuple[Body, Body]]:
    """Return the heads and bodies of `_msearch`; raises Refused.

    ``named``: the path names the index, so that a head need not.
    """
    _refuse_type(content_type)
    lines = content.rstrip().split(b"\n")
    if len(lines) % 2 or not content.strip() or len(lines) > 2 * MOST_SEARCHES:
        raise Refused(f"_msearch: must be 1 to {MOST_SEARCHES} searches, a head and a body each on its line")
    found = [decoded(line) if line.strip() else {} for line in lines]
    objects = [one for one in found if one is not None]
    if len(objects) < len(found):
        raise Refused(f"_msearch: line {found.index(None) + 1} is no JSON object")
    pairs = list(zip(objects[::2], objects[1::2], strict=True))
    for number, (head, body) in enumerate(pairs, start=1):
        _refuse_head(number, head, index, named=named)
        refuse_reach(body, index)
    _refuse_many([body for _, body in pairs])
    return pairs


def is_plain(way: Way) -> bool:
    """Tell whether a search is all that its body says, but for the page."""
    return way.params.keys() <= HARMLESS and not way.params.get("preference", "").startswith("_")


def _params(query: str) -> dict[str, str]:
    """Return the parameters; raises Refused for one that does more than read."""
    if ";" in query:
        raise Refused("parameters: a semicolon must be written as %3B")
    params = dict(parse_qsl(query, keep_blank_values=True))
    other = sorted(params.keys() - HARMLESS - TELLING)
    if other:
        raise Refused(f"parameters: {ascii(other[0])[1:-1][:60]} is not forwarded")
    return params


def _refuse_type(content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() not in JSON_TYPES or "utf-16" in content_type.lower():
        raise Refused("content-type: must be JSON in UTF-8")


def _refuse_head(number: int, head: Body, index: str, *, named: bool) -> None:
    if other := sorted(head.keys() - HEADS):
        raise Refused(f"_msearch: head {number}: {ascii(other[0])[1:-1][:60]} is not forwarded")
    if head.get("index", index if named else None) not in (index, [index]):
        raise Refused(f"_msearch: search {number} must name the index {index} and no other")


def _refuse_many(bodies: Sequence[Body]) -> None:
    sizes = [hits_of(body) for body in bodies]
    if None in sizes:
        raise Refused(f"_msearch: search {sizes.index(None) + 1}: size must be a number")
    if sum(size for size in sizes if size) > MOST_HITS:
        raise Refused(f"_msearch: all sizes together must be at most {MOST_HITS}")
