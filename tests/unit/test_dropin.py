"""What is forwarded, what is refused, and what is read of a body."""

import gzip
import json
from typing import Any

import pytest

from agent.errors import Refused
from agent.retrieval.templates import Templates
from agent.sections import OpenSearchSettings
from agent.serve.dropin.allowing import allowed, body_of, is_plain, pairs_of
from agent.serve.dropin.answering import named, objects_of
from agent.serve.dropin.json import decoded, encoded
from agent.serve.dropin.reading import beside, read, unpacked, without_ubi

TEMPLATES = Templates(OpenSearchSettings())


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/", "info"),
        ("HEAD", "/", "info"),
        ("POST", "/", None),
        ("HEAD", "/shop", "exists"),
        ("GET", "/shop", None),
        ("PUT", "/shop", None),
        ("DELETE", "/shop", None),
        ("POST", "/shop/_search", "_search"),
        ("GET", "/shop/_search", "_search"),
        ("GET", "/sh%6fp/_search", "_search"),
        ("PUT", "/shop/_search", None),
        ("POST", "/shop/_msearch", "_msearch"),
        ("POST", "/_msearch", "_msearch"),
        ("POST", "/_search", None),
        ("POST", "/other/_search", None),
        ("POST", "/shop,other/_search", None),
        ("POST", "/shop%2Cother/_search", None),
        ("POST", "/*/_search", None),
        ("POST", "/shop/_search/", None),
        ("POST", "/shop/_search/scroll", None),
        ("POST", "/_search/scroll", None),
        ("POST", "/shop/_search/point_in_time", None),
        ("POST", "/shop/_search?scroll=1m", None),
        ("POST", "/shop/_search?preference=x;scroll=1m", None),
        ("POST", "/shop/_search?search_pipeline=x", None),
        ("POST", "/shop/_search?source=x", None),
        ("POST", "/shop/_search?preference=x", "_search"),
        ("GET", "/shop/_doc/a%2Fb", "_doc"),
        ("GET", "/shop/_doc/a?refresh=true", None),
        ("GET", "/shop/_doc/..", None),
        ("GET", "/shop/_doc/../../other/_doc/1", None),
        ("DELETE", "/shop/_doc/1", None),
        ("POST", "/shop/_doc/1", None),
        ("POST", "/shop/_doc", None),
        ("POST", "/shop/_source/1", None),
        ("POST", "/shop/_bulk", None),
        ("POST", "/_bulk", None),
        ("POST", "/shop/_delete_by_query", None),
        ("POST", "/shop/_update/1", None),
        ("GET", "/shop/_mapping", "_mapping"),
        ("POST", "/shop/_mapping", None),
        ("POST", "/shop/_mappings", None),
        ("PUT", "/shop/_mapping", None),
        ("GET", "/shop/_settings", None),
        ("GET", "/_cat/indices", None),
        ("GET", "/_cluster/health", None),
        ("POST", "/shop/_count", "_count"),
        ("POST", "/shop/_mget", "_mget"),
        ("POST", "/shop/_validate/query", "_validate/query"),
        ("POST", "/shop/_explain/1", "_explain"),
    ],
)
def test_reads_of_the_shops_index_are_allowed_and_nothing_else(
    method: str, path: str, kind: str | None
) -> None:
    path, _, query = path.partition("?")
    if kind is not None:
        assert allowed(method, path, query, "shop").kind == kind
        return
    with pytest.raises(Refused):
        allowed(method, path, query, "shop")


def lists(n: int) -> Any:  # noqa: ANN401 - JSON
    """Return so many lists inside each other."""
    return json.loads("[" * n + "]" * n)


LOOKUPS: list[dict[str, Any]] = [
    {"docs": [{"_index": "other", "_id": "3"}]},
    {"query": {"terms": {"_id": {"index": "other", "id": "1", "path": "names"}}}},
    {"query": {"bool": {"filter": [{"more_like_this": {"like": [{"_index": "other", "_id": "1"}]}}]}}},
    {"query": {"geo_shape": {"where": {"indexed_shape": {"index": "other", "id": "1", "path": "p"}}}}},
    {"query": {"percolate": {"field": "q", "index": "other", "id": "1"}}},
    {"index_filter": {"terms": {"_id": {"index": ["other"], "id": "1", "path": "x"}}}},
    {"query": {"geo_shape": {"where": {"indexed_shape": {"id": "1", "path": "p"}}}}},
    {"query": {"bool": {"must": [{"wrapper": {"query": "eyJtYXRjaF9hbGwiOiB7fX0="}}]}}},
    {"suggest": {"a": {"phrase": {"field": "t", "collate": {"query": {"source": "{}"}}}}}},
    {"indices_boost": [{"shop": 2}, {"other": 2}]},
    {"indices_boost": {"other": 2}},
    {
        "query": {"match_all": {}},
        "post_filter": [1, lists(150)],
    },
    {"pit": {"id": "x"}},
    {"search_pipeline": {"request_processors": []}},
]


