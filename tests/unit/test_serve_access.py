"""Who is let in, and what of them goes further."""

import json

import httpx
import pytest
from serve_client import gateway
from serve_fakes import NOW_MS, QUERY_ID, SIGNER, World

from feedback.access import parse_address

KEY, OLD_KEY = "a-secret-key-of-the-server", "the-key-before-this-one"
PUBLIC = "pk-live-0001"
SHOP = "https://www.example.com"
BROWSERS = {"public_keys": [PUBLIC], "origins": [SHOP]}
AS_SERVER = {"authorization": f"Bearer {KEY}"}
CLICK = {
    "action_name": "click",
    "query_id": QUERY_ID,
    "client_id": "ann",
    "session_id": "s-1",
    "object_id": "o",
    "occurred_at_ms": NOW_MS,
}
SEARCH = {"user_query": "couch", "client_id": "ann", "session_id": "s-1"}
TOKEN = SIGNER.client_token(SIGNER.client("ann"))


async def collect(
    http: httpx.AsyncClient,
    body: object,
    key: str = PUBLIC,
    **headers: str,
) -> httpx.Response:
    return await http.post(
        "/collect", params={"key": key}, content=json.dumps(body), headers={"origin": SHOP, **headers}
    )


def network(address: str) -> str:
    return SIGNER.network(parse_address(address), NOW_MS)


