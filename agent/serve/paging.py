"""Pages after the first: the plan, the arm and the version are the first page's, whatever has changed since.

A further page continues what the first one showed: the objects of the plan's list in its order, without those
of a first page that was drafted from two lists (only the first is). Guarantees the same page for the same
request while the catalogue stays, no impression, and nothing tried out anew. Where the pin is not to be had
the caller answers by the stable ladder, and the reason is counted. Where the version that made the first page
was revoked since, raw follows, without what that page showed if it is known.
"""

from dataclasses import replace

import msgspec

from agent.policy.call import TemplateCall
from agent.policy.plan import Plan, plan
from agent.retrieval.results import Results
from agent.serve import ladder
from agent.serve.choice import Asked, Chosen
from agent.serve.known import Known
from agent.serve.ladder import Decision
from agent.serve.metrics import PINS
from agent.serve.pages import Page, page_of
from agent.serve.pins import UNNAMED, Found, Pins, name_of
from agent.serve.schemas import RewriteRequest, SearchRequest
from agent.serve.searches import SHOPPER, Searches
from agent.settings import Settings
from feedback.records import Form, Pinned
from feedback.text import digest, normalise

REVOKED = "revoked"


class Paging:
    """Finds the pin of a further page and searches it."""

    def __init__(self, settings: Settings, *, catalogue: Searches, pins: Pins, known: Known) -> None:
        self._settings = settings
        self._known = known
        self.catalogue = catalogue
        self.pins = pins

    async def before(
        self, request: SearchRequest | RewriteRequest, call: TemplateCall, named: str, like: str = ""
    ) -> Pinned | None:
        """Return the pin that a further page follows; None, counted, where none fits.

        Args:
            request: under pseudonyms.
            call: its template.
            named: the query_id that it names, if it is one of ours; empty: what the client saw first of the
                list is followed, where it is by relevance.
            like: see Pinned.
        """
        if named:
            return await self.followed(request, call, named)
        if not request.client_id or not call.by_relevance:
            PINS.labels(found=UNNAMED).inc()
            return None
        query = normalise(request.user_query)
        name = name_of(digest(request.client_id), query, (call.template, call.params), like)
        return self._fitting(request, call, await self.pins.last(query, name))

    async def pinned(self, request: SearchRequest, call: TemplateCall, *, own: bool) -> Pinned | None:
        """Return the pin of the page's query_id, if we gave it out; None, counted, where none fits."""
        if own:
            return await self.followed(request, call, request.query_id)
        PINS.labels(found="foreign").inc()
        return None

    async def followed(
        self, request: SearchRequest | RewriteRequest, call: TemplateCall, query_id: str
    ) -> Pinned | None:
        """Return the pin of one of our query_ids for a further page; None, counted, where none fits.

        That of a version which was revoked since is raw.
        """
        return self._fitting(request, call, await self.pins.find(query_id))

    def _fitting(
        self, request: SearchRequest | RewriteRequest, call: TemplateCall, found: Found
    ) -> Pinned | None:
        pinned, why = found.pinned, found.why
        if pinned is not None:
            why = _misfit(request, call, pinned) or why
            if why == found.why and pinned.version in self._known.revoked:
                pinned, why = _wordless(pinned), REVOKED
        PINS.labels(found=why).inc()
        return pinned if why in (found.why, REVOKED) else None

    def pin(
        self,
        request: SearchRequest | RewriteRequest,
        asked: Asked,
        chosen: Chosen,
        page: Page,
        query_id: str,
    ) -> None:
        """Remember how a first page was searched."""
        one = pin_of(request, asked, chosen, query_id)
        self.pins.put(
            msgspec.structs.replace(
                one, object_ids=page.object_ids, interleaved=bool(page.teams), by_shop=False
            )
        )

    async def page(self, request: SearchRequest, pinned: Pinned, call: TemplateCall) -> Page:
        """Return the page; raises SearchFailed."""
        if pinned.interleaved:
            return await self._after_draft(request, pinned, call)
        found = await self._search(request, plan_of(pinned, call), size=request.size, offset=request.offset)
        return page_of(found.object_ids, found, raw_object_ids=())

    async def _after_draft(self, request: SearchRequest, pinned: Pinned, call: TemplateCall) -> Page:
        """Return what follows a drafted page: the drawn list without what was shown."""
        first = pinned.object_ids
        again = first[request.offset : request.offset + request.size]
        pages = await self._shown_again(pinned, call) if again else []
        there = {object_id for one in pages for object_id in one.object_ids}
        rest = await self._search(
            request,
            plan_of(pinned, call),
            size=request.size - len(again),
            offset=max(0, request.offset - len(first)),
            without=first,
        )
        shown = (*(object_id for object_id in again if object_id in there), *rest.object_ids)
        page = page_of(shown, *pages, rest, raw_object_ids=())
        return replace(page, total=len(first) + rest.total)

    async def _shown_again(self, pinned: Pinned, call: TemplateCall) -> list[Results]:
        raw = plan(pinned.user_query, "", self._settings.plan, call)
        plans = list(dict.fromkeys((raw, plan_of(pinned, call))))
        return await self.catalogue.msearch(plans, size=pinned.size, purpose=SHOPPER, documents=True)

    async def _search(
        self,
        request: SearchRequest,
        searched: Plan,
        *,
        size: int,
        offset: int,
        without: tuple[str, ...] = (),
    ) -> Results:
        return await self.catalogue.search(
            searched, size=size, offset=offset, purpose=request.purpose, without=without
        )


