"""Events from browsers: `POST /collect`.

Guarantees that a browser is let in with a public key and from a page of the shop alone, and that what it may
do without proof is bounded a network.
"""

import asyncio
import math
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from agent.serve.access import COLLECT
from agent.serve.callers import Callers
from agent.serve.edge import problem
from agent.serve.events_doc import EVENTS_DOC
from agent.serve.intake import Intake
from agent.serve.schemas import Problem
from agent.serve.senders import Browser

TAKEN, UNPROCESSABLE = 202, 422
BODY_S = 5.0
"""That a browser is given to send its events: it holds a place meanwhile, and needs no secret for it."""
Responses = dict[int | str, dict[str, Any]]


def add_collect(app: FastAPI, intake: Intake, callers: Callers, responses: Responses) -> None:
    """Add the route; the middlewares `CollectCors` and `Gate` belong to it."""
    ours: Responses = {
        401: {"model": Problem, "description": "No public key of the shop's"},
        403: {"model": Problem, "description": "Not from a page of the shop's"},
        404: {"model": Problem, "description": "No public keys are set"},
        408: {"model": Problem, "description": "The body did not come in time"},
        429: {"model": Problem, "description": "Too many without a client_token from one network"},
    }

    @app.post(COLLECT, status_code=204, responses={**responses, **ours}, openapi_extra=EVENTS_DOC)
    async def collect(request: Request, key: str = "") -> Response:
        """Take what a browser saw its shopper do: 204 once it is in the stream.

        The body is as for /events, as JSON or as text (`navigator.sendBeacon`); `key` is a public key.
        """
        del key  # named for the documentation; it may stand in a header as well
        refusal = callers.turned_away(request)
        if refusal is not None:
            return refusal
        sender = callers.browser(request)
        try:
            async with asyncio.timeout(BODY_S):
                body = await request.body()
        except TimeoutError:
            return problem(408, "slow", f"body: must be there within {BODY_S:g} s")
        answer = await intake.take(body, sender, request.headers.get("content-type", ""))
        if answer.status_code == TAKEN:
            return Response(status_code=204)
        return _too_many(answer, sender) if sender.wait_s else answer


def _too_many(answer: Response, sender: Browser) -> Response:
    """Return the refusal as one that time cures, where it is one of events."""
    if answer.status_code != UNPROCESSABLE:
        return answer
    said = Problem.model_validate_json(bytes(answer.body))
    limited = problem(429, "too_many", said.detail, accepted=said.accepted, refused=said.refused)
    limited.headers["Retry-After"] = str(math.ceil(sender.wait_s))
    return limited
