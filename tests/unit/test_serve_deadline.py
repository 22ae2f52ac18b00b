"""A request's own deadline, in its body or in a header: the smaller counts, and nonsense is refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest
from serve_client import gateway
from serve_fakes import World
from starlette.datastructures import Headers
from typing_extensions import override

from agent.errors import Refused
from agent.retrieval.forwarding import Forwarder
from agent.serve.asking import Answer, LiveRewrites, RewriteAsk
from agent.serve.deadline_header import DEADLINE_HEADER, wait_s
from agent.serve.gateway import Parts

SEARCH = {"user_query": "couch", "client_id": "c1"}
UBI = {"query": {"match": {"title": "couch"}}, "ext": {"ubi": {"user_query": "couch", "client_id": "c1"}}}
FOUND = {"took": 1, "timed_out": False, "_shards": {"total": 1, "failed": 0}, "hits": {"hits": []}}
NONSENSE = ["", "0", "-5", "1.5", "1e3", "30001", "99999999999999999999", "soon", "150 ms", "٣"]
REFUSAL = f"{DEADLINE_HEADER}: must be a whole number of milliseconds from 1 to 30000"


def headers(*values: str) -> Headers:
    return Headers(raw=[(DEADLINE_HEADER.lower().encode(), value.encode()) for value in values])


@pytest.mark.parametrize(
    ("values", "own_s", "expected"),
    [
        ([], None, None),
        ([], 0.3, 0.3),
        (["150"], None, 0.15),
        (["150"], 0.3, 0.15),
        (["300"], 0.15, 0.15),
        (["200", "100"], 0.3, 0.1),
        (["1"], None, 0.001),
        (["30000"], None, 30.0),
    ],
)
def test_the_smallest_counts(values: Sequence[str], own_s: float | None, expected: float | None) -> None:
    assert wait_s(headers(*values), own_s) == expected


@pytest.mark.parametrize("value", NONSENSE)
def test_what_is_no_number_of_milliseconds_is_refused_by_the_header_s_name(value: str) -> None:
    with pytest.raises(Refused, match=DEADLINE_HEADER):
        wait_s(headers("100", value), 0.3)


class Forwarding(World):
    """With an OpenSearch behind it that finds nothing, and that keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[httpx.Request] = []

    @property
    @override
    def parts(self) -> Parts:
        transport = httpx.MockTransport(self._found)
        return replace(super().parts, forwarder=Forwarder(self.settings.opensearch, transport))

    def _found(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        many = {"took": 1, "responses": [FOUND]}
        return httpx.Response(200, json=many if request.url.path.endswith("_msearch") else FOUND)


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the model was waited for, at most."""
    most_s: list[float] = []

    async def within(_: LiveRewrites, __: RewriteAsk, timeout_s: float) -> Answer:
        most_s.append(timeout_s)
        return Answer(why="deadline")

    monkeypatch.setattr(LiveRewrites, "within", within)
    return most_s


def body_of(path: str, index: str) -> bytes:
    if path == "_search":
        return json.dumps(UBI).encode()
    if path == "_msearch":
        return b"\n".join(json.dumps(line).encode() for line in ({"index": index}, UBI)) + b"\n"
    return json.dumps(SEARCH).encode()


async def posted(world: World, path: str, value: str) -> httpx.Response:
    index = world.settings.opensearch.index
    place = f"/{index}/{path}" if path.startswith("_") else path
    kind = {"content-type": "application/json", DEADLINE_HEADER: value}
    async with gateway(world) as http:
        return await http.post(place, content=body_of(path, index), headers=kind)


@pytest.mark.parametrize("path", ["/search", "/rewrite", "_search", "_msearch"])
async def test_each_route_that_rewrites_hears_the_header(path: str, waited: list[float]) -> None:
    world = Forwarding()
    answer = await posted(world, path, "20000")
    assert answer.status_code == 200, answer.text
    assert [19 < one <= 20 for one in waited] == [True]  # beyond the shop's own 50 ms
    assert not [one for one in world.sent if DEADLINE_HEADER in one.headers]


@pytest.mark.parametrize("path", ["/search", "/rewrite", "_search", "_msearch"])
async def test_each_refuses_nonsense_in_its_own_words(path: str, waited: list[float]) -> None:
    answer = await posted(Forwarding(), path, "soon")
    told: dict[str, Any] = answer.json()
    if path.startswith("_"):
        assert answer.status_code == 400
        assert (told["error"]["type"], told["error"]["reason"]) == ("illegal_argument_exception", REFUSAL)
    else:
        assert answer.status_code == 422
        assert told == {"error": "invalid", "detail": REFUSAL}
    assert waited == []


@pytest.mark.parametrize("deadline_s", [10.0, 25.0])
async def test_of_body_and_header_the_smaller_counts(deadline_s: float, waited: list[float]) -> None:
    async with gateway(World()) as http:
        body = {**SEARCH, "deadline_s": deadline_s}
        assert (await http.post("/search", json=body, headers={DEADLINE_HEADER: "15000"})).status_code == 200
    assert [min(deadline_s, 15.0) - 1 < one <= min(deadline_s, 15.0) for one in waited] == [True]
