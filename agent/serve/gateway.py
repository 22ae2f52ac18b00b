"""The gateway: what shops and their shoppers talk to. FastAPI, no Ray.

Guarantees that a search is answered while OpenSearch answers, whatever else is away, and that bad input is a
4xx with its reason. Its background work (following the verdicts, writing impressions, vitals) lives and dies
with the application's lifespan.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.responses import JSONResponse, Response

from agent.retrieval.forwarding import Forwarder
from agent.sections import SHOP, Scope
from agent.serve.access import CollectCors, Gate, charge_of
from agent.serve.admin import make_admin, serving
from agent.serve.asking import LiveRewrites, RewriterClient
from agent.serve.background import Background
from agent.serve.cache import RewriteCache
from agent.serve.callers import Callers
from agent.serve.choosing import Chooser
from agent.serve.collect import add_collect
from agent.serve.dropin.plugin import UbiPlugin
from agent.serve.dropin.routes import add_drop_in
from agent.serve.dropin.searching import DropIn
from agent.serve.edge import BodyLimit, add_error_handlers
from agent.serve.events_doc import EVENTS_DOC, QUERIES_DOC
from agent.serve.exploring import Exploration
from agent.serve.filling import Filler
from agent.serve.fitting import Fitting
from agent.serve.headers_doc import BATCH_HEADERS, REWRITE_HEADERS, SEARCH_HEADERS
from agent.serve.histories import Histories
from agent.serve.hosting import tell_guests
from agent.serve.impressions import ImpressionBuffer
from agent.serve.intake import Intake
from agent.serve.known import Known
from agent.serve.lender import Lender
from agent.serve.limits import Limits
from agent.serve.own_time import OwnTime
from agent.serve.paging import Paging
from agent.serve.pins import Pins
from agent.serve.readiness import NEEDS, Need, Readiness
from agent.serve.reports import Reports
from agent.serve.rotation import tell_rotation
from agent.serve.schemas import (
    Accepted,
    Problem,
    RewriteRequest,
    RewriteResponse,
    SearchRequest,
    SearchResponse,
)
from agent.serve.searches import Searches
from agent.serve.searching import Searcher
from agent.serve.speaking import Speaker
from agent.serve.vitals import publish
from agent.settings import Settings
from feedback.access import Signer
from feedback.clock import Clock, wall_clock
from feedback.delivery.shedding import Shedder
from feedback.delivery.streams import StreamWriter
from feedback.evidence.popularity import Popularity
from feedback.stores.watching import warn_if_it_evicts

Job = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""Runs until the event is set; it raises for nothing that passes by itself."""
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (400, "The body is no JSON"),
        (401, "A secret key is needed: Authorization: Bearer KEY"),
        (403, "The key lacks this route's scope"),
        (413, "The body is too large"),
        (422, "A field is not as it must be"),
        (429, "Too many requests of this key a minute; come again after Retry-After"),
        (
            503,
            "OpenSearch (for events: the stream) gave no answer, or too much is asked at once",
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the gateway is made of; each can be a fake."""

    settings: Settings
    catalogue: Searches
    state: Redis
    cache: RewriteCache
    known: Known
    rewriter: RewriterClient
    signer: Signer
    writer: StreamWriter
    impressions: ImpressionBuffer
    popularity: Popularity
    pins: Pins
    shedder: Shedder
    guest: Searches | None = None
    """In its place for what nobody waits for: in shadow, all that is not raw."""
    clock: Clock = wall_clock
    rng: random.Random = field(default_factory=random.Random)
    announce: dict[str, str] = field(default_factory=dict)
    """Said in the vitals beside the figures, such as the URL."""
    faults: Callable[[], Awaitable[list[str]]] | None = None
    """Holds the search templates against the index; None: nobody looks."""
    forwarder: Forwarder | None = None
    """To OpenSearch, for its own clients; None: they are not served."""
    close: Callable[[], Awaitable[None]] | None = None
    """Called when the application ends."""

    @cached_property
    def readiness(self) -> Readiness:
        """Which of the dependencies are there."""
        return Readiness(
            {
                "opensearch": self.catalogue.ready,
                "redis": partial(_pings, self.state),
                "rewriter": self.rewriter.ready,
            }
        )


def make_app(parts: Parts, *, has_admin_port: bool = False) -> FastAPI:
    """Return the application; its lifespan runs the background work, and the admin port where it has one.

    The admin application is ``app.state.admin``; what is put into ``app.state.jobs`` before the start runs
    beside the other background work.
    """
    live = LiveRewrites(parts.rewriter, keep=parts.cache.take)
    lender = Lender(parts.known.index, (parts.guest or parts.catalogue).msearch, parts.settings)
    searcher = _searcher(parts, live, lender)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        admin_port = _admin_port(app, parts) if has_admin_port else contextlib.nullcontext()
        background = _background(app, parts)
        async with admin_port, background, contextlib.aclosing(searcher.shadow):
            yield
        await live.close()
        await lender.close()
        if parts.close is not None:
            await parts.close()

    app = FastAPI(
        title="Unseen",
        lifespan=lifespan,
        description="Search, with queries rewritten by what shoppers do.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.admin = make_admin(parts.settings, app)
    app.state.background, app.state.jobs = asyncio.Event(), list[Job]()
    app.state.searcher, app.state.intake = searcher, _intake(parts)
    app.state.filler = _filler(parts, live, lender)
    callers = Callers(parts.signer, parts.settings.access, parts.clock)
    reports = Reports(parts.writer, parts.pins, parts.settings, parts.clock)
    _add_edge(app, parts.settings)
    _add_shop_routes(app, searcher, callers, Background(parts.settings.serve.most_at_once))
    _add_intakes(app, app.state.intake, reports, callers)
    add_collect(app, app.state.intake, callers, PROBLEMS)
    _add_operator_routes(app, parts)
    _add_drop_in(app, parts, searcher, callers)
    return app


def _add_drop_in(app: FastAPI, parts: Parts, searcher: Searcher, callers: Callers) -> None:
    if parts.forwarder is None:
        return
    section = parts.settings.opensearch
    plugin = UbiPlugin(parts.forwarder, parts.settings.serve.drop_in_ubi)
    app.state.jobs.append(plugin.run)
    drop_in = DropIn(searcher, parts.forwarder, parts.catalogue.templates, callers, section, plugin)
    add_drop_in(app, drop_in, section.index, has_keys=parts.settings.access.is_keyed)


def _searcher(parts: Parts, live: LiveRewrites, lender: Lender) -> Searcher:
    chooser = Chooser(
        parts.settings,
        known=parts.known,
        cache=parts.cache,
        live=live,
        lender=lender,
        histories=Histories(parts.state, parts.settings),
        rng=parts.rng,
    )
    return Searcher(
        parts.settings,
        chooser=chooser,
        impressions=parts.impressions,
        paging=Paging(parts.settings, catalogue=parts.catalogue, pins=parts.pins, known=parts.known),
        exploration=Exploration(parts.settings.serve, parts.settings.feedback, parts.popularity),
        clock=parts.clock,
    )


def _filler(parts: Parts, live: LiveRewrites, lender: Lender) -> Filler:
    known, settings = parts.known, parts.settings
    speaker = Speaker(settings, known=known, cache=parts.cache, live=live, lender=lender)
    templates = parts.catalogue.templates
    return Filler(settings, redis=parts.state, known=known, templates=templates, speaker=speaker)


def _intake(parts: Parts) -> Intake:
    return Intake(parts.writer, parts.settings, parts.clock, parts.shedder)


def _add_edge(app: FastAPI, settings: Settings) -> None:
    """Add what a request passes before any route: CORS, then keys and limits, then the limit of its body."""
    access = settings.access
    limits = Limits(
        settings.serve.most_at_once,
        {Scope.SEARCH: access.searches_per_minute, Scope.EVENTS: access.events_per_minute},
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(Gate, routes=app.router.routes, settings=access, surface=SHOP, limits=limits)
    app.add_middleware(CollectCors, settings=access)
    app.add_middleware(OwnTime)  # the last one added is the first that a request meets
    add_error_handlers(app)


def _add_shop_routes(app: FastAPI, searcher: Searcher, callers: Callers, background: Background) -> None:
    @app.post("/search", responses=PROBLEMS, openapi_extra=SEARCH_HEADERS)
    async def search(request: SearchRequest, http: Request) -> SearchResponse:
        """Return one page, searched with the best rewrite that is known for the query."""
        with background.place(request.purpose):
            return await searcher.search(*callers.searching(request, http.headers))

    @app.post("/rewrite", responses=PROBLEMS, openapi_extra=REWRITE_HEADERS)
    async def rewrite(request: RewriteRequest, http: Request) -> RewriteResponse:
        """Return what would be searched."""
        return await searcher.rewrite(*callers.rewriting(request, http.headers))


def _add_intakes(app: FastAPI, intake: Intake, reports: Reports, callers: Callers) -> None:

    @app.post(
        "/events",
        status_code=202,
        response_model=Accepted,
        responses=PROBLEMS,
        openapi_extra=EVENTS_DOC | BATCH_HEADERS,
    )
    async def events(request: Request) -> Response:
        """Take what shoppers did (UBI 1.3.0), one, a list or NDJSON: 202 once it is in the stream.

        422 names the events that were refused; the others of the batch are taken all the same. Sending an
        event twice is harmless.
        """
        sender, charge = callers.server(request.headers), charge_of(request.scope)
        return await intake.take(await request.body(), sender, _kind(request), charge=charge)

    @app.post(
        "/queries",
        status_code=202,
        response_model=Accepted,
        responses=PROBLEMS,
        openapi_extra=QUERIES_DOC | BATCH_HEADERS,
    )
    async def queries(request: Request) -> Response:
        """Take what a shop that asks /rewrite showed (UBI 1.3.0 queries): 202 once it is in the stream.

        The query_id is the one that /rewrite returned within the last hour. 422 names the reports that were
        refused; the others of the batch are taken all the same.
        """
        sender, charge = callers.server(request.headers), charge_of(request.scope)
        return await reports.take(await request.body(), sender, _kind(request), charge=charge)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "")


def _add_operator_routes(app: FastAPI, parts: Parts) -> None:
    @app.get("/healthz", responses={503: {"description": "Start the process anew"}})
    async def healthz() -> JSONResponse:
        """Tell that the process and its background work live."""
        works = app.state.background.is_set()
        return JSONResponse({"status": "ok" if works else "dead"}, status_code=200 if works else 503)

    @app.get(
        "/readyz", responses={422: PROBLEMS[422], 503: {"description": "A dependency is missing; named"}}
    )
    async def readyz(needs: Annotated[list[Need], Query()] = list(NEEDS)) -> JSONResponse:  # noqa: B006
        """Tell whether the dependencies are there: ``?needs=opensearch`` asks what shoppers need at least."""
        missing = [name for name, there in (await parts.readiness.look(needs)).items() if not there]
        status = 503 if missing else 200
        return JSONResponse({"ready": not missing, "missing": missing}, status_code=status)


@contextlib.asynccontextmanager
async def _admin_port(app: FastAPI, parts: Parts) -> AsyncIterator[None]:
    """Serve the admin application meanwhile, and announce where."""
    async with serving(app.state.admin, parts.settings.serve) as url:
        parts.announce["admin_url"] = url
        yield


@contextlib.asynccontextmanager
async def _background(app: FastAPI, parts: Parts) -> AsyncIterator[None]:
    """Run the loops; one that dies ends the others and with them /healthz: the process is to be replaced."""
    stop, searcher, alive = asyncio.Event(), app.state.searcher, app.state.background
    alive.set()
    async with asyncio.TaskGroup() as group:
        group.create_task(warn_if_it_evicts(parts.state))
        group.create_task(parts.known.run(stop, parts.settings.serve.poll_s))
        group.create_task(app.state.filler.run(stop))
        group.create_task(parts.impressions.run(stop))
        group.create_task(tell_rotation(parts.state, parts.settings.keys, parts.signer))
        group.create_task(parts.pins.run(stop))
        group.create_task(parts.shedder.run(stop))
        group.create_task(searcher.served.run(parts.state, parts.settings.keys, stop))
        group.create_task(publish(parts.state, parts.settings.keys, "gateway", parts.announce, stop))
        group.create_task(tell_guests(parts.state, parts.settings, stop))
        if parts.faults is not None:
            group.create_task(Fitting(parts.faults, parts.announce).run(stop))
        for job in app.state.jobs:
            group.create_task(job(stop))
        try:
            yield
        finally:
            alive.clear()
            stop.set()


async def _pings(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False
