"""One search, from the request to the page and its impression.

Guarantees that the impression names exactly the objects shown, with the raw list beside them wherever a
rewrite shaped the page. A shopper's first page with nothing on it is tried once more, within the deadline.
Only OpenSearch's own failure is an error, and a shopper knows it within OpenSearch's time-out and the
deadline, however many searches a page takes.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from agent.errors import SearchFailed, SearchRefused
from agent.policy.call import TemplateCall, params_of
from agent.policy.plan import Plan, plan
from agent.retrieval.results import Results
from agent.serve import ladder
from agent.serve.arms import arm_of
from agent.serve.callers import Caller
from agent.serve.choice import Asked, Chosen, Deadline
from agent.serve.choosing import Chooser
from agent.serve.comparing import differ
from agent.serve.drafting import Drafted, Drafts, Wanted
from agent.serve.exploring import Exploration, explores
from agent.serve.impressions import ImpressionBuffer
from agent.serve.metrics import SEARCHES, SECOND_TRIES, STAGE_SECONDS, VITALS
from agent.serve.pages import Page, page_of, with_draft
from agent.serve.paging import Paging, chosen_of, pin_of
from agent.serve.raw_beside import RawBeside
from agent.serve.schemas import RewriteRequest, RewriteResponse, SearchRequest, SearchResponse
from agent.serve.searches import SHOPPER, within
from agent.serve.served import Served
from agent.serve.shadowing import Shadow
from agent.settings import Settings
from feedback.clock import Clock
from feedback.records import Arm, Form, Impression, Pinned, Rewrite, Would


class Searcher:
    """Answers /search and /rewrite."""

    def __init__(
        self,
        settings: Settings,
        *,
        chooser: Chooser,
        impressions: ImpressionBuffer,
        paging: Paging,
        exploration: Exploration,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._catalogue = paging.catalogue
        self._chooser = chooser
        self._impressions = impressions
        self._exploration = exploration
        self._clock = clock
        self.served = Served()
        self.shadow = Shadow(chooser)
        self.paging = paging
        self.drafts = Drafts(settings.plan, max_age_s=settings.serve.lists_max_age_s)

    async def search(self, request: SearchRequest, caller: Caller) -> SearchResponse:
        """Return one page; raises SearchFailed, or Refused where the template or its parameters are wrong.

        Args:
            request: under pseudonyms, as `agent.serve.callers` gives it.
            caller: whose it is.
        """
        began_s = time.monotonic()
        plainly = self._plainly(request)
        pages_on = request.offset > 0 and bool(request.query_id)
        pinned = await self._pinned(request, plainly, caller)
        if pinned is not None:
            asked, caller = replace(plainly, arm=pinned.arm), replace(caller, query_id=pinned.query_id)
            with _timed("search"):
                page = await within(self._limit_s(request), self.paging.page(request, pinned, asked.call))
            chosen = chosen_of(pinned, asked.call)
            self._count(asked, chosen, began_s=began_s)
            return self._answer(request, asked, chosen, page, (caller, began_s))
        until = Deadline.after(request.deadline_s or self._settings.serve.deadline_s)
        async with contextlib.aclosing(self._raw_beside(request, plainly)) as beside:
            with _timed("choose"):
                asked = plainly if pages_on or not plainly.teaches else await self._in_arm(plainly)
                chosen = await self._chooser.choose(replace(asked, before_wait=beside.begin))
            with _timed("search"):
                searching = self._some_page(request, asked, chosen, caller.query_id, beside)
                chosen, page = await within(self._limit_s(request), searching)
        # Whatever a second try makes of it: a version whose pages are empty is to be braked all the same.
        self.served.count(asked.arm, chosen, is_empty=not page.object_ids)
        is_seen = asked.first_page and asked.purpose == SHOPPER
        if not page.object_ids and is_seen and not page.trial:
            chosen, page = await self._second_try(request, asked, chosen, page, until)
        if asked.teaches and asked.first_page:
            self.paging.pin(request, asked, chosen, page, caller.query_id)
            self._write(asked, self._impression(request, asked, chosen, page, caller))
        self._count(asked, chosen, began_s=began_s)
        return self._answer(request, asked, chosen, page, (caller, began_s))

    async def _pinned(self, request: SearchRequest, plainly: Asked, caller: Caller) -> Pinned | None:
        if request.offset and request.query_id:
            own = caller.query_id == request.query_id
            return await self.paging.pinned(request, plainly.call, own=own)
        follows = request.offset > 0 and plainly.teaches
        return await self.paging.before(request, plainly.call, "") if follows else None

    async def rewrite(self, request: RewriteRequest, caller: Caller) -> RewriteResponse:
        """Return what to search with; for a client in its arm, so that the shop can report the page.

        Args: as of `search`.
        """
        began_s = time.monotonic()
        asked, chosen = await self.decided(request, self._call(request), caller)
        if asked.arm is Arm.SHADOW and asked.teaches:
            self._would_report(asked, pin_of(request, asked, chosen, caller.query_id))
        self.served.count(asked.arm, chosen, is_empty=False)  # what its page lacks shows in its clicks
        VITALS["live"] += 1  # its search is made by the shop
        said = _said(request.user_query, chosen, began_s)
        clause = self._catalogue.templates.clause(chosen.plan)
        return RewriteResponse(**said, clause=clause, query_id=caller.query_id)

    async def decided(
        self,
        request: RewriteRequest,
        call: TemplateCall,
        caller: Caller,
        *,
        first_page: bool = True,
        like: str = "",
        tries: bool = False,
    ) -> tuple[Asked, Chosen]:
        """Return what a search gets that somebody else makes, in the client's arm.

        A first page is remembered (``like``: see Pinned). Only where ``tries`` says that two lists can be
        shown as one is anything tried out.
        """
        asked = self._asked(request, call, first_page=first_page)
        if tries and first_page and asked.teaches:
            asked = await self._in_arm(asked)
        elif request.client_id:
            asked = self._in_own_arm(asked)
        chosen = await self._chooser.choose(asked)
        if first_page:
            pinned = pin_of(request, asked, chosen, caller.query_id)
            self.paging.pins.put(msgspec.structs.replace(pinned, like=like))
        return asked, chosen

    def followed(self, request: RewriteRequest, call: TemplateCall, pinned: Pinned) -> tuple[Asked, Chosen]:
        """Return what a further page gets that somebody else makes: as its first one."""
        asked = self._asked(request, call, first_page=False)
        return replace(asked, arm=pinned.arm), chosen_of(pinned, call)

    def unrecognised(self) -> None:
        """Count a search of which it is not known what the shopper wrote."""
        chosen = Chosen(decision=ladder.raw("unrecognised"), plan=Plan(user_query=""))
        self._count(Asked(user_query=""), chosen, began_s=None)

    def refused(self, chosen: Chosen) -> Chosen:
        """Return the shop's own query in place of a choice that OpenSearch does not take."""
        own = Plan(user_query=chosen.plan.user_query, call=chosen.plan.call)
        return Chosen(decision=ladder.raw("refused"), plan=own)

    def record(
        self,
        request: RewriteRequest,
        asked: Asked,
        chosen: Chosen,
        caller: Caller,
        shown: tuple[str, ...] | Drafted | None,
        *,
        trial: int = 0,
    ) -> None:
        """Count a search that somebody else made, and write down its page where it teaches.

        ``shown``: its objects, or the draft that they are; None: nothing is known of the page. ``trial``: see
        Impression.
        """
        object_ids = shown.object_ids if isinstance(shown, Drafted) else shown
        self.served.count(asked.arm, chosen, is_empty=object_ids == ())
        self._count(asked, chosen, began_s=None)
        if object_ids is None or not (asked.teaches and asked.first_page):
            return
        raw_ids = object_ids if chosen.plan.is_raw else ()
        page = Page(
            object_ids=object_ids,
            scores={},
            documents={},
            extras={},
            total=0,
            raw_object_ids=raw_ids,
            trial=trial,
        )
        if isinstance(shown, Drafted):
            page = with_draft(page, shown)
            self.paging.pin(request, asked, chosen, page, caller.query_id)
        self._write(asked, self._impression(request, asked, chosen, page, caller))

    def _write(self, asked: Asked, impression: Impression) -> None:
        """Have a page written; in shadow, with what would have been."""
        if asked.arm is not Arm.SHADOW:
            self._impressions.put(impression)
            return

        def put(would: Would | None) -> None:
            self._impressions.put(msgspec.structs.replace(impression, would=would))

        self.shadow.find(asked, put)

    def _would_report(self, asked: Asked, pinned: Pinned) -> None:
        """Have the shop's report of a page in shadow written with what would have been."""

        def put(would: Would | None) -> None:
            if would is not None:
                self.paging.pins.put(msgspec.structs.replace(pinned, would=would))

        self.shadow.find(asked, put)

    def _count(self, asked: Asked, chosen: Chosen, *, began_s: float | None) -> None:
        """Count a search that was answered; ``began_s`` None: not by us alone."""
        labels = (asked.arm.value, chosen.decision.rung.value, chosen.decision.source)
        purpose = asked.purpose if asked.purpose == SHOPPER else "other"
        SEARCHES.labels(*labels, purpose).inc()
        VITALS["searches"] += 1
        VITALS["live"] += asked.purpose == SHOPPER
        VITALS["rewritten"] += not chosen.plan.is_raw
        VITALS[f"rung_{labels[1]}"] += 1
        VITALS[f"source_{labels[2]}"] += 1
        if began_s is not None:
            STAGE_SECONDS.labels(stage="whole").observe(time.monotonic() - began_s)

    def _answer(
        self, request: SearchRequest, asked: Asked, chosen: Chosen, page: Page, made: tuple[Caller, float]
    ) -> SearchResponse:
        """Return the answer to a caller whose search began at a time."""
        caller, began_s = made
        return SearchResponse(
            **_said(request.user_query, chosen, began_s),
            query_id=caller.query_id,
            client_token=caller.client_token,
            hits=page.hits(request.offset),
            total=page.total,
            aggregations=page.aggregations,
            arm=asked.arm.value,
        )

    def _plainly(self, request: SearchRequest) -> Asked:
        """Return the search in the arm stable, or shadow; raises Refused."""
        first_page, purpose = request.offset == 0, request.purpose
        return self._asked(request, self._call(request), first_page=first_page, purpose=purpose)

    def _asked(
        self,
        request: SearchRequest | RewriteRequest,
        call: TemplateCall,
        *,
        first_page: bool,
        purpose: str = SHOPPER,
    ) -> Asked:
        return Asked(
            user_query=request.user_query,
            client_id=request.client_id,
            session_id=request.session_id,
            arm=self._arm,
            first_page=first_page,
            teaches=bool(request.client_id) and purpose == SHOPPER and call.by_relevance,
            call=call,
            wait_s=request.deadline_s,
            now_ms=self._clock(),
            purpose=purpose,
        )

    def _limit_s(self, request: SearchRequest) -> float | None:
        """Return how long all the searches of a page may take; none for those that nobody waits for."""
        return self._settings.opensearch.timeout_s if request.purpose == SHOPPER else None

    def _call(self, request: SearchRequest | RewriteRequest) -> TemplateCall:
        return self._catalogue.templates.call(request.template, request.params)

    @property
    def _arm(self) -> Arm:
        """The arm of whoever has none of its own."""
        return Arm.SHADOW if self._settings.serve.shadow else Arm.STABLE

    def _in_own_arm(self, asked: Asked) -> Asked:
        """Return the search in the client's arm, in which nothing is tried out."""
        settings, on_trial = self._settings, self._chooser.on_trial
        arm = arm_of(asked.client_id, settings.tenant, settings.serve, on_trial.trial if on_trial else None)
        tries = arm not in (Arm.HOLDBACK, Arm.SHADOW)
        return replace(asked, arm=arm, trial=on_trial if tries else None)

    async def _in_arm(self, asked: Asked) -> Asked:
        settings = self._settings
        asked = self._in_own_arm(asked)
        arm, on_trial, raw = asked.arm, asked.trial, asked.arm is Arm.HOLDBACK
        if arm is Arm.SHADOW or not asked.call.mixes:
            return asked
        found = await self._exploration.chance(
            asked.query, asked.call.segment, counts=asked.first_page and not raw
        )
        client = f"{settings.tenant}|{asked.client_id}"
        would_explore = explores(asked.query, client, asked.now_ms, found.chance)
        if raw:
            return replace(asked, aside=would_explore)
        if would_explore:
            arm, on_trial = Arm.EXPLORE, None
        return replace(asked, arm=arm, band=found.band, chance=found.chance, trial=on_trial)

    def _raw_beside(self, request: SearchRequest, asked: Asked) -> RawBeside:
        """Return the raw search that a shopper's may make while it waits for the model."""
        if request.purpose != SHOPPER or not self._settings.serve.raw_beside:
            return RawBeside(None)

        async def search() -> Results:
            raw = plan(request.user_query, "", self._settings.plan, asked.call)
            return await self._catalogue.search(
                raw, size=request.size, offset=request.offset, purpose=SHOPPER
            )

        return RawBeside(search)

    async def _some_page(
        self,
        request: SearchRequest,
        asked: Asked,
        chosen: Chosen,
        seed: str,
        beside: RawBeside,
    ) -> tuple[Chosen, Page]:
        """Search; where OpenSearch refuses the rewritten search alone, the shop's own is answered."""
        try:
            return await self._page(request, asked, chosen, seed, beside)
        except SearchRefused:
            if chosen.plan.is_raw:
                raise
        return await self._page(request, asked, self.refused(chosen), seed, beside)

    async def _second_try(
        self, request: SearchRequest, asked: Asked, chosen: Chosen, page: Page, until: Deadline
    ) -> tuple[Chosen, Page]:
        """Return what other words of the policy find for a page with nothing on it, if they do in time."""
        other = await self._chooser.again(asked, chosen, until)
        if other is None:
            return chosen, page
        try:
            async with asyncio.timeout(until.left_s):
                tried, found = await self._some_page(request, asked, other, "", RawBeside(None))
        except (TimeoutError, SearchFailed) as error:
            SECOND_TRIES.labels(outcome="late" if isinstance(error, TimeoutError) else "failed").inc()
            return chosen, page
        SECOND_TRIES.labels(outcome="found" if found.object_ids else "empty").inc()
        return (tried, found) if found.object_ids else (chosen, page)

    async def _page(
        self, request: SearchRequest, asked: Asked, chosen: Chosen, seed: str, beside: RawBeside
    ) -> tuple[Chosen, Page]:
        """Search; beside a rewritten first page that teaches, the raw one in the same round trip.

        Where the pages are not those that a verdict rests on, the raw one is shown, and the choice says so.
        """
        wanted = self.drafts.wanted(asked, chosen, size=request.size)
        if wanted is not None:
            with contextlib.suppress(SearchFailed):  # of the whole round trip: the page alone may still come
                return chosen, await self._explored(request, wanted, seed)
        if chosen.other is not None:
            with contextlib.suppress(SearchFailed):  # the other version's list is not worth a shopper's page
                return chosen, await self._compared(request, chosen, chosen.other)
        compares = asked.teaches and request.offset == 0 and not chosen.plan.is_raw
        if not compares:
            found = await self._one(request, chosen, beside)
            raw_ids = found.object_ids if chosen.plan.is_raw else ()
            return chosen, page_of(found.object_ids, found, raw_object_ids=raw_ids)
        rewritten, raw = await self._both(request, chosen, beside)
        both = raw.object_ids, rewritten.object_ids
        chosen = self._chooser.checked(chosen, asked, *both, size=request.size)
        shown = raw if chosen.plan.is_raw else rewritten
        page = page_of(shown.object_ids, shown, raw_object_ids=raw.object_ids)
        return chosen, replace(page, aggregations=rewritten.aggregations)  # asked for once: of the first

    async def _one(self, request: SearchRequest, chosen: Chosen, beside: RawBeside) -> Results:
        """Search; what is raw may be under way."""
        raw = await beside.found("used") if chosen.plan.is_raw else None
        return raw or await self._catalogue.search(
            chosen.plan, size=request.size, offset=request.offset, purpose=request.purpose
        )

    async def _both(
        self, request: SearchRequest, chosen: Chosen, beside: RawBeside
    ) -> tuple[Results, Results]:
        """Return the rewritten and the raw page; in one round trip, where raw is not under way."""
        if beside.is_begun:
            rewritten = await self._catalogue.search(chosen.plan, size=request.size, purpose=SHOPPER)
            with contextlib.suppress(SearchFailed):  # of a search that went before: both may come now
                if (raw := await beside.found("compared")) is not None:
                    return rewritten, raw
        rewritten, raw = await self._catalogue.msearch(
            [chosen.plan, self.drafts.raw(chosen.plan)], size=request.size, purpose=SHOPPER, documents=True
        )
        return rewritten, raw

    async def _explored(self, request: SearchRequest, wanted: Wanted, seed: str) -> Page:
        """Draft a page from raw and drawn list; look at the other choices' lists where they are not known."""
        plans = wanted.plans
        pages = await self._catalogue.msearch(plans, size=request.size, purpose=SHOPPER, documents=True)
        found = dict(zip(plans, pages, strict=True))
        lists = {one: page.object_ids for one, page in found.items()}
        draft = self.drafts.drafted(wanted, lists, seed=seed)
        page = page_of(draft.object_ids, found[wanted.raw], found[wanted.drawn], raw_object_ids=())
        return with_draft(page, draft)

    async def _compared(self, request: SearchRequest, chosen: Chosen, other: Plan) -> Page:
        """Return the page, which counts for the trial where the other version's list is another."""
        raw_plan = self.drafts.raw(chosen.plan)
        plans = list(dict.fromkeys((chosen.plan, raw_plan, other)))
        pages = await self._catalogue.msearch(plans, size=request.size, purpose=SHOPPER, documents=True)
        found = dict(zip(plans, pages, strict=True))
        shown, raw = found[chosen.plan], found[raw_plan]
        page = page_of(shown.object_ids, shown, raw_object_ids=raw.object_ids)
        counts = differ(shown.object_ids, found[other].object_ids, request.size)
        return replace(page, trial=chosen.trial if counts else 0)

    def _impression(
        self,
        request: SearchRequest | RewriteRequest,
        asked: Asked,
        chosen: Chosen,
        page: Page,
        caller: Caller,
    ) -> Impression:
        return Impression(
            query_id=caller.query_id,
            tenant=self._settings.tenant,
            segment=asked.call.segment,
            template=asked.call.template,
            params=params_of(asked.call.params),
            user_query=request.user_query,
            client_id=request.client_id,
            session_id=request.session_id,
            shown_at_ms=asked.now_ms,
            arm=asked.arm,
            rung=chosen.decision.rung,
            source=chosen.decision.source,
            rewrite=_shown_rewrite(chosen),
            form=chosen.plan.form,
            object_ids=page.object_ids,
            raw_object_ids=page.raw_object_ids,
            teams=page.teams,
            draw=page.draw,
            band=asked.band,
            chance=asked.chance,
            aside=asked.aside,
            trial=page.trial,
            network=caller.network,
            purpose=asked.purpose,
            application=request.application,
            history=chosen.history,
        )


def _shown_rewrite(chosen: Chosen) -> Rewrite | None:
    """Return the policy's own action, or the verified text that was served."""
    if chosen.decision.rewrite is not None:
        return chosen.decision.rewrite
    return Rewrite(text=chosen.decision.text) if chosen.decision.text else None


def _said(user_query: str, chosen: Chosen, began_s: float) -> dict[str, Any]:
    return {
        "user_query": user_query,
        "searched": _searched(user_query, chosen),
        "rewrite": chosen.plan.text,
        "form": chosen.plan.form.value,
        "rung": chosen.decision.rung.value,
        "source": chosen.decision.source,
        "version": chosen.version,
        "took_ms": round((time.monotonic() - began_s) * 1000),
    }


def _searched(user_query: str, chosen: Chosen) -> str:
    if chosen.plan.is_raw:
        return user_query
    first, second = user_query, chosen.plan.text
    return f"{second} {first}" if chosen.plan.form is Form.INSTEAD else f"{first} {second}"


@contextlib.contextmanager
def _timed(stage: str) -> Iterator[None]:
    began_s = time.monotonic()
    try:
        yield
    finally:
        STAGE_SECONDS.labels(stage=stage).observe(time.monotonic() - began_s)
