"""Whatever comes in: a clear 4xx, never a 5xx, and nothing else is lost."""

import json
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serve_fakes import CLICK, NOW_MS, QUERY_ID, World

from agent.serve.edge import MAX_BODY_BYTES
from agent.serve.gateway import make_app

KINDS = ["application/json", "application/x-ndjson", "text/plain;charset=UTF-8", ""]


async def post(world: World, path: str, content: bytes, kind: str = "application/json") -> httpx.Response:
    transport = httpx.ASGITransport(app=make_app(world.parts), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        return await http.post(path, content=content, headers={"content-type": kind})


async def send(world: World, path: str, body: Any) -> httpx.Response:  # noqa: ANN401
    return await post(world, path, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"user_query": ""}, "user_query"),
        ({"user_query": " \t\n "}, "user_query"),
        ({"user_query": "\x00\x01\u200b"}, "user_query"),
        ({"user_query": "x" * 513}, "user_query"),
        ({"user_query": "x" * 1_000_00}, "user_query"),
        ({"user_query": 7}, "user_query"),
        ({"user_query": None}, "user_query"),
        ({"user_query": ["couch"]}, "user_query"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a\x00b"}, "client_id"),
        ({"client_id": "\ud800"}, "client_id"),
        ({"client_id": "x" * 129}, "client_id"),
        ({"session_id": 5}, "session_id"),
        ({"size": 0}, "size"),
        ({"size": 101}, "size"),
        ({"size": -1}, "size"),
        ({"size": "10"}, "size"),
        ({"size": 10**40}, "size"),
        ({"size": 1.5}, "size"),
        ({"offset": -1}, "offset"),
        ({"offset": 10**9}, "offset"),
        ({"purpose": "Search; drop"}, "purpose"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"deadline_s": 31}, "deadline_s"),
        ({"deadline_s": float("nan")}, "deadline_s"),
        ({"deadline_s": float("inf")}, "deadline_s"),
        ({"colour": "red"}, "colour"),
        ({"\ud800": "red"}, "body"),
    ],
)
async def test_a_search_that_is_wrong_is_refused_by_the_field_s_name(
    change: dict[str, Any], named: str
) -> None:
    answer = await send(World(), "/search", {"user_query": "couch", "client_id": "c", **change})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"] == "invalid"
    assert named in answer.json()["detail"] or named == "body"


@pytest.mark.parametrize(
    "query",
    ["x" * 512, "a\x00b\x1f", "🛋️", "\u202ecouch", "'; DROP TABLE", '{"match_all":{}}', "AND OR NOT * ~"],
)
async def test_odd_but_legal_queries_are_searched(query: str) -> None:
    answer = await send(World(), "/search", {"user_query": query, "client_id": "c"})
    assert answer.status_code == 200, answer.text
    assert "\x00" not in answer.json()["user_query"]


async def test_a_lone_surrogate_is_no_character_of_a_query() -> None:
    answer = await post(World(), "/search", b'{"user_query": "cou\\ud800ch", "client_id": "c"}')
    assert answer.status_code == 200
    assert answer.json()["user_query"] == "cou ch"


@pytest.mark.parametrize("path", ["/search", "/events", "/queries", "/rewrite"])
@pytest.mark.parametrize(
    ("content", "statuses"),
    [
        (b"", {400, 422}),
        (b"couch", {400, 422}),
        (b"{", {400, 422}),
        (b"\xff\xfe", {400, 422}),
        (b"[]", {422}),
        (b"null", {422}),
        (b'"couch"', {422}),
        (b"[" * 100_000, {400, 422}),
        (b'{"a":' * 50_000, {400, 422}),
        (b"9" * 10_000, {400, 422}),
        (b" " * 1_100_000, {413}),
    ],
)
async def test_a_body_that_is_no_request_is_refused(path: str, content: bytes, statuses: set[int]) -> None:
    answer = await post(World(), path, content)
    assert answer.status_code in statuses, answer.text
    assert answer.json()["detail"]


