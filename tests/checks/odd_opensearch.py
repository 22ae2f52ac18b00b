"""A server of a few lines that misbehaves to order, in OpenSearch's place."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

PAGE: dict[str, Any] = {
    "took": 3,
    "_shards": {"failed": 0},
    "hits": {"total": {"value": 1}, "hits": [{"_id": "a", "_score": 1.5, "_source": {"title": "A"}}]},
}
Answer = Callable[[int, bytes], tuple[int, object] | None]


@asynccontextmanager
async def odd_opensearch(
    answer: Answer, *, held: asyncio.Event | None = None, asked: asyncio.Semaphore | None = None
) -> AsyncIterator[str]:
    """Give the URL of a server that answers the n-th request by its body, or hangs up on None.

    ``held``: not before it is set; ``asked`` is released by each request.
    """
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0
        )
        body = await reader.readexactly(length)
        requests += 1
        if asked is not None:
            asked.release()
        if held is not None:
            await held.wait()
        if (reply := answer(requests, body)) is not None:
            status, value = reply
            text = json.dumps(value).encode()
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n".encode()
            writer.write(head + f"content-length: {len(text)}\r\n\r\n".encode() + text)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def pages_for(body: bytes) -> dict[str, Any]:
    """Return an answer to an msearch: the page for each of its searches."""
    return {"responses": [PAGE] * (body.count(b"\n") // 2)}
