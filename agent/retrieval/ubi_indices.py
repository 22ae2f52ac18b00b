"""The indices in which UBI keeps queries and events.

Mappings as those of OpenSearch's UBI plugin (github.com/opensearch-project/user-behavior-insights,
``queries-mapping.json`` and ``events-mapping.json``), so that what reads its indices reads these. They are
made as index templates where there are none of that name; indices and templates that are there stay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from agent.retrieval.connection import asked, client_of
from agent.sections import OpenSearchSettings

TIMEOUT_S = 60.0
Fields = Mapping[str, Any]


def _keyword(limit: int) -> dict[str, Any]:
    return {"type": "keyword", "ignore_above": limit}


def _text() -> dict[str, Any]:
    return {"type": "text", "fields": {"keyword": _keyword(256)}}


QUERIES: dict[str, Any] = {
    "dynamic": False,
    "properties": {
        "timestamp": {"type": "date"},
        "query_id": _keyword(100),
        "query": {"type": "text"},
        "query_response_id": _keyword(100),
        "query_response_hit_ids": {"type": "keyword"},
        "user_query": _text(),
        "query_attributes": {"type": "flat_object"},
        "client_id": _keyword(100),
        "application": _keyword(100),
        "object_id_field": _keyword(100),
    },
}
EVENTS: dict[str, Any] = {
    "properties": {
        "application": _keyword(256),
        "action_name": _keyword(100),
        "query_id": _keyword(100),
        "client_id": _keyword(100),
        "session_id": _keyword(100),
        "message": _keyword(1024),
        "message_type": _keyword(100),
        "timestamp": {"type": "date", "format": "rfc3339_lenient||epoch_millis", "ignore_malformed": True},
        "event_attributes": {
            "dynamic": True,
            "properties": {
                "event_id": _keyword(128),
                "position": {"properties": {"ordinal": {"type": "integer"}}},
                "object": {
                    "properties": {
                        "internal_id": {"type": "keyword"},
                        "object_id": _keyword(512),
                        "object_id_field": _keyword(100),
                    }
                },
            },
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Written:
    """What became of a batch."""

    written: int
    refused: tuple[str, ...] = ()
    """``id: reason`` of each document that the index did not take."""


class UbiIndices:
    """Writes UBI documents. Bound to the event loop of its first use; close it there."""

    def __init__(self, settings: OpenSearchSettings, *, queries: str, events: str) -> None:
        self.queries = queries
        self.events = events
        self._client = client_of(settings.url, settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ensure(self) -> tuple[str, ...]:
        """Make the templates that are missing; return their names. Raises SearchFailed."""
        mappings = ((self.queries, QUERIES), (self.events, EVENTS))
        return tuple([name for name, mapping in mappings if await self._ensure(name, mapping)])

    async def write(self, documents: Sequence[tuple[str, str, Fields]]) -> Written:
        """Put documents (index, id, fields), each in place of an older one of its id; raises SearchFailed."""
        if not documents:
            return Written(written=0)
        lines = [
            line
            for index, one, fields in documents
            for line in ({"index": {"_index": index, "_id": one}}, fields)
        ]
        answer = await asked("bulk", lambda: self._client.bulk(body=lines, request_timeout=TIMEOUT_S))
        items = [item["index"] for item in answer["items"]]
        refused = tuple(f"{item['_id']}: {_reason(item['error'])}" for item in items if "error" in item)
        return Written(written=len(items) - len(refused), refused=refused)

    async def _ensure(self, name: str, mapping: Mapping[str, Any]) -> bool:
        indices, template = self._client.indices, f"unseen-{name}"
        if await asked("admin", lambda: indices.exists_index_template(name=template)):
            return False
        body = {"index_patterns": [name], "template": {"mappings": mapping}}
        await asked("admin", lambda: indices.put_index_template(name=template, body=body))
        return True


def _reason(error: Any) -> str:  # noqa: ANN401 - OpenSearch's errors have no one shape
    return f"{error.get('type')}: {error.get('reason')}" if isinstance(error, dict) else str(error)
