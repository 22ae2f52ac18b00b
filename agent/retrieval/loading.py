"""Loads a catalogue in bulk; every line ends as a document or in the report."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from agent.retrieval.lines import Document, Line, documents
from agent.retrieval.results import LoadReport, Rejected

Progress = Callable[[int, int], None]
"""Called with lines read and documents loaded."""
Bulk = Callable[[list[dict[str, Any]]], Awaitable[list[dict[str, Any]]]]
"""Sends one bulk request's lines, returns its items in order."""


async def load(bulk: Bulk, lines: Iterable[Line], *, batch: int, progress: Progress | None) -> LoadReport:
    """Send the lines in batches; raises what `bulk` raises."""
    loaded, rejected = 0, list[Rejected]()
    for part in _batches(documents(lines), batch):
        good = [item for item in part if isinstance(item, Document)]
        refused = await _send(bulk, good)
        loaded += len(good) - len(refused)
        rejected += sorted(
            [*refused, *(item for item in part if isinstance(item, Rejected))], key=lambda r: r.line_no
        )
        if progress is not None:
            progress(part[-1].line_no, loaded)
    return LoadReport(loaded=loaded, rejected=rejected)


def _batches(items: Iterator[Document | Rejected], size: int) -> Iterator[list[Document | Rejected]]:
    while part := list(islice(items, size)):
        yield part


async def _send(bulk: Bulk, part: list[Document]) -> list[Rejected]:
    if not part:
        return []
    actions = [line for d in part for line in ({"index": {"_id": d.object_id}}, d.fields)]
    items = await bulk(actions)
    return [
        Rejected(
            line_no=document.line_no, object_id=document.object_id, reason=_reason(item["index"]["error"])
        )
        for document, item in zip(part, items, strict=True)
        if "error" in item["index"]
    ]


def _reason(error: Any) -> str:  # noqa: ANN401 - OpenSearch's errors have no one shape
    if not isinstance(error, dict):
        return str(error)
    cause = error.get("caused_by", {}).get("reason", "")
    return f"{error.get('type', 'error')}: {error.get('reason', '')}{f' ({cause})' if cause else ''}"
