"""A way to a server that can be made bad: slow, hung, refused, or answered by somebody else.

Guarantees that the port stays the same and that whatever was made bad holds for the connections that are
open already. Runs on an event loop of its own, in a thread.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from agent.ports import LOOPBACK, free_port

CHUNK = 65_536


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to a request; without anything it passes."""

    delay_s: float = 0.0
    """Before each part of it goes on."""
    hangs: bool = False
    """It goes no further until the fault is over."""
    answer: bytes = b""
    """In place of the server's; HTTP."""


def http_answer(status: int, value: object, headers: Mapping[str, str] | None = None) -> bytes:
    """Return an HTTP answer that closes its connection."""
    body = json.dumps(value).encode()
    said = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **(headers or {}),
    }
    head = [f"HTTP/1.1 {status} Fault", *(f"{name}: {value}" for name, value in said.items()), "", ""]
    return "\r\n".join(head).encode() + body


class FaultyProxy:
    """Stands before one server, by TCP."""

    def __init__(self, port: int) -> None:
        """Take the port of a server on this machine."""
        self._to = port
        self._fault = Fault()
        self._over = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = free_port()

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def passes(self) -> None:
        """Be a good way again."""
        self._do(self._set(Fault()))

    def breaks(self, fault: Fault) -> None:
        """Do this to every request from now on."""
        self._do(self._set(fault))

    def refuses(self) -> None:
        """Take no connection and drop those that are open."""
        self._do(self._shut())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _set(self, fault: Fault) -> None:
        self._over.set()
        self._over, self._fault = asyncio.Event(), fault
        if self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _close(self) -> None:
        await self._shut()
        others = asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._joined(reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._answers():
            await self._answered(await reader.read(CHUNK), reader, writer)
            return
        back, there = await asyncio.open_connection(LOOPBACK, self._to)
        answers = asyncio.ensure_future(_copy(back, writer))
        try:
            while chunk := await reader.read(CHUNK):
                if self._answers():
                    await self._answered(chunk, reader, writer)
                    return
                await self._held()
                there.write(chunk)
                await there.drain()
        finally:
            answers.cancel()
            there.close()

    def _answers(self) -> bool:
        return bool(self._fault.answer)

    async def _held(self) -> None:
        """Wait as long as the fault says."""
        if self._fault.hangs:
            await self._over.wait()
        elif self._fault.delay_s:
            await asyncio.sleep(self._fault.delay_s)

    async def _answered(
        self, begun: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Read a request to its end and answer it."""
        while begun and b"\r\n\r\n" not in begun:
            begun += await reader.readuntil(b"\r\n\r\n")
        head, _, body = begun.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        await reader.readexactly(max(0, length - len(body)))
        writer.write(self._fault.answer)
        await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()