def pin_of(request: SearchRequest | RewriteRequest, asked: Asked, chosen: Chosen, query_id: str) -> Pinned:
    """Return the pin of a page that the shop shows itself."""
    return Pinned(
        query_id=query_id,
        user_query=request.user_query,
        client=digest(request.client_id) if request.client_id else "",
        session_id=request.session_id,
        at_ms=asked.now_ms,
        arm=asked.arm,
        rung=chosen.decision.rung,
        source=chosen.decision.source,
        rewrite=chosen.decision.rewrite,
        text=chosen.decision.text,
        terms=chosen.plan.terms,
        form=chosen.plan.form,
        weight=chosen.plan.weight,
        own_weight=chosen.plan.own_weight,
        size=request.size,
        template=asked.call.template,
        params=asked.call.params,
        segment=asked.call.segment,
        by_shop=True,
        history=chosen.history,
        application=request.application,
        trial=chosen.trial if chosen.other is not None else 0,
    )


def plan_of(pinned: Pinned, call: TemplateCall) -> Plan:
    """Return the plan as it was."""
    return Plan(
        user_query=pinned.user_query,
        terms=pinned.terms,
        form=pinned.form,
        weight=pinned.weight,
        own_weight=pinned.own_weight,
        call=call,
    )


def chosen_of(pinned: Pinned, call: TemplateCall) -> Chosen:
    """Return the choice as it was."""
    decision = Decision(rung=pinned.rung, text=pinned.text, source=pinned.source, rewrite=pinned.rewrite)
    after = pinned if pinned.interleaved else None
    return Chosen(decision=decision, plan=plan_of(pinned, call), after=after)


def _wordless(pinned: Pinned) -> Pinned:
    """Return the pin of the raw query, which follows the first page that was shown."""
    decision = ladder.raw(REVOKED)
    return msgspec.structs.replace(
        pinned,
        rung=decision.rung,
        source=decision.source,
        rewrite=None,
        text="",
        terms=(),
        form=Form.ADD,
        interleaved=bool(pinned.object_ids),
    )


def _misfit(request: SearchRequest | RewriteRequest, call: TemplateCall, pinned: Pinned) -> str:
    """Return why a pin is not the request's; empty where it is."""
    if (call.template, call.params) != (pinned.template, pinned.params):
        return "other_params"
    if normalise(request.user_query) != normalise(pinned.user_query):
        return "other_query"
    client = digest(request.client_id) if request.client_id else ""
    return "" if client == pinned.client else "other_client"
