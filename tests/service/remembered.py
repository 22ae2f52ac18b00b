"""A catalogue whose pages are asked for once, and a gateway without HTTP: for long runs in virtual time.

Guarantees that a page is the one that the real OpenSearch gave since the catalogue changed last. The gateway
is the real one behind its routes: what is left out is the serialising of requests.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from typing_extensions import override

from agent.demo.client import Gateway, Page
from agent.demo.shop import Action, Product, Visit
from agent.policy.plan import Plan
from agent.retrieval import Catalogue
from agent.retrieval.results import Results
from agent.serve.callers import Caller
from agent.serve.intake import Intake
from agent.serve.schemas import SearchRequest
from agent.serve.searching import Searcher
from feedback.clock import Clock
from feedback.keys import Keys
from tests.service.anybody import AnySender

OK = 202


class RememberedPages:
    """Searches the catalogue, and a plan once only between two changes."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.templates = catalogue.templates
        self._pages: dict[tuple[Plan, int, int], Results] = {}
        self.searches = 0
        """That OpenSearch answered."""

    async def search(
        self,
        plan: Plan,
        *,
        size: int = 10,
        offset: int = 0,
        purpose: str = "search",
        without: Sequence[str] = (),
    ) -> Results:
        """Return one page; raises SearchFailed."""
        if without:
            return await self._catalogue.search(
                plan, size=size, offset=offset, purpose=purpose, without=without
            )
        if (plan, size, offset) not in self._pages:
            self.searches += 1
            page = await self._catalogue.search(plan, size=size, offset=offset, purpose=purpose)
            self._pages[plan, size, offset] = page
        return self._pages[plan, size, offset]

    async def msearch(
        self, plans: Sequence[Plan], *, size: int = 10, purpose: str, documents: bool = False
    ) -> list[Results]:
        """Return the first page of each plan, in order; raises SearchFailed if any one has none."""
        del documents  # they are there always
        new = [plan for plan in dict.fromkeys(plans) if (plan, size, 0) not in self._pages]
        self.searches += len(new)
        found = await self._catalogue.msearch(new, size=size, purpose=purpose, documents=True) if new else []
        self._pages.update({(plan, size, 0): page for plan, page in zip(new, found, strict=True)})
        return [self._pages[plan, size, 0] for plan in plans]

    async def ready(self) -> bool:
        """Tell whether OpenSearch answers."""
        return await self._catalogue.ready()

    async def change(self, leaving: Iterable[str], coming: Iterable[Product]) -> None:
        """Take products out of the index and bring others in; nobody else is told."""
        await self._catalogue.delete(leaving)
        report = await self._catalogue.load(json.dumps(product.document()) for product in coming)
        if report.rejected:
            raise ValueError(f"products were refused: {report.rejected[0]}")
        self._pages.clear()


class DirectGateway(Gateway):
    """The gateway's search and intake, called in the process, behind its edge: ids stay as they are."""

    def __init__(self, searcher: Searcher, intake: Intake, keys: Keys, clock: Clock) -> None:
        super().__init__("http://nowhere", clock=clock)
        self._keys = keys
        self._searcher = searcher
        self._intake = intake

    @override
    async def _search(self, request: dict[str, Any]) -> Page:
        caller = Caller(query_id=self._keys.new_query_id(request["user_query"]))
        answer = await self._searcher.search(SearchRequest(**request), caller)
        return Page(
            query_id=answer.query_id,
            object_ids=tuple(hit.object_id for hit in answer.hits),
            titles=(),
            rewrite=answer.rewrite,
            arm=answer.arm,
            rung=answer.rung,
            source=answer.source,
            version=answer.version,
        )

    @override
    async def act(self, visit: Visit, page: Page, actions: Sequence[Action]) -> None:
        body = json.dumps({"events": self.events(visit, page, actions)}).encode()
        response = await self._intake.take(body, AnySender())
        if response.status_code != OK:
            raise ValueError(f"the events were refused: {bytes(response.body).decode()}")
