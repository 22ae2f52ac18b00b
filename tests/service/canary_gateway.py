"""A gateway around which everything fails with the shopper's own words, as a process whose log is read.

`python -m tests.service.canary_gateway WORD` asks it for the word in every way, prints the statuses, and
ends with an error that holds it. OpenSearch, stood in for, echoes what it was sent in each of its errors; the
rewriter raises the query.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.errors import SearchFailed
from agent.logs import configure
from agent.policy.plan import Plan
from agent.retrieval import Catalogue
from agent.serve.asking import RewriteAsk
from agent.serve.assemble import assemble
from agent.serve.gateway import make_app
from agent.settings import Settings
from agent.verify.process import _failed
from feedback.records import Rewrite
from tests.service.anybody import SECRET

ANSWERS = (400, 429, 500, 503, 0, 200)
"""Statuses that OpenSearch answers with in turn; 0: nothing that is JSON."""


class Echo:
    """An OpenSearch that fails, and says of what."""

    def __init__(self) -> None:
        self.status = 500

    async def answer(self, request: Request) -> Response:
        sent = (await request.body()).decode()
        if self.status == 0:
            return Response(f"<html>{sent}</html>", status_code=502, media_type="text/html")
        if self.status == 200:
            return JSONResponse(
                {"took": 1, "hits": {"hits": [{"_id": sent}]}, "responses": [{"_id": sent}] * 2}
            )
        cause = {"type": "parsing_exception", "reason": f"cannot parse {sent}"}
        error = {**cause, "root_cause": [cause], "failed_shards": [{"reason": cause}]}
        return JSONResponse({"error": error, "status": self.status}, status_code=self.status)


class Raising:
    """A rewriter whose errors repeat the query."""

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        raise ValueError(f"no words for {ask.query}")

    async def ready(self) -> bool:
        return True


@asynccontextmanager
async def served(app: Any, level: str) -> AsyncIterator[str]:  # noqa: ANN401
    config = uvicorn.Config(app, port=0, log_level=level, access_log=False, ws="none")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await running


async def main(word: str) -> None:
    """Ask for the word, whatever fails."""
    echo = Echo()
    routes = [Route("/{path:path}", echo.answer, methods=["GET", "POST", "HEAD"])]
    async with served(Starlette(routes=routes), "critical") as opensearch:
        settings = Settings.model_validate(
            {
                "access": {"secret": SECRET},
                "redis": {"state_url": "redis://127.0.0.1:1/0", "timeout_s": 0.2},
                "opensearch": {"url": opensearch},
                "serve": {"holdback_share": 0, "explore_share": 0, "raw_share": 0, "deadline_s": 0.1},
            }
        )
        configure(Settings().log, process="gateway")
        app = make_app(assemble(settings, Raising()))
        async with (
            served(app, "info") as gateway,
            httpx.AsyncClient(base_url=gateway, timeout=10) as http,
            Catalogue(settings.opensearch) as catalogue,
        ):
            for status in ANSWERS:
                echo.status = status
                print(status, await asked(http, f"{word} {status}"))  # noqa: T201
                await verified(catalogue, word)
            app.state.searcher.rewrite = broken
            print("bug", (await http.post("/rewrite", json={"user_query": word})).status_code)  # noqa: T201


async def broken(*_: object) -> None:
    """Fail as nobody foresaw, in a task of its own too."""
    request = _[0]
    lost = asyncio.ensure_future(asyncio.sleep(0, result=None))
    lost.add_done_callback(lambda _: 1 / len(str(request)[:0]))
    await lost
    raise RuntimeError(repr(request))


async def asked(http: httpx.AsyncClient, words: str) -> list[int]:
    """Return the statuses of every way to search for the words."""
    body = {"query": {"match": {"title": words}}, "ext": {"ubi": {"user_query": words, "client_id": "c"}}}
    plain = {"query": {"query_string": {"query": words}}}
    head = '{"index":"products"}\n'
    answers = [
        await http.post("/search", json={"user_query": words, "client_id": "c"}),
        await http.post("/rewrite", json={"user_query": words, "client_id": "c"}),
        await http.post("/products/_search", json=body),
        await http.post("/products/_search", json=plain),
        await http.get("/products/_search", params={"q": words}),
        await http.post("/_msearch", content=f"{head}{json.dumps(body)}\n"),
        await http.post("/search", json={"user_query": words, "size": words}),
        await http.post("/events", json={"action_name": words, "object_id": words}),
    ]
    return [answer.status_code for answer in answers]


async def verified(catalogue: Catalogue, words: str) -> None:
    """Search as the verifier does, and say what failed as it does."""
    plan = Plan(user_query=words)
    for search in (catalogue.search(plan, purpose="verify"), catalogue.msearch([plan], purpose="verify")):
        try:
            await search
        except SearchFailed as error:
            _failed(error)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    raise LookupError(f"the process ends for {sys.argv[1]}")
