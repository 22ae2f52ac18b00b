"""A catalogue from a file in an index of its own: what every offline command stands on."""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from agent.retrieval import Catalogue
from agent.retrieval.lines import Document, documents
from agent.sections import OpenSearchSettings
from agent.settings import Settings

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is (0: unknown)."""
PATIENCE_S = 120.0
"""No shopper waits, and a machine that is busy learning may answer late."""


def titles_of(products: Sequence[bytes]) -> dict[str, str]:
    """Return the titles by object_id; lines that are no document are left out."""
    return {
        d.object_id: str(d.fields.get("title", "")) for d in documents(products) if isinstance(d, Document)
    }


def with_plain_query(settings: Settings) -> Settings:
    """Return the settings without the shop's templates: an index made of a file has other fields."""
    plain = settings.opensearch.model_copy(update={"templates": None})
    return settings.model_copy(update={"opensearch": plain})


@asynccontextmanager
async def indexed(
    products: Sequence[bytes], settings: OpenSearchSettings, purpose: str, on_progress: OnProgress
) -> AsyncIterator[Catalogue]:
    """Give the loaded catalogue; its index goes with it. Raises SearchFailed."""
    own = settings.model_copy(
        update={
            "index": f"{purpose}-{secrets.token_hex(6)}",
            "timeout_s": PATIENCE_S,
            "background_budget": False,  # no shopper searches it
        }
    )
    async with Catalogue(own) as catalogue:
        await catalogue.create_index()
        try:
            await catalogue.load(
                products, progress=lambda read, _: on_progress("catalogue", read, len(products))
            )
            yield catalogue
        finally:
            await catalogue.drop_index()
