"""The shop's catalogue behind OpenSearch: made, loaded, searched.

Guarantees that equal scores are ordered by id, that an answer is whole (a shard or an item that failed is
no answer), that whatever OpenSearch does wrong is `SearchFailed`, and that of shoppers' searches no more than
the setting allows wait for it. A connection that the server closed while it was idle is tried again at once;
a time-out is not: its time is spent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from opensearchpy import AsyncOpenSearch
from redis.asyncio import Redis

from agent.errors import SearchFailed, SearchRefused
from agent.policy.plan import Plan
from agent.retrieval.budget import Budget
from agent.retrieval.connection import REFUSED, TOO_MANY, Door, asked, client_of, kind_of, reason_of
from agent.retrieval.limiter import Limiter, Overloaded
from agent.retrieval.lines import Line
from agent.retrieval.loading import Progress, load
from agent.retrieval.mapping import index_definition
from agent.retrieval.results import LoadReport, Results
from agent.retrieval.spelling import respelled, suggestion
from agent.retrieval.templates import Body, Mode, Templates, lacking
from agent.retrieval.templates.checking import placed, unknown_fields
from agent.sections import OpenSearchSettings
from agent.settings import Settings
from feedback.records import Form

SHOPPER = "search"
"""The purpose of a search that somebody waits for; every other one passes the limiter."""
MSEARCH_ITEMS = 64
BESIDE = ("highlight", "inner_hits", "fields")
PROBE = "probe"
"""A query that asks whether a template works."""
LOAD_TIMEOUT_S = 60.0
NO_PARAMETERS: Mapping[str, int] = {}
ONE_BY_ONE: Mapping[str, int] = {"max_concurrent_searches": 1}
"""A request of many searches takes one of the engine's search threads at a time."""


@dataclass(frozen=True, kw_only=True)
class _Ask:
    """One page."""

    plan: Plan
    size: int
    offset: int = 0
    without: Sequence[str] = ()
    documents: bool | None = None
    """See `Template.render`."""


