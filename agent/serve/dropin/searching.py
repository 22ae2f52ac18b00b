"""Searches of OpenSearch's own clients: recognised, rewritten, sent on.

Guarantees that what is not recognised goes through as it came, but for UBI's part where its plugin is absent,
that a search that is not rewritten is the client's own, and that where OpenSearch refuses a rewritten search
the client's own is sent. Where an answer takes several searches and any of them fails or hangs, it is that of
the rewritten one alone, within OpenSearch's time-out.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.retrieval.forwarding import Answer, Forwarder
from agent.retrieval.templates import Templates
from agent.retrieval.templates.markers import Body
from agent.sections import OpenSearchSettings
from agent.serve.callers import Caller, Callers
from agent.serve.choice import Asked as Choosing
from agent.serve.choice import Chosen, Deadline
from agent.serve.dropin.allowing import body_of, is_plain, pairs_of
from agent.serve.dropin.answering import named, objects_of
from agent.serve.dropin.asking import OK, Ask, Sender, Sent, in_share
from agent.serve.dropin.json import decoded, encoded
from agent.serve.dropin.parts import Compared, Draft, Later, Page, Part, Search, Whole
from agent.serve.dropin.plugin import UbiPlugin, marked
from agent.serve.dropin.reading import MOST_PAGE, Asked, read
from agent.serve.schemas import RewriteRequest
from agent.serve.searches import within
from agent.serve.searching import Searcher
from feedback.records import Pinned

REFUSED = 400
JSON = {"content-type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A search that was decided."""

    asked: Asked
    request: RewriteRequest
    """Under pseudonyms."""
    choosing: Choosing
    chosen: Chosen
    caller: Caller
    body: Body
    """To be searched."""
    ubi: Mapping[str, Any] | None = None
    """What UBI's plugin is to record; None: nothing."""
    part: Part | None = None
    """Whose body that is, where a template makes it."""
    whole: Whole | None = None
    """What is to be sent in its place: the answer takes several searches."""

    @property
    def is_rewritten(self) -> bool:
        """Whether it is not the client's own search."""
        return not self.chosen.plan.is_raw

    @property
    def sent(self) -> Body:
        """What OpenSearch is to get."""
        return marked(self.body, self.ubi)


@dataclass(kw_only=True)
class Item:
    """One of many searches of a request."""

    head: Body
    body: Body
    """The client's own."""
    ready: Ready | None
    """None: it is not recognised."""

    @property
    def sent(self) -> Body:
        """What OpenSearch is to get."""
        return self.ready.sent if self.ready else self.body