@pytest.mark.parametrize("body", LOOKUPS)
def test_a_body_that_reaches_further_is_refused(body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    with pytest.raises(Refused):
        body_of(content, "application/json", "shop")
    with pytest.raises(Refused):
        pairs_of(b"{}\n" + content + b"\n", "", "shop", named=True)


def test_a_body_of_the_shops_index_passes() -> None:
    body = {
        "query": {"terms": {"_id": {"index": "shop", "id": "1", "path": "names"}}},
        "post_filter": {"term": {"index": "a field of that name"}},
        "indices_boost": [{"shop": 2}],
        "suggest": {"collate": {"text": "a name of its own"}},
        "aggs": {"deep": lists(140)},
    }
    assert body_of(json.dumps(body).encode(), "application/json; charset=utf-8", "shop") == body
    assert body_of(b" ", "", "shop") is None


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"docs: []", "application/yaml"),
        (b'/*x*/{"docs": []}', "application/json"),
        ('{"docs": []}'.encode("utf-16"), "application/json"),
        (b"[]", "application/json"),
        (b"{}", "application/cbor"),
        (b"{", ""),
    ],
)
def test_what_only_opensearch_could_read_is_refused(content: bytes, content_type: str) -> None:
    with pytest.raises(Refused):
        body_of(content, content_type, "shop")