class Catalogue:
    """One index of OpenSearch. Bound to the event loop of its first use; close it there."""

    def __init__(self, settings: OpenSearchSettings, limiter: Limiter | None = None) -> None:
        """Read the shop's templates; raises Permanent where one is wrong."""
        self._settings = settings
        self.templates = Templates(settings)
        self.limiter = limiter or Limiter(settings.background_concurrency)
        self.door = Door(settings.most_waiting)
        """What shoppers' requests pass, here and where their own clients' are sent on."""
        self._front = client_of(settings.url, settings)
        background = settings.background_url or settings.url
        self._back = self._front if background == settings.url else client_of(background, settings)
        self._in_turn = ONE_BY_ONE if self.limiter.budget else NO_PARAMETERS

    @classmethod
    def as_guest(cls, settings: Settings, redis: Redis) -> Self:
        """Return the catalogue for a process whose searches nobody waits for, in a shop that others search.

        They come out of the budget that all such processes of the tenant share through this Redis.
        """
        section = settings.opensearch
        budget = Budget(redis, settings.keys, section) if section.background_budget else None
        return cls(section, Limiter(section.background_concurrency, budget))

    @property
    def settings(self) -> OpenSearchSettings:
        """Where it is, for another process that searches the same index."""
        return self._settings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._front.close()
        if self._back is not self._front:
            await self._back.close()

    async def search(
        self,
        plan: Plan,
        *,
        size: int = 10,
        offset: int = 0,
        purpose: str = SHOPPER,
        without: Sequence[str] = (),
    ) -> Results:
        """Return one page as the shop shows it, of the list without some objects.

        Raises:
            SearchFailed: there is no answer.
            SearchRefused: OpenSearch does not take it as it is.
        """
        ask = _Ask(plan=plan, size=size, offset=offset, without=without)
        if purpose == SHOPPER:
            with self.door.entered():
                return await self._page(self._front, ask)
        async with self.limiter.slot(purpose):
            return await self._page(self._back, ask)

    async def msearch(
        self, plans: Sequence[Plan], *, size: int = 10, purpose: str, documents: bool = False
    ) -> list[Results]:
        """Return the first page of each plan, in order; raises as `search`, if any one has none.

        With documents the first page is as the shop shows it, facets included; the others have none.
        """
        asks = [
            _Ask(plan=plan, size=size, documents=None if documents and not place else documents)
            for place, plan in enumerate(plans)
        ]
        search = self._live if purpose == SHOPPER else partial(self._as_guest, purpose)
        found = await search(asks)
        few = [place for place, ask in enumerate(asks) if self._finds_few(ask, found[place])]
        if few:
            more = await search([asks[place] for place in few], "recall")
            for place, results in zip(few, more, strict=True):
                found[place] = results
        return found

    async def corrected(self, texts: Sequence[str], *, purpose: str) -> list[str]:
        """Return the texts with the engine's spelling suggestion for each word the catalogue lacks.

        Raises:
            SearchFailed: a text has no answer.
        """
        fixed: list[str] = []
        while left := texts[len(fixed) :]:
            async with self.limiter.slot(purpose, searches=min(len(left), MSEARCH_ITEMS)) as n:
                answers = await self._suggest(left[:n])
            fixed += [respelled(text, one) for text, one in zip(left[:n], answers, strict=True)]
        return fixed

    async def create_index(self, *, replace: bool = False) -> bool:
        """Make the index with its mapping; return whether it is new. An existing one is left as it is."""
        indices, name = self._front.indices, self._settings.index
        if replace:
            await self.drop_index()
        elif await asked("admin", lambda: indices.exists(index=name)):
            return False
        await asked("admin", lambda: indices.create(index=name, body=index_definition(self._settings)))
        return True

    async def drop_index(self) -> None:
        """Take the whole index away, if it is there: for those who made one of their own."""
        name = self._settings.index
        await asked("admin", lambda: self._front.indices.delete(index=name, ignore_unavailable=True))

    async def load(
        self, lines: Iterable[Line], *, batch: int = 500, progress: Progress | None = None
    ) -> LoadReport:
        """Index a catalogue; name each line that did not become a document; raises SearchFailed.

        The progress callback gets the number of lines read and of documents loaded so far, once a batch.
        """
        report = await load(self._bulk, lines, batch=batch, progress=progress)
        await self.refresh()
        return report

    async def delete(self, object_ids: Iterable[str]) -> None:
        """Take objects out of the catalogue; unknown ones are passed over."""
        ids = list(object_ids)
        if ids:
            await self._bulk([{"delete": {"_id": object_id}} for object_id in ids])
            await self.refresh()

    async def refresh(self) -> None:
        """Make what was loaded visible to searches."""
        await asked("admin", lambda: self._front.indices.refresh(index=self._settings.index))

    async def count(self) -> int:
        """Return the number of objects; raises SearchFailed."""
        answer = await asked("admin", lambda: self._front.count(index=self._settings.index))
        return int(answer["count"])

    async def ready(self) -> bool:
        """Tell whether OpenSearch answers and the index is there."""
        try:
            await self.count()
        except SearchFailed:
            return False
        return True

    async def faults(self) -> list[str]:
        """Return what is wrong with the templates on the live index, ``<name>: <JSON path>: <why>``.

        Raises:
            SearchFailed: OpenSearch gave no answer.
        """
        index = self._settings.index
        answer = await asked("admin", lambda: self._front.field_caps(index=index, params={"fields": "*"}))
        known = set(answer["fields"])
        found = [
            f"{template.name}: {fault}"
            for template in self.templates
            for fault in unknown_fields({**template.body, "added": template.added}, known)
            if template.is_shops
        ]
        return found or [fault for template in self.templates for fault in await self._tried(template.name)]

    async def _tried(self, name: str) -> list[str]:
        """Return why OpenSearch refuses a template on its own terms, raw, or with words added."""
        call = self.templates.call(name, {})
        raw = Plan(user_query=PROBE, call=call)
        forms = (Form.ADD, Form.INSTEAD) if call.instead else (Form.ADD,)
        for plan in (raw, *(replace(raw, terms=(PROBE,), form=form) for form in forms)):
            ask = _Ask(plan=plan, size=1)
            try:
                await self._search(self._front, ask)
            except SearchRefused as error:
                return [f"{name}: {placed(self._body(ask, None), str(error))}"]
        return []

    async def _page(self, client: AsyncOpenSearch, ask: "_Ask") -> Results:
        found = await self._search(client, ask)
        return await self._search(client, ask, "recall") if self._finds_few(ask, found) else found

    async def _live(self, asks: Sequence["_Ask"], mode: Mode | None = None) -> list[Results]:
        found: list[Results] = []
        while left := asks[len(found) :]:
            with self.door.entered():
                found += await self._msearch(self._front, left[:MSEARCH_ITEMS], mode)
        return found

    async def _as_guest(
        self, purpose: str, asks: Sequence["_Ask"], mode: Mode | None = None
    ) -> list[Results]:
        """Search in as many requests as the limiter asks for."""
        found: list[Results] = []
        while left := asks[len(found) :]:
            async with self.limiter.slot(purpose, searches=min(len(left), MSEARCH_ITEMS)) as n:
                found += await self._msearch(self._back, left[:n], mode, params=self._in_turn)
        return found

    def _finds_few(self, ask: "_Ask", found: Results) -> bool:
        """Tell whether a rewrite that only scored is to match as well: the shop's own query finds too few."""
        template, _ = self.templates.rendering(ask.plan.call)
        return template.finds_few(ask.plan, found.total + len(ask.without))

    def _body(self, ask: "_Ask", mode: Mode | None) -> Body:
        template, values = self.templates.rendering(ask.plan.call)
        rendered = template.render(
            ask.plan, values, size=ask.size, offset=ask.offset, mode=mode, documents=ask.documents
        )
        return lacking(rendered, ask.without)

    async def _search(self, client: AsyncOpenSearch, ask: "_Ask", mode: Mode | None = None) -> Results:
        index, request = self._settings.index, self._body(ask, mode)
        return _results(await asked("search", lambda: client.search(index=index, body=request)))

    async def _msearch(
        self,
        client: AsyncOpenSearch,
        asks: Sequence["_Ask"],
        mode: Mode | None = None,
        *,
        params: Mapping[str, int] = NO_PARAMETERS,
    ) -> list[Results]:
        head = {"index": self._settings.index}
        lines = [line for ask in asks for line in (head, self._body(ask, mode))]
        answer = await asked("msearch", lambda: client.msearch(body=lines, params=dict(params)))
        items = answer.get("responses") or []
        if len(items) != len(asks):
            raise SearchFailed(f"msearch answered {len(items)} of {len(asks)} searches")
        return [_results(item) for item in items]

    async def _suggest(self, texts: Sequence[str]) -> list[Body]:
        lines = [line for text in texts for line in ({"index": self._settings.index}, suggestion(text))]
        answer = await asked("suggest", lambda: self._back.msearch(body=lines))
        return list(answer["responses"])

    async def _bulk(self, actions: list[Body]) -> list[Body]:
        index = self._settings.index
        answer = await asked(
            "bulk", lambda: self._front.bulk(body=actions, index=index, request_timeout=LOAD_TIMEOUT_S)
        )
        return list(answer["items"])


