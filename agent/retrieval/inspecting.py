"""What OpenSearch says of itself: version, health, plugins, clock, and of an index its fields.

Changes nothing. Whatever OpenSearch does wrong is `SearchFailed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from agent.retrieval.connection import asked, client_of
from agent.sections import OpenSearchSettings


@dataclass(frozen=True, kw_only=True)
class Product:
    """What answers at the URL."""

    distribution: str
    """``opensearch``; empty: it does not say, as Elasticsearch."""
    version: str


class Inspector:
    """Asks one URL. Bound to the event loop of its first use; close it there."""

    def __init__(self, settings: OpenSearchSettings, url: str = "") -> None:
        """Ask at another URL than the shoppers' one where one is given."""
        self._index = settings.index
        self._client = client_of(url or settings.url, settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def product(self) -> Product:
        """Return what answers."""
        said = (await asked("admin", self._client.info))["version"]
        return Product(distribution=said.get("distribution", ""), version=said["number"])

    async def health(self) -> tuple[str, int]:
        """Return the index' health (green, yellow, red) and its shards that are not assigned."""
        index = self._index
        said = await asked("admin", lambda: self._client.cluster.health(index=index))
        return said["status"], int(said.get("unassigned_shards", 0))

    async def documents(self) -> int | None:
        """Return how many the index has; None: there is no index of that name."""
        index = self._index
        if not await asked("admin", lambda: self._client.indices.exists(index=index)):
            return None
        return int((await asked("admin", lambda: self._client.count(index=index)))["count"])

    async def fields(self) -> frozenset[str]:
        """Return the names of all fields that the index has."""
        index = self._index
        said = await asked("admin", lambda: self._client.field_caps(index=index, params={"fields": "*"}))
        return frozenset(said["fields"])

    async def plugins(self) -> frozenset[str]:
        """Return the plugins of all nodes."""
        rows: Sequence[Any] = await asked("admin", lambda: self._client.cat.plugins(format="json"))
        return frozenset(row["component"] for row in rows)

    async def clocks_ms(self) -> list[int]:
        """Return each node's time, as its answer was put together (Unix, UTC)."""
        said = await asked("admin", lambda: self._client.nodes.stats(metric="os"))
        return [int(node["timestamp"]) for node in said["nodes"].values()]
