"""Sends searches on: as they came, or more of their kind."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers

from agent.errors import SearchFailed
from agent.retrieval.forwarding import Answer, Forwarder
from agent.retrieval.templates.markers import Body
from agent.serve.choice import Deadline
from agent.serve.dropin.allowing import Way
from agent.serve.dropin.json import decoded, encoded
from agent.serve.dropin.reading import PAGE
from agent.serve.limits import Charge, free
from agent.serve.searches import within

OK = 200
Ask = Callable[[Sequence[Body]], Awaitable[list[Body | None]]]
"""Searches bodies and returns what each found, an error of its own included; None: it has no answer."""


SHARE = 0.5
"""Of the time left that a further round of searches may take, so that an answer without it comes in time."""


def in_share(ask: Ask, until: Deadline) -> Ask:
    """Return what searches alike within a share of the time left; what takes longer has no answer."""

    async def asked(bodies: Sequence[Body]) -> list[Body | None]:
        try:
            return await within(SHARE * until.left_s, ask(bodies))
        except SearchFailed:
            return [None] * len(bodies)

    return asked


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request as it came, unpacked."""

    method: str
    path: str
    query: str
    headers: Headers
    content: bytes
    way: Way
    charge: Charge = free

    @property
    def content_type(self) -> str:
        """What the content is said to be."""
        return self.headers.get("content-type", "")


class Sender:
    """To one OpenSearch."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder

    async def send(self, sent: Sent, content: bytes) -> Answer:
        """Send a content in place of the request's own; raises as `Forwarder.send`."""
        return await self._forwarder.send(sent.method, sent.path, sent.query, sent.headers, content)

    async def many(self, sent: Sent, pairs: Iterable[tuple[Body, Body]]) -> Answer:
        """Send heads and bodies of `_msearch`; raises as `Forwarder.send`."""
        return await self.send(sent, b"".join(encoded(one) + b"\n" for pair in pairs for one in pair))

    def like(self, sent: Sent) -> Ask:
        """Return what searches bodies by requests like a `_search` that came, but for its page."""
        return partial(self._like, sent)

    async def _like(self, sent: Sent, bodies: Sequence[Body]) -> list[Body | None]:
        params = parse_qsl(sent.query, keep_blank_values=True)
        own = replace(sent, query=urlencode([(name, value) for name, value in params if name not in PAGE]))
        return await asyncio.gather(*(self._found(own, body) for body in bodies))

    async def _found(self, sent: Sent, body: Body) -> Body | None:
        with contextlib.suppress(SearchFailed):
            answer = await self.send(sent, encoded(body))
            return decoded(answer.content) if answer.status == OK else None
        return None

    def under(self, sent: Sent, head: Body) -> Ask:
        """Return what searches bodies under the head of one search of an `_msearch` that came."""
        return partial(self._under, sent, head)

    async def _under(self, sent: Sent, head: Body, bodies: Sequence[Body]) -> list[Body | None]:
        nothing: list[Body | None] = [None] * len(bodies)
        try:
            answer = await self.many(sent, [(head, body) for body in bodies])
        except SearchFailed:
            return nothing
        responses: object = (decoded(answer.content) or {}).get("responses")
        if not isinstance(responses, list) or len(responses) != len(bodies):
            return nothing
        return responses