def _results(answer: dict[str, Any]) -> Results:
    """Return the page of one answer; raises SearchFailed where it is an error or not whole."""
    if "error" in answer:
        if answer.get("status") == REFUSED:
            raise SearchRefused(reason_of(answer))
        text = f"OpenSearch failed a search: {kind_of(answer)}"
        raise Overloaded(text) if answer.get("status") == TOO_MANY else SearchFailed(text)
    if answer.get("timed_out") or answer.get("_shards", {}).get("failed", 0):
        raise SearchFailed("OpenSearch answered for a part of its shards only")
    try:
        return _page(answer)
    except (KeyError, TypeError) as error:
        raise SearchFailed(f"OpenSearch answered with no page: {error!r}") from error


def _page(answer: dict[str, Any]) -> Results:
    hits = answer["hits"]["hits"]
    extras = tuple({name: hit[name] for name in BESIDE if name in hit} for hit in hits)
    return Results(
        object_ids=tuple(hit["_id"] for hit in hits),
        scores=tuple(float(hit["_score"] or 0.0) for hit in hits),
        documents=tuple(hit["_source"] for hit in hits if "_source" in hit),
        extras=extras if any(extras) else (),
        total=int(answer["hits"]["total"]["value"]) if "total" in answer["hits"] else len(hits),
        took_ms=int(answer["took"]),
        aggregations=answer.get("aggregations"),
    )
