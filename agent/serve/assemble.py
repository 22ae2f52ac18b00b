"""From settings to the gateway's parts, with real stores behind them."""

from agent.retrieval.catalogue import Catalogue
from agent.retrieval.forwarding import Forwarder
from agent.retrieval.limiter import Limiter
from agent.serve.asking import RewriterClient
from agent.serve.background import WAIT_S
from agent.serve.cache import RewriteCache
from agent.serve.gateway import Parts
from agent.serve.impressions import ImpressionBuffer
from agent.serve.keys import with_keys
from agent.serve.known import Known
from agent.serve.pins import Pins
from agent.settings import Settings
from agent.signing import signer_of, with_secret
from feedback.clock import wall_clock
from feedback.delivery.shedding import Shedder
from feedback.delivery.streams import StreamWriter
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.popularity import Popularity
from feedback.stores import connect


def assemble(settings: Settings, rewriter: RewriterClient, *, url: str = "") -> Parts:
    """Return the parts; nothing is connected before its first use, and the application closes them.

    Raises:
        Permanent: the tenant's secret cannot be read or made, or a file with keys cannot be read.
    """
    settings = with_keys(with_secret(settings))
    keys = settings.keys
    state = connect(settings.redis.state_url, settings.redis.timeout_s)
    cached = connect(settings.redis.cache_url or settings.redis.state_url, settings.redis.timeout_s)
    waiting = Limiter(settings.opensearch.background_concurrency, wait_s=WAIT_S)
    catalogue = Catalogue(settings.opensearch, waiting)
    guest = Catalogue.as_guest(settings, state) if settings.serve.shadow else None
    forwarder = Forwarder(settings.opensearch, door=catalogue.door) if settings.serve.drop_in else None
    writer = StreamWriter(state, keys, settings.feedback)
    shedder = Shedder(state, keys, settings.feedback)

    async def close() -> None:
        await catalogue.close()
        if guest is not None:
            await guest.close()
        if forwarder is not None:
            await forwarder.close()
        await state.aclose()
        await cached.aclose()

    return Parts(
        settings=settings,
        catalogue=catalogue,
        guest=guest,
        state=state,
        cache=RewriteCache(
            cached, keys, ttl_s=settings.serve.cache_ttl_s, near_s=settings.serve.near_cache_s
        ),
        known=Known(state, keys, VerifiedIndex()),
        rewriter=rewriter,
        signer=signer_of(settings),
        writer=writer,
        impressions=ImpressionBuffer(writer, capacity=settings.serve.impression_buffer, shedder=shedder),
        shedder=shedder,
        pins=Pins(cached, keys, wall_clock, ttl_s=settings.serve.pin_ttl_s, capacity=settings.serve.pins),
        popularity=Popularity(state, keys, settings.feedback, wall_clock),
        faults=catalogue.faults,
        forwarder=forwarder,
        announce={"url": url} if url else {},
        close=close,
    )
