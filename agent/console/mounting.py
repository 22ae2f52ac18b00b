"""The console's routes, put on the admin port of a gateway.

Guarantees that they are as closed as the rest of that port (`agent.serve.scopes`), that nothing changes but
by POST, from the console's own page and with a key of the scope admin, and that no answer is kept by a cache.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from redis.exceptions import RedisError
from starlette.responses import JSONResponse, RedirectResponse, Response

from agent.console import health
from agent.console.bodies import DidBody, PauseBody, PromoteBody, ResumeBody, RollBackBody, TryBody
from agent.console.crowds import Crowds, public
from agent.console.files import SAFE, answer, read_files
from agent.console.operators import Operators, from_elsewhere
from agent.console.queries import JudgedQueries, Sort, Verdict, Wanted
from agent.console.trying import Trying
from agent.console.versions import Versions
from agent.errors import Corrupt, Permanent
from agent.evaluate import explaining_reading
from agent.serve.edge import problem
from agent.serve.gateway import Parts
from agent.serve.schemas import UserQuery
from agent.watching.curves import Curves
from feedback.evidence.crowds import CrowdReader

PAGE = "/console/"
API = "/console/api"
FEW = "fewer clients than feedback.min_clients ({n}) asked it, or nobody: what is known of it is not shown"


def add_console(app: FastAPI, parts: Parts) -> None:
    """Put the console on the gateway's admin port, and its sampling among the background work."""
    admin: FastAPI = app.state.admin
    curves = Curves(parts.state, parts.settings.keys, parts.clock)
    app.state.jobs.append(curves.run)
    operators = Operators(parts.settings.access)
    _add_errors(admin)
    _add_page(admin, keyed=parts.settings.access.has_admin_key)
    _add_looks(admin, parts, operators, curves)
    settings = parts.settings
    few = CrowdReader(parts.state, settings.keys, settings.feedback.min_clients)
    crowds = Crowds(few, settings)
    _add_queries(admin, parts, crowds)
    _add_try(admin, Trying(app, parts, crowds), operators)
    _add_versions(admin, Versions(parts), operators)


