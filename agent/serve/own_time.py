"""How long the gateway itself worked for a search: all of it but what it waited for.

Counted are reading the request, the choice with its reads of Redis, rendering the shop's query and its JSON,
reading OpenSearch's JSON, merging, the impression and writing the answer. Not counted are the wait for the
request's body, for the answers of the model, and for OpenSearch, with the HTTP client's part of that. What is
done while a search of the same request is under way is not seen.
"""

import time

from agent.serve.edge import Asgi, Message, Receive, Send, without_root
from agent.serve.metrics import STAGE_SECONDS
from agent.waiting import counted_waits, waiting

SEARCH = "/search"


class OwnTime:
    """ASGI middleware, before all others."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on and time it."""
        if scope["type"] != "http" or without_root(scope["path"], scope) != SEARCH:
            await self._app(scope, receive, send)
            return

        async def received() -> Message:
            with waiting():
                return await receive()

        began_s = time.monotonic()
        with counted_waits() as waits:
            try:
                await self._app(scope, received, send)
            finally:
                own_s = time.monotonic() - began_s - waits.total_s
                STAGE_SECONDS.labels(stage="own").observe(own_s)