async def test_a_body_of_unknown_length_is_read_to_the_limit_and_no_further() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 5_000_000:
            sent += 65_536
            yield b" " * 65_536

    transport = httpx.ASGITransport(app=make_app(World().parts), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await http.post("/events", content=endless())
    assert answer.status_code == 413
    assert sent <= MAX_BODY_BYTES + 2 * 65_536


async def test_a_body_that_says_it_is_too_large_is_not_read_at_all() -> None:
    answers: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("the body was read")

    async def send_back(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    headers = [(b"content-length", b"1048577")]
    scope = {"type": "http", "method": "POST", "path": "/events", "headers": headers, "query_string": b""}
    await make_app(World().parts)(scope, receive, send_back)
    assert answers[0]["status"] == 413


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"query_id": "unknown"}, "query_id"),
        ({"query_id": ""}, "query_id"),
        ({"query_id": "99-abc"}, "query_id"),
        ({"client_id": ""}, "client_id"),
        ({"object_id": ""}, "object_id"),
        ({"object_id": "\ud800"}, "JSON"),
        ({"occurred_at_ms": NOW_MS + 301_000}, "timestamp: lies in the future"),
        ({"occurred_at_ms": NOW_MS - 172_801_000}, "timestamp: lies before"),
        ({"occurred_at_ms": -1}, "occurred_at_ms"),
        ({"occurred_at_ms": None, "timestamp": "yesterday"}, "timestamp: must be ISO 8601"),
        ({"occurred_at_ms": None, "timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp: lies before"),
        ({"occurred_at_ms": None, "timestamp": "9999-12-31T23:59:59Z"}, "timestamp: lies in the future"),
        ({"ordinal": -1}, "ordinal"),
        ({"value_minor": 1.5}, "value_minor"),
        ({"action_name": ""}, "action_name"),
        ({"action_name": 5}, "action_name"),
        ({"event_attributes": []}, "event_attributes"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_bad_event_is_named_and_the_others_of_its_batch_are_taken(
    change: dict[str, Any], reason: str
) -> None:
    world = World()
    answer = await send(
        world, "/events", {"events": [CLICK, {**CLICK, **change}, {**CLICK, "object_id": "p"}]}
    )
    if reason == "JSON":  # a lone surrogate is no JSON text at all
        assert answer.status_code == 400
        return
    assert answer.status_code == 422, answer.text
    assert answer.json()["accepted"] == 2
    (refused,) = answer.json()["refused"]
    assert refused["index"] == 1
    assert reason in refused["reason"]
    assert [event.object_id for event in world.writer.events] == ["o", "p"]


@pytest.mark.parametrize("body", [{"events": []}, {"events": [CLICK] * 1001}, {"events": 5}, [], 7])
async def test_a_batch_has_1_to_1000_events(body: object) -> None:
    world = World()
    assert (await send(world, "/events", body)).status_code == 422
    assert world.writer.events == []


async def test_unknown_fields_beside_the_events_are_refused() -> None:
    answer = await send(World(), "/events", {"events": [CLICK], "colour": 1})
    assert answer.status_code == 422
    assert "colour" in answer.json()["detail"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ["user_query", "client_id", "size", "offset", "purpose", "deadline_s", "session_id", "events"]
FIELDS += ["action_name", "query_id", "object_id", "timestamp", "event_attributes", "ordinal", "value_minor"]
GOOD = st.just({"user_query": "couch", "client_id": "c"}) | st.just(CLICK)


@pytest.mark.timeout(120)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.sampled_from(["/search", "/events", "/queries", "/rewrite"]),
    good=GOOD,
    changes=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3),
)
async def test_no_json_makes_a_server_error(path: str, good: dict[str, Any], changes: dict[str, Any]) -> None:
    answer = await send(World(), path, {**good, **changes})
    assert answer.status_code < 500, answer.text
    assert "detail" in answer.json() or answer.status_code < 300


@pytest.mark.timeout(120)
@settings(deadline=None, max_examples=100)
@given(
    path=st.sampled_from(["/search", "/events", "/queries", "/rewrite"]),
    content=st.binary(max_size=200),
    kind=st.sampled_from(KINDS),
)
async def test_no_bytes_make_a_server_error(path: str, content: bytes, kind: str) -> None:
    assert (await post(World(), path, content, kind)).status_code < 500


async def test_a_beacon_s_plain_text_is_read_as_json() -> None:
    world = World()
    answer = await post(world, "/events", json.dumps(CLICK).encode(), "text/plain;charset=UTF-8")
    assert (answer.status_code, len(world.writer.events)) == (202, 1)


DEEP = st.fixed_dictionaries(
    {"action_name": st.sampled_from(["purchase", "return", "view", "click"]), "event_attributes": JSON},
    optional=dict.fromkeys(("quantity", "value", "currency", "compensates", "object_id", "event_id"), JSON),
)


@pytest.mark.timeout(120)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(event=DEEP, inner=st.dictionaries(st.sampled_from(["object", "position", "value", "quantity"]), JSON))
async def test_no_attributes_make_a_server_error(event: dict[str, Any], inner: dict[str, Any]) -> None:
    content = {"query_id": QUERY_ID, "client_id": "c", **event}
    assert (await send(World(), "/events", content)).status_code < 500
    assert (await send(World(), "/events", {**content, "event_attributes": inner})).status_code < 500
    assert (await send(World(), "/queries", {**content, "user_query": "q", **inner})).status_code < 500
