"""Whatever comes in over HTTP, and whatever is away: no 5xx but an honest 503, no refusal without reason."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from serve_fakes import NOW_MS, QUERY_ID, SIGNER, World

from agent.serve.gateway import make_app

SHOP, PUBLIC, KEY = "https://www.example.com", "pk-live-0001", "a-secret-key-of-the-server"
ACCESS = {
    "server_keys": [KEY],
    "public_keys": [PUBLIC],
    "origins": [SHOP],
    "trusted_proxies": ["127.0.0.0/8"],
    "anonymous_per_minute": 3,
}
EVENT = {
    "action_name": "click",
    "query_id": QUERY_ID,
    "client_id": SIGNER.client_token(SIGNER.client("ann")),
    "session_id": "s",
    "object_id": "o",
    "ordinal": 1,
    "occurred_at_ms": NOW_MS,
    "event_attributes": {"object": {"object_id": "o"}, "position": {"ordinal": 1}},
}
SEARCH = {"user_query": "couch", "client_id": "ann", "session_id": "s", "size": 10, "offset": 0}
PATHS = {"/search": SEARCH, "/events": EVENT, "/collect": EVENT}
HEADERS = {"authorization": f"Bearer {KEY}".encode(), "origin": SHOP.encode()}
REFUSED = {400, 401, 403, 404, 413, 422, 429}
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=10,
)
CHECKED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
AWAY = st.sampled_from(["nothing", "stream", "opensearch"])
PATH = st.sampled_from(sorted(PATHS))


async def post(
    path: str, content: bytes, away: str, headers: Mapping[str, bytes] | None = None
) -> httpx.Response:
    world = World(access=ACCESS)
    world.writer.fails, world.catalogue.fails = away == "stream", away == "opensearch"
    transport = httpx.ASGITransport(app=make_app(world.parts))  # an unhandled exception is raised here
    sent = httpx.Headers([(name.encode(), value) for name, value in {**HEADERS, **(headers or {})}.items()])
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        return await http.post(path, params={"key": PUBLIC}, content=content, headers=sent)


def check(answer: httpx.Response, away: str) -> None:
    """Hold an answer against what is promised."""
    taken, status = answer.status_code in {200, 202, 204}, answer.status_code
    assert taken or status in REFUSED or (status == 503 and away != "nothing"), answer.text
    if not taken:
        assert answer.json()["detail"]
        assert answer.json()["error"]
    if status in {429, 503}:
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.timeout(120)
@CHECKED
@given(path=PATH, content=st.binary(max_size=300), away=AWAY)
@example(path="/collect", content=b"", away="nothing")
@example(path="/search", content=b'{"user_query": "\\ud800", "client_id": "c"}', away="nothing")
async def test_arbitrary_bytes(path: str, content: bytes, away: str) -> None:
    check(await post(path, content, away), away)


@pytest.mark.timeout(120)
@CHECKED
@given(path=PATH, content=JSON, away=AWAY, batch=st.booleans())
async def test_arbitrary_json(path: str, content: Any, away: str, *, batch: bool) -> None:  # noqa: ANN401
    body = {"events": content} if batch else content
    check(await post(path, json.dumps(body).encode(), away), away)


def mutated(draw: Callable[..., Any], valid: dict[str, Any]) -> dict[str, Any]:
    """Return the request with some fields changed, removed or added."""
    content = dict(valid)
    for name in draw(st.lists(st.sampled_from([*valid, "extra"]), max_size=3)):
        change = draw(st.sampled_from(["drop", "any", "text", "bend"]))
        if change == "drop":
            content.pop(name, None)
        elif change == "bend" and isinstance(content.get(name), str):
            at, put = draw(st.integers(0, len(content[name]))), draw(ANY_TEXT)
            content[name] = content[name][:at] + put + content[name][at + 1 :]
        else:
            content[name] = draw(JSON if change == "any" else ANY_TEXT)
    return content


@st.composite
def mutations(draw: Callable[..., Any]) -> tuple[str, bytes]:
    path = draw(PATH)
    one = mutated(draw, PATHS[path])
    body = {"events": [one, PATHS[path]]} if path != "/search" and draw(st.booleans()) else one
    content = json.dumps(body).encode()
    if draw(st.integers(0, 4)) == 0:  # cut or spoil what was JSON
        at = draw(st.integers(0, len(content) - 1))
        content = content[:at] + draw(st.binary(max_size=3)) + content[at + draw(st.integers(0, 3)) :]
    return path, content


@pytest.mark.timeout(180)
@settings(CHECKED, max_examples=150)
@given(asked=mutations(), away=AWAY)
async def test_valid_requests_mutated(asked: tuple[str, bytes], away: str) -> None:
    check(await post(*asked, away), away)


HEADER_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60).map(str.strip)


@pytest.mark.timeout(120)
@CHECKED
@given(
    path=PATH,
    name=st.sampled_from(
        [
            "authorization",
            "origin",
            "x-forwarded-for",
            "x-unseen-client-address",
            "content-type",
            "x-unseen-key",
        ]
    ),
    value=HEADER_TEXT | st.ip_addresses().map(str),
)
@example(path="/search", name="x-unseen-client-address", value="fe80::1%eth0")
@example(path="/collect", name="x-forwarded-for", value="1.2.3.4, ,::ffff:0:0")
async def test_arbitrary_headers(path: str, name: str, value: str) -> None:
    content = json.dumps(PATHS[path]).encode()
    answer = await post(path, content, "nothing", {name: value.encode("latin-1")})
    check(answer, "nothing")


@pytest.mark.parametrize("number", [math.nan, math.inf, 10**400, -(10**400), 1e308])
@pytest.mark.parametrize("field", ["ordinal", "occurred_at_ms", "value_minor"])
async def test_numbers_that_are_none(field: str, number: float) -> None:
    content = json.dumps({**EVENT, field: number}).encode()
    for path in ("/events", "/collect"):
        answer = await post(path, content, "nothing")
        check(answer, "nothing")
        assert answer.status_code in {400, 422}
