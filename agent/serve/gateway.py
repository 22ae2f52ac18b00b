"""The gateway: what shops and their shoppers talk to. FastAPI, no Ray.

Guarantees that a search is answered while OpenSearch answers, whatever else is away, and that bad input is a
4xx with its reason. Its background work (following the verdicts, writing impressions, vitals) lives and dies
with the application's lifespan.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from fastapi import FastAPI, Query, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.responses import JSONResponse, Response

from agent.serve.asking import LiveRewrites, RewriterClient
from agent.serve.cache import RewriteCache
from agent.serve.choosing import Chooser
from agent.serve.edge import BodyLimit, add_error_handlers
from agent.serve.events_doc import EVENTS_DOC
from agent.serve.exploring import Exploration
from agent.serve.impressions import ImpressionBuffer
from agent.serve.intake import Intake
from agent.serve.known import Known
from agent.serve.lender import Lender
from agent.serve.schemas import (
    Accepted,
    Problem,
    RewriteRequest,
    RewriteResponse,
    SearchRequest,
    SearchResponse,
)
from agent.serve.searching import Searcher, Searches
from agent.serve.vitals import publish
from agent.settings import Settings
from feedback.clock import Clock, wall_clock
from feedback.popularity import Popularity
from feedback.streams import StreamWriter

Need = Literal["opensearch", "redis", "rewriter"]
NEEDS: tuple[Need, ...] = get_args(Need)
LOOK_S = 2.0  # the longest that a dependency is given to show that it is there
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (400, "The body is no JSON"),
        (413, "The body is too large"),
        (422, "A field is not as it must be"),
        (503, "OpenSearch (or for events the stream) gave no answer; come again"),
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
    writer: StreamWriter
    impressions: ImpressionBuffer
    popularity: Popularity
    clock: Clock = wall_clock
    rng: random.Random = field(default_factory=random.Random)
    announce: dict[str, str] = field(default_factory=dict)
    """Said in the vitals beside the figures, such as the URL."""
    close: Callable[[], Awaitable[None]] | None = None
    """Called when the application ends."""


def make_app(parts: Parts) -> FastAPI:
    """Return the application; its lifespan runs the background work."""
    live = LiveRewrites(parts.rewriter)
    lender = Lender(parts.known.index, parts.catalogue.msearch, parts.settings)
    chooser = Chooser(
        parts.settings,
        known=parts.known,
        cache=parts.cache,
        live=live,
        lender=lender,
        rng=parts.rng,
    )
    searcher = Searcher(
        parts.settings,
        catalogue=parts.catalogue,
        chooser=chooser,
        impressions=parts.impressions,
        exploration=Exploration(parts.settings.serve, parts.settings.feedback, parts.popularity),
        clock=parts.clock,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with _background(parts, searcher, app.state.background):
            yield
        await live.close()
        await lender.close()
        if parts.close is not None:
            await parts.close()

    app = FastAPI(
        title="Unseen", lifespan=lifespan, description="Search, with queries rewritten by what shoppers do."
    )
    app.state.background = asyncio.Event()
    app.state.searcher, app.state.intake = searcher, Intake(parts.writer, parts.settings, parts.clock)
    app.add_middleware(BodyLimit)
    add_error_handlers(app)
    _add_shop_routes(app, searcher, app.state.intake)
    _add_operator_routes(app, parts)
    return app


def _add_shop_routes(app: FastAPI, searcher: Searcher, intake: Intake) -> None:
    @app.post("/search", responses=PROBLEMS)
    async def search(request: SearchRequest) -> SearchResponse:
        """Return one page, searched with the best rewrite that is known for the query."""
        return await searcher.search(request)

    @app.post("/rewrite", responses=PROBLEMS)
    async def rewrite(request: RewriteRequest) -> RewriteResponse:
        """Return what would be searched."""
        return await searcher.rewrite(request)

    @app.post(
        "/events", status_code=202, response_model=Accepted, responses=PROBLEMS, openapi_extra=EVENTS_DOC
    )
    async def events(request: Request) -> Response:
        """Take what shoppers did (UBI 1.3.0): 202 once it is in the stream.

        422 names the events that were refused; the others of the batch are taken all the same. Sending an
        event twice is harmless.
        """
        return await intake.take(await request.body())


def _add_operator_routes(app: FastAPI, parts: Parts) -> None:
    @app.get("/healthz", responses={503: {"description": "Start the process anew"}})
    async def healthz() -> JSONResponse:
        """Tell that the process and its background work live."""
        works = app.state.background.is_set()
        return JSONResponse({"status": "ok" if works else "dead"}, status_code=200 if works else 503)

    @app.get("/readyz", responses={503: {"description": "A dependency is missing; the body names it"}})
    async def readyz(needs: Annotated[list[Need], Query()] = list(NEEDS)) -> JSONResponse:  # noqa: B006
        """Tell whether the dependencies are there: ``?needs=opensearch`` asks what shoppers need at least."""
        missing = [name for name, there in (await _look(parts)).items() if not there and name in needs]
        status = 503 if missing else 200
        return JSONResponse({"ready": not missing, "missing": missing}, status_code=status)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Return this process's metrics for Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@contextlib.asynccontextmanager
async def _background(parts: Parts, searcher: Searcher, alive: asyncio.Event) -> AsyncIterator[None]:
    """Run the loops; one that dies ends the others and with them /healthz: the process is to be replaced."""
    stop = asyncio.Event()
    alive.set()
    async with asyncio.TaskGroup() as group:
        group.create_task(parts.known.run(stop, parts.settings.serve.poll_s))
        group.create_task(parts.impressions.run(stop))
        group.create_task(searcher.served.run(parts.state, parts.settings.keys, stop))
        group.create_task(publish(parts.state, parts.settings.keys, "gateway", parts.announce, stop))
        try:
            yield
        finally:
            alive.clear()
            stop.set()


async def _look(parts: Parts) -> dict[str, bool]:
    answers = await asyncio.gather(
        _within(parts.catalogue.ready()), _within(_pings(parts.state)), _within(parts.rewriter.ready())
    )
    return dict(zip(NEEDS, answers, strict=True))


async def _pings(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False


async def _within(look: Any) -> bool:  # noqa: ANN401 - any awaitable of a truth
    try:
        async with asyncio.timeout(LOOK_S):
            return bool(await look)
    except TimeoutError:
        return False
