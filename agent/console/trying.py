"""Tries a query as the gateway would answer it, raw and rewritten side by side.

Guarantees that nothing is counted, logged as a page or learned from, unless it is done as the console's own
shopper; what that one does counts as any shopper's does. Of those who lent words, queries that few asked are
not named.
"""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.responses import Response

from agent.console.bodies import DidBody, Shopper, TryBody
from agent.console.crowds import public
from agent.evaluate.explaining_origin import origin, why, why_of
from agent.policy.plan import Plan
from agent.serve.callers import Caller, Callers
from agent.serve.gateway import Parts
from agent.serve.intake import Intake
from agent.serve.schemas import RewriteRequest, SearchRequest
from agent.serve.searching import Searcher
from feedback.evidence.crowds import CrowdReader

PURPOSE = "console"
SHOWN = 10
PATIENCE_S = 10.0
"""For the live model, in place of the deadline: what would come too late is shown all the same."""
NOBODY = Caller(query_id=PURPOSE)
OF_ARM = {
    "explore": "something is tried out on this page: it is drafted from the raw and a drawn list",
    "raw:holdback": "this shopper is one of the holdback: raw, always",
    "raw:shadow": "in shadow everybody gets the shop's own query",
    "raw:share": "of a query whose rewrite serves some searches get raw, so that it can be judged again",
    "raw:deadline": "the live model had no answer within the deadline",
    "raw:refused": "OpenSearch refuses the rewritten search",
}


class Trying:
    """Searches and acts for the page Try."""

    def __init__(self, app: FastAPI, parts: Parts, crowds: CrowdReader) -> None:
        self._parts = parts
        self._crowds = crowds
        self._searcher: Searcher = app.state.searcher
        self._intake: Intake = app.state.intake
        self._callers = Callers(parts.signer, parts.settings.access, parts.clock)

    async def search(self, body: TryBody) -> dict[str, Any]:
        """Return both pages and why; raises SearchFailed."""
        if body.shopper is None:
            return await self._aside(body.user_query)
        return await self._as_shopper(body.user_query, body.shopper)

    async def did(self, body: DidBody) -> Response:
        """Write down what the console's shopper did, as /events would."""
        event = {
            "action_name": body.action,
            "query_id": body.query_id,
            "client_id": body.shopper,
            "object_id": body.object_id,
            "occurred_at_ms": self._parts.clock(),
            "application": PURPOSE,
        }
        return await self._intake.take(json.dumps(event).encode(), self._callers.server(Headers()))

    async def _aside(self, query: str) -> dict[str, Any]:
        """Ask the ladder what the stable arm gets, and search both plans under the console's purpose."""
        request = RewriteRequest(user_query=query, deadline_s=PATIENCE_S)
        call = self._parts.catalogue.templates.call(request.template, request.params)
        asked, chosen = await self._searcher.decided(request, call, NOBODY, first_page=False)
        raw = Plan(user_query=query, call=call)
        plans = list(dict.fromkeys((raw, chosen.plan)))
        pages = await self._parts.catalogue.msearch(plans, size=SHOWN, purpose=PURPOSE, documents=True)
        found = dict(zip(plans, pages, strict=True))
        index, decision = self._parts.known.index, chosen.decision
        verdict = index.get(asked.query)
        of = origin(decision, near=decision.neighbours, candidates=(), index=index, query=asked.query)
        return {
            "user_query": query,
            "rewrite": chosen.plan.text,
            "form": chosen.plan.form.value,
            "rung": decision.rung.value,
            "source": decision.source,
            "version": chosen.version,
            "arm": asked.arm.value,
            "why": OF_ARM.get(decision.source) or why(decision, verdict),
            "origin": await public(of, self._crowds),
            "query_id": None,
            **_side_by_side(_objects(found[raw]), _objects(found[chosen.plan])),
        }

    async def _as_shopper(self, query: str, shopper: Shopper) -> dict[str, Any]:
        """Search as a shopper, page and all; the raw page beside it counts for nothing."""
        request = SearchRequest(user_query=query, client_id=shopper, size=SHOWN, application=PURPOSE)
        found = await self._searcher.search(*self._callers.searching(request, Headers()))
        call = self._parts.catalogue.templates.call(request.template, request.params)
        raw = await self._parts.catalogue.search(
            Plan(user_query=query, call=call), size=SHOWN, purpose=PURPOSE
        )
        shown = [(hit.object_id, str(hit.document.get("title", ""))) for hit in found.hits]
        verdict = self._parts.known.index.get(query)
        return {
            **found.model_dump(include={"user_query", "rewrite", "form", "rung", "source", "version", "arm"}),
            "why": OF_ARM.get(found.source) or why_of(found.source, verdict),
            "origin": {"kind": "raw"},
            "query_id": found.query_id,
            **_side_by_side(_objects(raw), shown),
        }


def _objects(page: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - Results, or a stand-in of its shape
    titles = page.titles or ("",) * len(page.object_ids)
    return list(zip(page.object_ids, titles, strict=True))


def _side_by_side(raw: Sequence[tuple[str, str]], shown: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return both pages, each object with its rank on the other one; None: it is not there."""
    return {"raw": _ranked(raw, shown), "shown": _ranked(shown, raw)}


def _ranked(page: Sequence[tuple[str, str]], other: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    ranks = {object_id: rank for rank, (object_id, _) in enumerate(other, start=1)}
    return [
        {"rank": rank, "object_id": object_id, "title": title, "other_rank": ranks.get(object_id)}
        for rank, (object_id, title) in enumerate(page, start=1)
    ]