@pytest.mark.parametrize(
    "head", [{"index": "other"}, {"index": ["shop", "other"]}, {"indices": "other"}, {"scroll": "1m"}]
)
def test_a_head_that_reaches_further_is_refused(head: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        pairs_of(json.dumps(head).encode() + b'\n{"query": {}}\n', "", "shop", named=True)
    with pytest.raises(Refused, match="must name the index"):
        pairs_of(b'{}\n{"query": {}}\n', "", "shop", named=False)


@pytest.mark.parametrize(
    ("query", "plain"),
    [
        ("", True),
        ("size=5&from=10&typed_keys=true", True),
        ("preference=session", True),
        ("preference=_shards:7", False),
        ("sort=price", False),
        ("q=title:couch", False),
        ("terminate_after=1", False),
        ("routing=x", False),
    ],
)
def test_parameters_beside_a_body_may_ask_for_something_else(query: str, plain: bool) -> None:  # noqa: FBT001
    assert is_plain(allowed("POST", "/shop/_search", query, "shop")) is plain


def test_fractions_keep_their_digits() -> None:
    body = decoded(b'{"a": 1.10, "b": 12345678901234567.89, "c": 123456789012345678901234567890}')
    assert body is not None
    assert encoded(body) == b'{"a":1.10,"b":12345678901234567.89,"c":123456789012345678901234567890}'


def test_a_packed_body_is_unpacked_and_a_bomb_is_not() -> None:
    assert unpacked(b"{}", "") == b"{}"
    assert unpacked(gzip.compress(b'{"a": 1}'), "gzip") == b'{"a": 1}'
    with pytest.raises(Refused, match="at most 1048576 bytes unpacked"):
        unpacked(gzip.compress(b" " * 2_000_000), "gzip")
    with pytest.raises(Refused, match="be whole"):
        unpacked(gzip.compress(b'{"a": 1}' * 50)[:-9], "gzip")
    with pytest.raises(Refused, match="is no gzip"):
        unpacked(b"{}", "gzip")
    with pytest.raises(Refused, match="must be gzip or none"):
        unpacked(b"{}", "br")


UBI = {"user_query": "couch", "client_id": "c-1", "application": "web"}
MATCH = {"match": {"title": "couch"}}


def test_the_shoppers_words_come_from_ubi() -> None:
    body = {"query": MATCH, "size": 24, "ext": {"ubi": UBI, "other": 1}}
    asked = read(body, TEMPLATES, {})
    assert asked is not None
    assert (asked.request.user_query, asked.request.client_id, asked.request.size) == ("couch", "c-1", 24)
    assert asked.body == {"query": MATCH, "size": 24, "ext": {"other": 1}}
    assert not asked.is_templates
    assert asked.call.by_relevance
    assert not asked.call.instead
    assert without_ubi({"ext": {"ubi": UBI}, "size": 1}) == {"size": 1}
    assert beside(asked.body, {"match": {"title": "sofa"}})["query"] == {
        "bool": {"must": [MATCH], "should": [{"match": {"title": "sofa"}}]}
    }


@pytest.mark.parametrize(
    "body",
    [
        {"query": MATCH},
        {"query": MATCH, "ext": {"ubi": {"client_id": "c"}}},
        {"query": MATCH, "ext": {"ubi": {"user_query": 3}}},
        {"query": MATCH, "ext": {"ubi": {"user_query": "x" * 600}}},
        {"query": MATCH, "ext": {"ubi": [1]}},
        {"query": MATCH, "ext": 3},
        {"query": "couch", "ext": {"ubi": UBI}},
        {"ext": {"ubi": UBI}},
        {"query": MATCH, "size": -1, "ext": {"ubi": UBI}},
        {"query": MATCH, "from": "x", "ext": {"ubi": UBI}},
        {"query": MATCH, "from": "1" * 5000, "ext": {"ubi": UBI}},
        {"query": MATCH, "min_score": 2, "ext": {"ubi": UBI}},
        {"query": MATCH, "size": 0, "ext": {"ubi": UBI}},
        {"query": MATCH, "aggs": {"a": {"sampler": {}}}, "ext": {"ubi": UBI}},
        {"query": MATCH, "aggs": {"a": {"max": {"script": {"source": "_score"}}}}, "ext": {"ubi": UBI}},
    ],
)
def test_what_does_not_say_what_the_shopper_wrote_is_not_recognised(body: dict[str, Any]) -> None:
    assert read(body, TEMPLATES, {}) is None


def test_parameters_say_the_page_and_names_that_are_too_long_are_left_out() -> None:
    ubi = UBI | {"application": "x" * 200, "query_attributes": {"session_id": "s-1"}}
    asked = read({"query": MATCH, "ext": {"ubi": ubi}}, TEMPLATES, {"size": "5", "from": "10"})
    assert asked is not None
    assert (asked.size, asked.offset, asked.is_first) == (5, 10, False)
    assert (asked.request.application, asked.request.session_id) == ("", "s-1")
    later = read({"query": MATCH, "search_after": [1], "ext": {"ubi": UBI}}, TEMPLATES, {})
    assert later is not None
    assert not later.is_first


def test_the_clients_own_words_are_highlighted() -> None:
    body = beside({"query": MATCH, "highlight": {"fields": {"title": {}}}}, {"match": {"title": "sofa"}})
    assert body["highlight"]["highlight_query"] == MATCH
    told: dict[str, Any] = {"fields": {}, "highlight_query": {"match_all": {}}}
    assert beside({"query": MATCH, "highlight": told}, {})["highlight"] == told


def test_what_is_sorted_by_something_else_is_known_and_teaches_nothing() -> None:
    asked = read({"query": MATCH, "sort": [{"price": "asc"}], "ext": {"ubi": UBI}}, TEMPLATES, {})
    assert asked is not None
    assert not asked.call.by_relevance


def test_the_page_is_read_where_the_answer_tells_it() -> None:
    hits = [{"_id": "1", "_source": {"sku": "1"}}, {"_id": "2", "_source": {"sku": "B"}}]
    answer = {"hits": {"hits": hits}, "_shards": {"total": 2, "failed": 0}, "timed_out": False}
    assert objects_of(answer, "") == ("1", "2")
    assert objects_of(answer, "sku") is None  # events would name other ids
    assert objects_of({**answer, "hits": {"hits": hits[:1]}}, "sku") == ("1",)
    assert objects_of({**answer, "_shards": {"failed": 1}}, "") is None
    assert objects_of({**answer, "timed_out": True}, "") is None
    assert objects_of({**answer, "terminated_early": True}, "") is None
    assert objects_of({**answer, "_shards": {"total": 2}}, "") is None
    assert objects_of({**answer, "_shards": {"total": 0, "failed": 0}}, "") is None
    assert objects_of({"hits": {"total": 3}}, "") is None
    assert named({"ext": {"a": 1}}, "03-x") == {"ext": {"a": 1, "ubi": {"query_id": "03-x"}}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must be 1 to 100 searches"),
        (b"{}\n", "must be 1 to 100 searches"),
        (b'{}\n{"query": \n', "line 2 is no JSON object"),
        (b"{}\n[]\n", "line 2 is no JSON object"),
        (b"{}\n{}\n" * 101, "must be 1 to 100 searches"),
        (b'{}\n{"size": 6000}\n' * 2, "all sizes together"),
        (b'{}\n{"size": "6000"}\n' * 2, "all sizes together"),
        (b'{}\n{"size": 6.0e3}\n' * 2, "all sizes together"),
        (b'{}\n{"size": 9000}\n{}\n{"size": -9000}\n{}\n{"size": 9000}\n', "all sizes together"),
        (b'{}\n{"size": 1e999999999}\n', "all sizes together"),
        (b'{}\n{}\n{}\n{"size": "many"}\n', "search 2: size must be a number"),
        (b'{}\n{"size": [10]}\n', "search 1: size must be a number"),
        (b'{}\n{"size": "NaN"}\n', "search 1: size must be a number"),
        (b'{}\n{"min_score": 1e9999999999999999999}\n', "line 2 is no JSON object"),
    ],
)
def test_a_body_of_many_that_cannot_be_read_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(Refused, match=said):
        pairs_of(content, "", "shop", named=True)


def test_an_empty_line_is_an_empty_head() -> None:
    assert pairs_of(b'\n{"query": {}}\n\n', "", "shop", named=True) == [({}, {"query": {}})]


def test_a_request_names_so_many_documents_and_no_more() -> None:
    for name in ("ids", "docs"):
        assert body_of(json.dumps({name: ["1"] * 10_000}).encode(), "", "shop")
        with pytest.raises(Refused, match="at most 10000 documents"):
            body_of(json.dumps({name: ["1"] * 10_001}).encode(), "", "shop")


def test_the_shapes_of_a_shop_whose_index_is_their_default_pass() -> None:
    shape = {"query": {"geo_shape": {"where": {"indexed_shape": {"id": "1"}}}}}
    assert body_of(json.dumps(shape).encode(), "", "shapes") == shape
