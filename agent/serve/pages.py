"""A page as it is shown."""

from dataclasses import dataclass, replace
from typing import Any

from agent.retrieval.results import Results
from agent.serve.drafting import Drafted
from agent.serve.schemas import Hit
from feedback.records import Draw


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is shown."""

    object_ids: tuple[str, ...]
    scores: dict[str, float]
    documents: dict[str, dict[str, Any]]
    extras: dict[str, dict[str, Any]]
    total: int
    raw_object_ids: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    draw: Draw | None = None
    aggregations: dict[str, Any] | None = None
    """Facets of what was searched first."""
    trial: int = 0
    """See Impression."""

    def hits(self, offset: int) -> list[Hit]:
        """Return its objects, numbered over all pages."""
        return [
            Hit(
                object_id=object_id,
                ordinal=offset + place,
                score=self.scores[object_id],
                document=self.documents.get(object_id, {}),
                extra=self.extras.get(object_id, {}),
            )
            for place, object_id in enumerate(self.object_ids, start=1)
        ]


def page_of(
    object_ids: tuple[str, ...],
    *found: Results,
    raw_object_ids: tuple[str, ...],
) -> Page:
    """Return the page of these objects, all of which were found by one of the searches."""
    scores: dict[str, float] = {}
    documents: dict[str, dict[str, Any]] = {}
    extras: dict[str, dict[str, Any]] = {}
    for results in found:
        scores |= dict(zip(results.object_ids, results.scores, strict=True))
        documents |= dict(zip(results.object_ids, results.documents, strict=False))
        extras |= dict(zip(results.object_ids, results.extras, strict=False))
    return Page(
        object_ids=object_ids,
        scores=scores,
        documents=documents,
        extras=extras,
        total=max(results.total for results in found),
        raw_object_ids=raw_object_ids,
        aggregations=next((r.aggregations for r in found if r.aggregations is not None), None),
    )


def with_draft(page: Page, draft: Drafted) -> Page:
    """Return the page with all that makes it one drafted from two lists."""
    return replace(page, raw_object_ids=draft.raw_object_ids, teams=draft.teams, draw=draft.draw)
