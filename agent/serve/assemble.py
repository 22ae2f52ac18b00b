"""From settings to the gateway's parts, with real stores behind them."""

from agent.retrieval.catalogue import Catalogue
from agent.serve.asking import RewriterClient
from agent.serve.cache import RewriteCache
from agent.serve.gateway import Parts
from agent.serve.impressions import ImpressionBuffer
from agent.serve.known import Known
from agent.settings import Settings
from feedback.clock import wall_clock
from feedback.neighbours import VerifiedIndex
from feedback.popularity import Popularity
from feedback.stores import connect
from feedback.streams import StreamWriter


def assemble(settings: Settings, rewriter: RewriterClient, *, url: str = "") -> Parts:
    """Return the parts; nothing is connected before its first use, and the application closes them."""
    keys = settings.keys
    state = connect(settings.redis.state_url, settings.redis.timeout_s)
    cached = connect(settings.redis.cache_url or settings.redis.state_url, settings.redis.timeout_s)
    catalogue = Catalogue(settings.opensearch)
    writer = StreamWriter(state, keys, settings.feedback)

    async def close() -> None:
        await catalogue.close()
        await state.aclose()
        await cached.aclose()

    return Parts(
        settings=settings,
        catalogue=catalogue,
        state=state,
        cache=RewriteCache(cached, keys, ttl_s=settings.serve.cache_ttl_s),
        known=Known(state, keys, VerifiedIndex()),
        rewriter=rewriter,
        writer=writer,
        impressions=ImpressionBuffer(writer, capacity=settings.serve.impression_buffer),
        popularity=Popularity(state, keys, settings.feedback, wall_clock),
        announce={"url": url} if url else {},
        close=close,
    )