class DropIn:
    """One gateway's."""

    def __init__(
        self,
        searcher: Searcher,
        forwarder: Forwarder,
        templates: Templates,
        callers: Callers,
        settings: OpenSearchSettings,
        plugin: UbiPlugin,
    ) -> None:
        self._plugin = plugin
        self._searcher = searcher
        self._sender = Sender(forwarder)
        self._templates = templates
        self._callers = callers
        self._index = settings.index
        self._limit_s = settings.timeout_s

    async def answer(self, sent: Sent) -> Answer:
        """Answer an allowed request.

        Raises:
            Refused: its body is not forwarded.
            SearchFailed: OpenSearch gave no answer.
        """
        if sent.way.kind == "_msearch":
            return await self._msearch(sent)
        body = body_of(sent.content, sent.content_type, self._index)
        if sent.way.kind == "_search":
            return await self._search(sent, body)
        read = encoded(body) if body is not None else b""  # as it was looked at
        return await self._sender.send(sent, read)

    async def _search(self, sent: Sent, body: Body | None) -> Answer:
        ready = await self._ready(sent, body) if body is not None else None
        if body is None or ready is None:
            return await self._pass(sent, body)
        return await within(self._limit_s, self._searched(sent, ready))

    async def _searched(self, sent: Sent, ready: Ready) -> Answer:
        like = in_share(self._sender.like(sent), Deadline.after(self._limit_s))
        if (page := await self._whole(ready, like)) is not None:
            content = encoded(self._taken(ready, page))
            return Answer(status=OK, headers=JSON, content=content)
        answer = await self._sender.send(sent, encoded(ready.sent))
        if answer.status == REFUSED and ready.is_rewritten:
            ready = self._own(ready)
            answer = await self._sender.send(sent, encoded(ready.sent))
        found = decoded(answer.content) if answer.status == OK else None
        if found is None:
            self._searcher.record(ready.request, ready.choosing, ready.chosen, ready.caller, None)
            return answer
        found = await _enough(ready.part, found, like)
        return replace(answer, content=encoded(self._taken(ready, Page(answer=found))))

    async def _pass(self, sent: Sent, body: Body | None) -> Answer:
        """Send a search on that is not recognised."""
        self._searcher.unrecognised()
        own = body if body is None else self._plugin.own(body)
        return await self._sender.send(sent, sent.content if own is body or own is None else encoded(own))

    async def _msearch(self, sent: Sent) -> Answer:
        pairs = pairs_of(sent.content, sent.content_type, self._index, named=sent.path != "/_msearch")
        sent.charge(len(pairs))
        ready = await self._all_ready(sent, [body for _, body in pairs])
        for one in ready:
            if one is None:
                self._searcher.unrecognised()
        both = [(head, body, self._plugin.own(body)) for head, body in pairs]
        if not any(ready) and all(own is body for _, body, own in both):
            return await self._sender.send(sent, sent.content)
        items = [
            Item(head=head, body=own, ready=one) for (head, _, own), one in zip(both, ready, strict=True)
        ]
        return await within(self._limit_s, self._all_searched(sent, items))

    async def _all_ready(self, sent: Sent, bodies: Sequence[Body]) -> list[Ready | None]:
        """Decide further pages after the first ones, which they may follow."""
        found: dict[int, Ready | None] = {}
        for later in (False, True):
            places = [place for place, body in enumerate(bodies) if _begins_later(body) is later]
            ready = await asyncio.gather(*(self._ready(sent, bodies[place]) for place in places))
            found |= zip(places, ready, strict=True)
        return [found[place] for place in range(len(bodies))]

    async def _all_searched(self, sent: Sent, items: Sequence[Item]) -> Answer:
        until = Deadline.after(self._limit_s)
        asks = [in_share(self._sender.under(sent, one.head), until) for one in items]
        wholes = await asyncio.gather(
            *(self._whole(one.ready, ask) for one, ask in zip(items, asks, strict=True))
        )
        left = [(one, ask) for one, ask, whole in zip(items, asks, wholes, strict=True) if whole is None]
        answer = await self._others(sent, [one for one, _ in left])
        found = decoded(answer.content) if answer.status == OK else None
        responses = found.get("responses") if found else None
        if found is None or not isinstance(responses, list) or len(responses) != len(left):
            return answer
        searched = zip(left, responses, strict=True)
        told = iter(await asyncio.gather(*(self._item(one, ask, found) for (one, ask), found in searched)))
        all_of_them = [
            next(told) if whole is None or one.ready is None else self._taken(one.ready, whole)
            for one, whole in zip(items, wholes, strict=True)
        ]
        return replace(answer, content=encoded({**found, "responses": all_of_them}))

    async def _others(self, sent: Sent, items: Sequence[Item]) -> Answer:
        """Search what takes one search each, all at once."""
        if not items:
            return Answer(status=OK, headers=JSON, content=encoded({"took": 0, "responses": []}))
        answer = await self._sender.many(sent, ((one.head, one.sent) for one in items))
        if answer.status == REFUSED and any(one.ready and one.ready.is_rewritten for one in items):
            for one in items:  # one that cannot be read fails them all
                one.ready = one.ready and self._own(one.ready)
            answer = await self._sender.many(sent, ((one.head, one.sent) for one in items))
        return answer

    async def _item(self, item: Item, ask: Ask, found: Body) -> Body:
        ready = item.ready
        if ready is None:
            return found
        if found.get("status") == REFUSED and ready.is_rewritten:
            ready = self._own(ready)
            (again,) = await ask([ready.sent])
            found = found if again is None else again
        if "error" in found:
            return found
        return self._taken(ready, Page(answer=await _enough(ready.part, found, ask)))

    async def _whole(self, ready: Ready | None, ask: Ask) -> Page | None:
        """Return the answer out of several searches; None: it takes one, or one of them has no answer."""
        if ready is None or ready.whole is None:
            return None
        parts = ready.whole.parts
        first, *others = [part.body for part in parts]
        found = await ask([marked(first, ready.ubi), *others])
        answers = [one for one in found if one is not None and "error" not in one]
        if len(answers) < len(parts):
            return None
        enough = (_enough(part, one, ask) for part, one in zip(parts, answers, strict=True))
        return ready.whole.page(await asyncio.gather(*enough))

    async def _ready(self, sent: Sent, body: Body) -> Ready | None:
        """Return the search with what is to be sent; None: it is not recognised."""
        asked = read(body, self._templates, sent.way.params) if is_plain(sent.way) else None
        if asked is None:
            return None
        request, caller = self._callers.rewriting(asked.request, sent.headers, again=asked.query_id)
        follows = await self._before(asked, request, caller)
        if follows is not None:
            caller = replace(caller, query_id=follows.query_id)
            choosing, chosen = self._searcher.followed(request, asked.call, follows)
        else:
            choosing, chosen = await self._searcher.decided(
                request,
                asked.call,
                caller,
                first_page=asked.is_first,
                like=asked.like,
                tries=asked.size <= MOST_PAGE,
            )
        ready = Ready(
            asked=asked,
            request=request,
            choosing=choosing,
            chosen=chosen,
            caller=caller,
            body=asked.body,
            ubi=self._plugin.part(asked, caller.query_id),
        )
        several = chosen.draw or chosen.after or chosen.other
        return self._rewritten(ready) if ready.is_rewritten or several else ready

    async def _before(self, asked: Asked, request: RewriteRequest, caller: Caller) -> Pinned | None:
        """Return the pin that a further page follows: of the page that it names, if that is ours."""
        if asked.is_first:
            return None
        named = asked.query_id if asked.query_id == caller.query_id else ""
        return await self._searcher.paging.before(request, asked.call, named, asked.like)

    def _rewritten(self, ready: Ready) -> Ready:
        asked, chosen = ready.asked, ready.chosen
        template, values = self._templates.rendering(asked.call)
        search = Search(template=template, values=values, asked=asked)
        whole = self._of_several(ready, search)
        if not asked.is_templates or chosen.plan.is_raw:
            return replace(ready, body=search.with_words(chosen.plan), whole=whole)
        part = search.part(chosen.plan, size=asked.size, offset=asked.offset)
        return replace(ready, body=part.body, part=part, whole=whole)

    def _of_several(self, ready: Ready, search: Search) -> Whole | None:
        """Return what the answer takes, where one search is not enough."""
        asked, chosen, drafts = ready.asked, ready.chosen, self._searcher.drafts
        wanted = drafts.wanted(ready.choosing, chosen, size=asked.size) if asked.is_first else None
        if wanted is not None:
            return Draft(wanted, search, drafts, ready.caller.query_id)
        if chosen.other is not None and asked.size <= MOST_PAGE:
            return Compared(chosen.plan, chosen.other, search, chosen.trial)
        if chosen.after is not None and asked.offset and asked.is_templates:
            return Later(chosen.after, (drafts.raw(chosen.plan), chosen.plan), search)
        return None

    def _own(self, ready: Ready) -> Ready:
        chosen = self._searcher.refused(ready.chosen)
        return replace(ready, chosen=chosen, body=ready.asked.body, part=None, whole=None)

    def _taken(self, ready: Ready, page: Page) -> Body:
        """Record the page and return it with its query_id."""
        asked, chosen = ready.asked, ready.chosen
        ids = objects_of(page.answer, asked.object_id_field)
        shown = page.draft or (None if ids is None else ids[: asked.request.size])
        self._searcher.record(ready.request, ready.choosing, chosen, ready.caller, shown, trial=page.trial)
        return named(page.answer, ready.caller.query_id)


def _begins_later(body: Body) -> bool:
    return body.get("from") not in (None, 0, "0")


async def _enough(part: Part | None, found: Body, ask: Ask) -> Body:
    """Return what a search found; where that is too little, what the rewrite finds if it matches as well."""
    body = None if part is None else part.recalled(found)
    if body is None:
        return found
    (more,) = await ask([body])
    return found if more is None or "error" in more else more
