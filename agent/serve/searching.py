"""One search, from the request to the page and its impression.

Guarantees that the impression names exactly the objects shown, with the raw list beside them wherever a
rewrite shaped the page. Only OpenSearch's own failure is an error.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from agent.errors import SearchFailed
from agent.policy.plan import Plan, plan
from agent.retrieval.results import Results
from agent.serve.arms import arm_of
from agent.serve.choice import Asked, Chosen
from agent.serve.choosing import Chooser
from agent.serve.comparing import differ
from agent.serve.exploring import Exploration, explores
from agent.serve.impressions import ImpressionBuffer
from agent.serve.lists import Lists, Look
from agent.serve.metrics import SEARCHES, STAGE_SECONDS, VITALS
from agent.serve.pages import Page, page_of
from agent.serve.schemas import RewriteRequest, RewriteResponse, SearchRequest, SearchResponse
from agent.serve.served import Served
from agent.settings import Settings
from feedback.clock import Clock
from feedback.interleaving import team_draft
from feedback.records import Arm, Form, Impression, Rewrite

SHOPPER = "search"


class Searches(Protocol):
    """The catalogue, as `agent.retrieval.catalogue.Catalogue`."""

    async def search(self, plan: Plan, *, size: int = 10, offset: int = 0, purpose: str = ...) -> Results:
        """Return one page; raises SearchFailed."""
        ...

    async def msearch(
        self, plans: list[Plan], *, size: int = 10, purpose: str, documents: bool = False
    ) -> list[Results]:
        """Return the first page of each plan; raises SearchFailed."""
        ...

    async def ready(self) -> bool:
        """Tell whether it answers."""
        ...


class Searcher:
    """Answers /search and /rewrite."""

    def __init__(
        self,
        settings: Settings,
        *,
        catalogue: Searches,
        chooser: Chooser,
        impressions: ImpressionBuffer,
        exploration: Exploration,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._keys = settings.keys
        self._catalogue = catalogue
        self._chooser = chooser
        self._impressions = impressions
        self._exploration = exploration
        self._clock = clock
        self.served = Served()
        self._lists = Lists(settings.plan, max_age_s=settings.serve.lists_max_age_s)

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Return one page; raises SearchFailed."""
        began_s = time.monotonic()
        with _timed("choose"):
            asked = await self._asked(request)
            chosen = await self._chooser.choose(asked)
        query_id = self._keys.new_query_id(request.user_query)
        with _timed("search"):
            chosen, page = await self._page(request, asked, chosen, query_id)
        if asked.teaches and asked.first_page:
            self._impressions.put(self._impression(request, asked, chosen, page, query_id))
        _count(request, asked, chosen)
        self.served.count(asked.arm, chosen, is_empty=not page.object_ids)
        STAGE_SECONDS.labels(stage="whole").observe(time.monotonic() - began_s)
        return SearchResponse(
            **_said(request.user_query, chosen, began_s),
            query_id=query_id,
            hits=page.hits(request.offset),
            total=page.total,
            arm=asked.arm.value,
        )

    async def rewrite(self, request: RewriteRequest) -> RewriteResponse:
        """Return what the stable ladder would search with."""
        began_s = time.monotonic()
        asked = Asked(user_query=request.user_query, wait_s=request.deadline_s, now_ms=self._clock())
        chosen = await self._chooser.choose(asked)
        return RewriteResponse(**_said(request.user_query, chosen, began_s))

    async def _asked(self, request: SearchRequest) -> Asked:
        asked = Asked(
            user_query=request.user_query,
            client_id=request.client_id,
            first_page=request.offset == 0,
            teaches=request.purpose == SHOPPER,
            wait_s=request.deadline_s,
            now_ms=self._clock(),
            purpose=request.purpose,
        )
        return await self._in_arm(asked) if asked.teaches else asked

    async def _in_arm(self, asked: Asked) -> Asked:
        settings = self._settings
        on_trial = self._chooser.on_trial
        arm = arm_of(asked.client_id, settings.tenant, settings.serve, on_trial.trial if on_trial else None)
        raw = arm is Arm.HOLDBACK
        found = await self._exploration.chance(asked.query, counts=asked.first_page and not raw)
        client = f"{settings.tenant}|{asked.client_id}"
        would_explore = explores(asked.query, client, asked.now_ms, found.chance)
        if raw:
            return replace(asked, arm=arm, aside=would_explore)
        if would_explore:
            arm, on_trial = Arm.EXPLORE, None
        return replace(asked, arm=arm, band=found.band, chance=found.chance, trial=on_trial)

    async def _page(
        self, request: SearchRequest, asked: Asked, chosen: Chosen, seed: str
    ) -> tuple[Chosen, Page]:
        """Search; beside a rewritten first page that teaches, the raw one in the same round trip.

        Where the pages are not those that a verdict rests on, the raw one is shown, and the choice says so.
        """
        if chosen.draw is not None:
            with contextlib.suppress(SearchFailed):  # of the whole round trip: the page alone may still come
                return chosen, await self._explored(request, asked, chosen, seed)
        if chosen.other is not None:
            with contextlib.suppress(SearchFailed):  # the other version's list is not worth a shopper's page
                return chosen, await self._compared(request, chosen, chosen.other)
        beside = request.purpose == SHOPPER and request.offset == 0 and not chosen.plan.is_raw
        if not beside:
            found = await self._catalogue.search(
                chosen.plan, size=request.size, offset=request.offset, purpose=request.purpose
            )
            raw_ids = found.object_ids if chosen.plan.is_raw else ()
            return chosen, page_of(found.object_ids, found, raw_object_ids=raw_ids)
        rewritten, raw = await self._catalogue.msearch(
            [chosen.plan, self._raw(request)], size=request.size, purpose=SHOPPER, documents=True
        )
        both = raw.object_ids, rewritten.object_ids
        chosen = self._chooser.checked(chosen, request.user_query, *both, size=request.size)
        shown = raw if chosen.plan.is_raw else rewritten
        return chosen, page_of(shown.object_ids, shown, raw_object_ids=raw.object_ids)

    async def _explored(self, request: SearchRequest, asked: Asked, chosen: Chosen, seed: str) -> Page:
        """Draft a page from raw and drawn list; look at the other choices' lists where they are not known."""
        assert chosen.draw is not None  # noqa: S101 - the caller looked
        look = Look(user_query=request.user_query, size=request.size, now_ms=asked.now_ms)
        shown = (self._raw(request), chosen.plan)
        plans = list(dict.fromkeys((*shown, *self._lists.missing(chosen.draw, look))))
        pages = await self._catalogue.msearch(plans, size=request.size, purpose=SHOPPER, documents=True)
        found = dict(zip(plans, pages, strict=True))
        self._lists.put(((one, page.object_ids) for one, page in found.items()), look)
        raw, drawn = (found[one] for one in shown)
        draft = team_draft(raw.object_ids, drawn.object_ids, size=request.size, seed=seed)
        page = page_of(draft.object_ids, raw, drawn, raw_object_ids=raw.object_ids, teams=draft.teams)
        draw = self._lists.numbered(chosen.draw, look)
        return replace(page, draw=draw and msgspec.structs.replace(draw, object_ids=drawn.object_ids))

    async def _compared(self, request: SearchRequest, chosen: Chosen, other: Plan) -> Page:
        """Return the page, which counts for the trial where the other version's list is another."""
        plans = list(dict.fromkeys((chosen.plan, self._raw(request), other)))
        pages = await self._catalogue.msearch(plans, size=request.size, purpose=SHOPPER, documents=True)
        found = dict(zip(plans, pages, strict=True))
        shown, raw = found[chosen.plan], found[self._raw(request)]
        page = page_of(shown.object_ids, shown, raw_object_ids=raw.object_ids)
        counts = differ(shown.object_ids, found[other].object_ids, request.size)
        return replace(page, trial=chosen.trial if counts else 0)

    def _raw(self, request: SearchRequest) -> Plan:
        return plan(request.user_query, "", self._settings.plan)

    def _impression(
        self, request: SearchRequest, asked: Asked, chosen: Chosen, page: Page, query_id: str
    ) -> Impression:
        return Impression(
            query_id=query_id,
            tenant=self._settings.tenant,
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
            purpose=request.purpose,
            application=request.application,
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


def _count(request: SearchRequest, asked: Asked, chosen: Chosen) -> None:
    labels = (asked.arm.value, chosen.decision.rung.value, chosen.decision.source)
    purpose = request.purpose if request.purpose == SHOPPER else "other"
    SEARCHES.labels(*labels, purpose).inc()
    VITALS["searches"] += 1
    VITALS["rewritten"] += not chosen.plan.is_raw
    VITALS[f"rung_{labels[1]}"] += 1
    VITALS[f"source_{labels[2]}"] += 1


@contextlib.contextmanager
def _timed(stage: str) -> Iterator[None]:
    began_s = time.monotonic()
    try:
        yield
    finally:
        STAGE_SECONDS.labels(stage=stage).observe(time.monotonic() - began_s)