@pytest.mark.parametrize("path", ["/search", "/rewrite", "/events", "/queries", "/nowhere", "//search"])
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {PUBLIC}"]
)
async def test_without_a_secret_key_nothing_but_the_open_paths_is_reached(
    path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    async with gateway(World(access={"server_keys": [KEY], **BROWSERS})) as http:
        answer = await http.post(path, content=b"{", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "access.server_keys" in answer.json()["detail"]
    assert KEY not in answer.text


@pytest.mark.parametrize("authorization", [f"Bearer {KEY}", f"bearer  {KEY} ", f"Bearer {OLD_KEY}"])
async def test_each_of_the_secret_keys_opens(authorization: str) -> None:
    headers = {"authorization": authorization}
    async with gateway(World(access={"server_keys": [KEY, OLD_KEY]})) as http:
        assert (await http.post("/search", json=SEARCH, headers=headers)).status_code == 200
        assert (await http.post("/events", json=CLICK, headers=headers)).status_code == 202
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz?needs=opensearch")).status_code == 200


async def test_where_no_secret_key_is_set_everybody_may_search_and_send() -> None:
    async with gateway(World()) as http:
        assert (await http.post("/search", json=SEARCH)).status_code == 200
        assert (await http.post("/events", json=CLICK)).status_code == 202


async def test_what_a_search_leaves_is_under_pseudonyms() -> None:
    world = World()
    async with gateway(world) as http:
        page = (await http.post("/search", json=SEARCH)).json()
    (shown,) = world.writer.impressions
    assert (shown.client_id, shown.session_id) == (SIGNER.client("ann"), SIGNER.session("s-1"))
    assert SIGNER.signed(page["query_id"])
    assert page["query_id"] == shown.query_id
    assert page["client_token"] == TOKEN


async def test_a_search_by_client_token_is_the_same_client_s() -> None:
    world = World()
    async with gateway(world) as http:
        page = (await http.post("/search", json={**SEARCH, "client_id": TOKEN})).json()
    assert page["client_token"] == TOKEN
    assert [shown.client_id for shown in world.writer.impressions] == [SIGNER.client("ann")]


async def test_a_server_s_events_are_under_pseudonyms_and_a_token_stands_for_its_client() -> None:
    world = World()
    async with gateway(world) as http:
        for client_id in ("ann", TOKEN):
            assert (await http.post("/events", json={**CLICK, "client_id": client_id})).status_code == 202
    one, other = world.writer.events
    assert one == other  # the derived event_id too: nothing of it tells the raw id
    assert (one.client_id, one.session_id) == (SIGNER.client("ann"), SIGNER.session("s-1"))


@pytest.mark.parametrize(
    "query_id",
    [QUERY_ID[:-1], QUERY_ID[:-1] + ("1" if QUERY_ID[-1] == "0" else "0"), QUERY_ID[:27], "é-é"],
    ids=["cut", "another mac", "no mac", "no token"],
)
@pytest.mark.parametrize("path", ["/events", "/collect"])
async def test_a_page_that_was_never_shown_teaches_nothing(path: str, query_id: str) -> None:
    world = World(access=BROWSERS)
    async with gateway(world) as http:
        answer = await http.post(
            path, params={"key": PUBLIC}, json={**CLICK, "query_id": query_id}, headers={"origin": SHOP}
        )
    assert answer.status_code == 422
    assert "query_id: must be one that /search or /rewrite returned" in answer.json()["detail"]
    assert world.writer.events == []


async def test_a_shopper_s_address_is_heard_from_a_server_with_a_key_alone() -> None:
    told = {"X-Unseen-Client-Address": "198.51.100.9"}
    for access, headers, expected in (
        ({"server_keys": [KEY]}, {**AS_SERVER, **told}, network("198.51.100.1")),
        ({"server_keys": [KEY]}, AS_SERVER, ""),
        ({}, told, ""),
        ({"server_keys": [KEY]}, {**AS_SERVER, "X-Forwarded-For": "198.51.100.9"}, ""),
    ):
        world = World(access=access)
        async with gateway(world) as http:
            assert (await http.post("/search", json=SEARCH, headers=headers)).status_code == 200
            assert (await http.post("/events", json=CLICK, headers=headers)).status_code == 202
        assert [shown.network for shown in world.writer.impressions] == [expected]
        assert [event.network for event in world.writer.events] == [expected]


@pytest.mark.parametrize("path", ["/search", "/events"])
async def test_an_address_that_is_none_is_refused_by_the_header_s_name(path: str) -> None:
    world = World(access={"server_keys": [KEY]})
    headers = {**AS_SERVER, "X-Unseen-Client-Address": "here"}
    async with gateway(world) as http:
        answer = await http.post(path, json=SEARCH if path == "/search" else CLICK, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
    assert answer.json()["detail"] == "X-Unseen-Client-Address: must be an IP address"


async def test_without_public_keys_the_browsers_intake_is_off_and_says_what_to_set() -> None:
    async with gateway(World(access={"server_keys": [KEY]})) as http:
        answer = await collect(http, CLICK)
    assert answer.status_code == 404
    assert "access.public_keys" in answer.json()["detail"]


async def test_a_browser_needs_a_public_key_and_a_page_of_the_shop_s() -> None:
    world = World(access=BROWSERS)
    async with gateway(world) as http:
        assert (await collect(http, CLICK, key="pk-live-0002")).status_code == 401
        assert (await collect(http, CLICK, key="")).status_code == 401
        assert (await collect(http, CLICK, key=KEY)).status_code == 401
        for origin in (
            "https://evil.example",
            "https://www.example.com.evil.example",
            "null",
            "",
            f"{SHOP}/",
        ):
            assert (await collect(http, CLICK, origin=origin)).status_code == 403
        assert world.writer.events == []
        header = {"origin": SHOP, "X-Unseen-Key": PUBLIC}
        assert (await http.post("/collect", json=CLICK, headers=header)).status_code == 204


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/json"])
async def test_a_browser_s_events_are_taken_without_a_word(content_type: str) -> None:
    world = World(access={"server_keys": [KEY], **BROWSERS})
    async with gateway(world) as http:
        answer = await collect(http, {**CLICK, "client_id": TOKEN}, **{"content-type": content_type})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == SHOP
    (event,) = world.writer.events
    assert (event.client_id, event.session_id) == (SIGNER.client("ann"), SIGNER.session("s-1"))
    assert event.network == network("192.0.2.1")


async def preflight(http: httpx.AsyncClient, path: str, origin: str) -> httpx.Response:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    return await http.options(path, headers={"origin": origin, **asks})


async def test_preflights_are_answered_for_the_shop_s_pages_and_the_browsers_route_alone() -> None:
    async with gateway(World(access=BROWSERS)) as http:
        answer = await preflight(http, "/collect", SHOP)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert answer.headers["access-control-allow-methods"] == "POST"
        assert answer.headers["access-control-allow-credentials"] == "true"
        stranger = await preflight(http, "/collect", "https://evil.example")
        assert stranger.status_code == 400
        assert "access-control-allow-origin" not in stranger.headers
        for path in ("/search", "/events", "/rewrite"):
            assert "access-control-allow-origin" not in (await preflight(http, path, SHOP)).headers


async def test_errors_of_the_browsers_intake_can_be_read_by_the_shop_s_pages() -> None:
    async with gateway(World(access=BROWSERS)) as http:
        answer = await collect(http, {**CLICK, "client_id": TOKEN, "object_id": ""})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (422, SHOP)
        assert "object_id" in answer.json()["detail"]
        assert (await collect(http, CLICK, key="wrong-key")).headers["access-control-allow-origin"] == SHOP


@pytest.mark.parametrize("action", ["purchase"])
async def test_money_is_a_server_s_word_unless_a_setting_says_otherwise(action: str) -> None:
    event = {**CLICK, "client_id": TOKEN, "action_name": action}
    world = World(access=BROWSERS)
    async with gateway(world) as http:
        answer = await collect(http, event)
    assert answer.status_code == 422
    assert "action_name: purchase is not taken from browsers" in answer.json()["detail"]
    assert world.writer.events == []
    world = World(access={**BROWSERS, "browser_actions": ["click", "purchase"]})
    async with gateway(world) as http:
        assert (await collect(http, event)).status_code == 204


async def test_a_browser_cannot_use_up_the_event_id_of_another_client_or_of_the_server() -> None:
    world = World(access=BROWSERS)
    bob = SIGNER.client_token(SIGNER.client("bob"))
    async with gateway(world) as http:
        for client_id in (TOKEN, TOKEN, bob):
            sent = {**CLICK, "client_id": client_id, "event_id": "order-1"}
            assert (await collect(http, sent)).status_code == 204
        assert (await http.post("/events", json={**CLICK, "event_id": "order-1"})).status_code == 202
    first, again, other, server = (event.event_id for event in world.writer.events)
    assert first == again
    assert len({first, other, server}) == 3
    assert server == "order-1"


@pytest.mark.parametrize("client_id", ["ann", "", f"{SIGNER.client('ann')}.{'0' * 20}", SIGNER.client("ann")])
async def test_who_cannot_prove_a_client_id_is_anonymous_and_one_with_their_network(client_id: str) -> None:
    world = World(access=BROWSERS)
    async with gateway(world, peer="198.51.100.3") as http:
        assert (await collect(http, {**CLICK, "client_id": client_id})).status_code == 204
    (event,) = world.writer.events
    assert event.client_id == SIGNER.anonymous(network("198.51.100.200"))
    assert event.client_id != SIGNER.client("ann")
    assert event.anonymous


async def test_who_proves_a_client_id_and_a_server_s_clients_are_not_anonymous() -> None:
    world = World(access=BROWSERS)
    async with gateway(world) as http:
        assert (await collect(http, {**CLICK, "client_id": TOKEN})).status_code == 204
        assert (await http.post("/events", json=CLICK)).status_code == 202
        forged = await collect(http, {**CLICK, "client_id": TOKEN, "anonymous": True})
    assert [event.anonymous for event in world.writer.events] == [False, False]
    assert forged.status_code == 422


async def test_too_many_anonymous_events_of_a_network_are_refused_until_some_time_is_over() -> None:
    world = World(access={**BROWSERS, "anonymous_per_minute": 2, "trusted_proxies": ["10.0.0.0/8"]})
    async with gateway(world, peer="10.0.0.1") as http:
        events = [{**CLICK, "object_id": f"o{i}"} for i in range(3)]
        answer = await collect(http, {"events": events}, **{"X-Forwarded-For": "203.0.113.9, 192.0.2.7"})
        assert (answer.status_code, answer.json()["error"]) == (429, "too_many")
        assert answer.json()["accepted"] == 2
        assert answer.json()["refused"] == [
            {"index": 2, "reason": "client_id: too many events without a client_token from this network"}
        ]
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        invented = {"X-Forwarded-For": "198.51.100.1, 192.0.2.9"}
        assert (await collect(http, CLICK, **invented)).status_code == 429
        assert (await collect(http, CLICK, **{"X-Forwarded-For": "192.0.3.7"})).status_code == 204
        assert (await collect(http, {**CLICK, "client_id": TOKEN}, **invented)).status_code == 204
    assert len(world.writer.events) == 4


async def test_where_anonymous_events_are_not_wanted_each_needs_a_client_token() -> None:
    async with gateway(World(access={**BROWSERS, "anonymous_per_minute": 0})) as http:
        answer = await collect(http, CLICK)
        assert answer.status_code == 422
        assert "client_id: must be the client_token" in answer.json()["detail"]
        assert (await collect(http, {**CLICK, "client_id": TOKEN})).status_code == 204


async def test_a_browser_is_told_to_come_again_when_the_stream_is_away() -> None:
    world = World(access=BROWSERS)
    world.writer.fails = True
    async with gateway(world) as http:
        answer = await collect(http, {**CLICK, "client_id": TOKEN})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
