"""A page as it is shown."""

from dataclasses import dataclass
from typing import Any

from agent.retrieval.results import Results
from agent.serve.schemas import Hit
from feedback.records import Draw


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is shown."""

    object_ids: tuple[str, ...]
    scores: dict[str, float]
    documents: dict[str, dict[str, Any]]
    total: int
    raw_object_ids: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    draw: Draw | None = None
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
            )
            for place, object_id in enumerate(self.object_ids, start=1)
        ]


def page_of(
    object_ids: tuple[str, ...],
    *found: Results,
    raw_object_ids: tuple[str, ...],
    teams: tuple[str, ...] = (),
) -> Page:
    """Return the page of these objects, all of which were found by one of the searches."""
    scores: dict[str, float] = {}
    documents: dict[str, dict[str, Any]] = {}
    for results in found:
        scores |= dict(zip(results.object_ids, results.scores, strict=True))
        documents |= dict(zip(results.object_ids, results.documents, strict=False))
    return Page(
        object_ids=object_ids,
        scores=scores,
        documents=documents,
        total=max(results.total for results in found),
        raw_object_ids=raw_object_ids,
        teams=teams,
    )
