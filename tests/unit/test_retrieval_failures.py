"""Against a server of a few lines that misbehaves to order."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from agent.errors import SearchFailed
from agent.policy.plan import Plan
from agent.retrieval import Catalogue
from agent.sections import OpenSearchSettings

PAGE = {
    "took": 3,
    "_shards": {"failed": 0},
    "hits": {"total": {"value": 1}, "hits": [{"_id": "a", "_score": 1.5, "_source": {"title": "A"}}]},
}
RAW = Plan(user_query="x")


@asynccontextmanager
async def catalogue_of(answer: Callable[[int], tuple[int, object] | None]) -> AsyncIterator[Catalogue]:
    """A server that answers the n-th request with a status and a body, or hangs up on None."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0
        )
        await reader.readexactly(length)
        requests += 1
        if (reply := answer(requests)) is not None:
            status, value = reply
            text = json.dumps(value).encode()
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n".encode()
            writer.write(head + f"content-length: {len(text)}\r\n\r\n".encode() + text)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Catalogue(OpenSearchSettings(url=url)) as catalogue:
        yield catalogue


async def test_a_connection_that_the_server_closed_while_idle_is_tried_again() -> None:
    async with catalogue_of(lambda n: None if n == 2 else (200, PAGE)) as catalogue:
        for _ in range(2):
            results = await catalogue.search(RAW)
            assert (results.object_ids, results.scores, results.took_ms) == (("a",), (1.5,), 3)


async def test_a_server_that_always_hangs_up_is_a_failed_search() -> None:
    async with catalogue_of(lambda _: None) as catalogue:
        with pytest.raises(SearchFailed):
            await catalogue.search(RAW)


async def test_an_answer_for_a_part_of_the_shards_is_no_answer() -> None:
    async with catalogue_of(lambda _: (200, {**PAGE, "_shards": {"failed": 1}})) as catalogue:
        with pytest.raises(SearchFailed, match="part of its shards"):
            await catalogue.search(RAW)


async def test_one_failed_item_of_many_fails_them_all() -> None:
    items = {"responses": [PAGE, {"error": {"reason": "broken"}, "status": 500}]}
    async with catalogue_of(lambda _: (200, items)) as catalogue:
        with pytest.raises(SearchFailed, match="broken"):
            await catalogue.msearch([RAW, RAW], purpose="verify")


@pytest.mark.parametrize("inside", [False, True])
async def test_a_refusal_slows_the_background_down_and_not_the_shoppers(*, inside: bool) -> None:
    refused = {"error": {"reason": "queue full"}, "status": 429}
    reply = (200, {"responses": [refused]}) if inside else (429, refused)
    async with catalogue_of(lambda _: reply) as catalogue:
        with pytest.raises(SearchFailed):
            await catalogue.msearch([RAW], purpose="verify")
        assert catalogue.limiter.limit == 1
        with pytest.raises(SearchFailed):
            await catalogue.search(RAW)
        assert catalogue.limiter.limit == 1