def _add_errors(admin: FastAPI) -> None:
    @admin.exception_handler(Permanent)
    async def permanent(_: Request, error: Exception) -> Response:
        return problem(409, "refused", str(error))

    @admin.exception_handler(Corrupt)
    async def corrupt(_: Request, error: Exception) -> Response:
        return problem(409, "damaged", str(error))

    @admin.exception_handler(RedisError)
    async def away(_: Request, error: Exception) -> Response:
        del error
        return problem(503, "store_away", "Redis gave no answer; what serves goes on")

    @admin.middleware("http")
    async def unkept(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        if not request.url.path.startswith(API):
            return await go_on(request)
        if from_elsewhere(request):  # it could not read the answer, but have the work done
            return problem(403, "forbidden", "only the console's own page may ask this")
        said = await go_on(request)
        said.headers.update(SAFE | {"Cache-Control": "no-store"})
        return said


def _add_page(admin: FastAPI, *, keyed: bool) -> None:
    files = read_files()

    @admin.get("/console", name="console_file", include_in_schema=False)
    async def enter() -> Response:
        return RedirectResponse(PAGE)

    @admin.get("/console/door.json", name="console_file", include_in_schema=False)
    async def door() -> Response:
        return JSONResponse({"keyed": keyed}, headers=SAFE | {"Cache-Control": "no-store"})

    @admin.get("/console/{name}", name="console_file", include_in_schema=False)
    async def file(name: str, request: Request) -> Response:
        return answer(files, name, request)

    @admin.get(PAGE, name="console_file", include_in_schema=False)
    async def page(request: Request) -> Response:
        return answer(files, "", request)


def _add_looks(admin: FastAPI, parts: Parts, operators: Operators, curves: Curves) -> None:
    @admin.get(f"{API}/who", name="console_who")
    async def who(request: Request) -> dict[str, Any]:
        """Tell whose key it is, and whether it may change anything."""
        name = operators.name(request)
        return {"name": name, "acts": name is not None, "tenant": parts.settings.tenant}

    @admin.get(f"{API}/live", name="console_live")
    async def live() -> dict[str, Any]:
        """Return arms, reward and lift as they grew."""
        return await curves.told()

    @admin.get(f"{API}/health", name="console_health")
    async def well() -> dict[str, Any]:
        """Return what is there and what is not."""
        return await health.told(parts)


def _add_queries(admin: FastAPI, parts: Parts, crowds: CrowdReader) -> None:
    settings = parts.settings
    judged = JudgedQueries(parts.known.index, crowds, settings)
    one_by_one = asyncio.Semaphore()

    @admin.get(f"{API}/queries", name="console_queries")
    async def queries(
        search: Annotated[str, Query(max_length=512)] = "",
        verdict: Verdict = "serves",
        sort: Sort = "gain",
        *,
        descending: bool = False,
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        size: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        """Return one page of the judged queries."""
        wanted = Wanted(
            search=search, verdict=verdict, sort=sort, descending=descending, page=page, size=size
        )
        return {**await judged.page(wanted), "min_clients": judged.least}

    @admin.get(f"{API}/query", name="console_query")
    async def query(query: Annotated[UserQuery, Query()]) -> Response:
        """Return what a query gets and why, as `unseen explain --no-model`."""
        if not await judged.may_show(query):
            return JSONResponse({"shown": False, "why": FEW.format(n=judged.least)})
        wanted = explaining_reading.Wanted(query=query, model=False)
        index, clock = parts.known.index, parts.clock
        async with one_by_one:  # each searches the catalogue
            told = await explaining_reading.read(settings, wanted, clock=clock, index=index)
        for one in filter(None, (told["now"], told["canary"])):
            one["origin"] = await public(one["origin"], crowds)
        return JSONResponse(told | {"shown": True})


def _add_try(admin: FastAPI, trying: Trying, operators: Operators) -> None:
    @admin.post(f"{API}/try", name="console_try")
    async def search(body: TryBody, request: Request) -> dict[str, Any]:
        """Search a query both ways; as a shopper it counts."""
        operators.from_page(request)
        if body.shopper is not None:
            operators.acting(request)
        return await trying.search(body)

    @admin.post(f"{API}/did", name="console_did")
    async def did(body: DidBody, request: Request) -> Response:
        """Click or buy as the console's shopper."""
        operators.acting(request)
        return await trying.did(body)


def _add_versions(admin: FastAPI, versions: Versions, operators: Operators) -> None:
    @admin.get(f"{API}/versions", name="console_versions")
    async def every() -> dict[str, Any]:
        """Return the versions and what was done to them."""
        return await versions.all()

    @admin.get(f"{API}/version", name="console_version")
    async def one(version: Annotated[int, Query(ge=1)]) -> dict[str, Any]:
        """Return all that is known of a version."""
        return await versions.one(version)

    @admin.post(f"{API}/promote", name="console_promote")
    async def promote(body: PromoteBody, request: Request) -> dict[str, Any]:
        """Let a version serve now."""
        return await versions.promote(body, operators.acting(request))

    @admin.post(f"{API}/roll_back", name="console_roll_back")
    async def roll_back(body: RollBackBody, request: Request) -> dict[str, Any]:
        """Take the serving version out, or the one on trial."""
        return await versions.roll_back(body, operators.acting(request))

    @admin.post(f"{API}/pause", name="console_pause")
    async def pause(body: PauseBody, request: Request) -> dict[str, Any]:
        """Stop learning or releases."""
        return await versions.pause(body, operators.acting(request))

    @admin.post(f"{API}/resume", name="console_resume")
    async def resume(body: ResumeBody, request: Request) -> dict[str, Any]:
        """Let it go on."""
        return await versions.resume(body, operators.acting(request))
