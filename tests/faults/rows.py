"""The rows of the degradation table: what is broken, how, and what is promised meanwhile.

Each is broken for real: a process is killed or stopped, a server's memory is bounded, a way to a server is
made slow or cut, a file is spoiled.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis import Redis

from tests.faults import replicas, versions
from tests.faults.proxy import Fault, http_answer
from tests.faults.shop import Shop

Act = Callable[[Shop], Awaitable[None]]
OPENSEARCH_BACK_S = REDIS_BACK_S = 10.0
REPLICA_BACK_S = 30.0
SLOW_S = 0.3
FULL_BYTES = 1
"""Of Redis' ``maxmemory``: whatever it holds is more."""
PAGE, AWAY, THEIRS = "page", "503", "OpenSearch's own error"
LATE = "unseen_searches_total{stable,search,raw,raw:deadline"
BUSY = "unseen_searches_total{stable,search,raw,raw:busy"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One part that fails."""

    name: str
    begin: Act
    end: Act
    """Puts the part back; does nothing where it comes back by itself."""
    gets: tuple[str, ...] = (PAGE,)
    """What a shopper may get meanwhile: a page with its objects, or an honest 503 that says why;
    OpenSearch's own clients also its own error."""
    within_s: float
    """Longest time to it."""
    click_within_s: float = 5.0
    """Longest time to the answer about a click."""
    clicks_refused: bool = False
    """Whether some clicks are answered with 503, to be sent again."""
    counted: tuple[str, ...]
    """Beginnings of the names of figures of which each has risen."""
    back_within_s: float
    """From the part's return, or from its death where it comes back by itself."""
    hold_s: float = 2.0
    loses_requests: bool = False
    """Whether requests in flight may break: the process that held them was killed."""
    least_s: float = 0.0
    """What a shopper waits at least while it lasts: shows that the fault is there."""
    raw: bool = False
    """Whether no page begun in its first second has the live model's words."""
    from_start: bool = False
    """Whether its beginning takes a while and is a part of it."""
    kills: bool = False
    """Whether a process that serves ends by it, to be replaced by another."""
    by_clients: bool = False
    """Whether OpenSearch's own clients come too, to the drop-in."""
    in_bench_alone: bool = False
    """Takes too long for a test."""


async def nothing(_: Shop) -> None:
    """Leave it to recover."""


def search_is(fault: Fault) -> Act:
    """Return what makes the way to OpenSearch bad."""

    async def begin(shop: Shop) -> None:
        await asyncio.to_thread(shop.search_way.breaks, fault)

    return begin


async def search_refuses(shop: Shop) -> None:
    """Refuse connections to OpenSearch."""
    await asyncio.to_thread(shop.search_way.refuses)


async def search_passes(shop: Shop) -> None:
    """Let OpenSearch answer again."""
    await asyncio.to_thread(shop.search_way.passes)


async def redis_killed(shop: Shop) -> None:
    """Kill Redis."""
    await asyncio.to_thread(shop.redis.kill)


async def redis_started(shop: Shop) -> None:
    """Start Redis on its append-only file."""
    await asyncio.to_thread(shop.redis.start)


def redis_is(fault: Fault) -> Act:
    """Return what makes the way to Redis bad."""

    async def begin(shop: Shop) -> None:
        await asyncio.to_thread(shop.redis_way.breaks, fault)

    return begin


async def redis_passes(shop: Shop) -> None:
    """Let Redis answer as fast as it can."""
    await asyncio.to_thread(shop.redis_way.passes)


async def redis_bounced(shop: Shop) -> None:
    """Kill Redis and start it at once."""
    await redis_killed(shop)
    await redis_started(shop)


async def redis_restarted(shop: Shop) -> None:
    """Kill Redis and start it at once, on its append-only file."""
    before = await shop.pages()
    await redis_bounced(shop)
    assert before.keys() <= (await shop.pages()).keys(), "what Redis had acknowledged is lost"


def redis_holds(n_bytes: int) -> Act:
    """Return what bounds Redis' memory; 0: no bound."""

    async def begin(shop: Shop) -> None:
        with Redis.from_url(shop.redis.url) as redis:
            redis.config_set("maxmemory", n_bytes)

    return begin


def replica_gets(deployment: str, number: signal.Signals) -> Act:
    """Return what sends a signal to a deployment's replica."""

    async def act(_: Shop) -> None:
        await asyncio.to_thread(replicas.send, deployment, number)

    return act


async def gateway_killed(shop: Shop) -> None:
    """Kill the gateway while it waits for OpenSearch with requests in hand."""
    await search_is(Fault(delay_s=SLOW_S))(shop)
    await asyncio.sleep(2 * SLOW_S)
    await replica_gets("Gateway", signal.SIGKILL)(shop)


async def bad_versions_serve(shop: Shop) -> None:
    """Have versions serve that cannot be loaded: a torn one, one that is not finite, one of another model."""
    redis = shop.connected()
    for n, spoil in enumerate(versions.BAD, start=1):
        failures = await shop.told("rewriter", "weights_failures")
        await versions.serve(shop.settings, redis, spoil)
        async with asyncio.timeout(20):
            while await shop.told("rewriter", "weights_failures") == failures:
                await asyncio.sleep(0.05)
        shop.notes["refused"] = n
    await redis.aclose()


async def good_version_serves(shop: Shop) -> None:
    """Have one serve that loads."""
    redis = shop.connected()
    shop.version = await versions.serve(shop.settings, redis)
    await redis.aclose()


def rows(*, search_timeout_s: float, deadline_s: float, margin_s: float) -> tuple[Row, ...]:
    """Return the table for a gateway of these settings on a machine that may be late by a margin."""
    searched_s = search_timeout_s + deadline_s + margin_s
    chosen_s = deadline_s + margin_s
    busy = {"error": {"type": "rejected_execution_exception", "reason": "queue is full"}, "status": 429}
    broken = {"error": {"type": "search_phase_execution_exception", "reason": "all shards failed"}}
    late = ("unseen_search_errors_total",)
    failed = (*late, "unseen_opensearch_failures_total")
    delayed = "unseen_impression_buffer_total{delayed"
    uncached = ("unseen_cache_failures_total", "unseen_stream_failures_total", delayed)
    return (
        Row(
            name="OpenSearch slow",
            by_clients=True,
            begin=search_is(Fault(delay_s=SLOW_S)),
            end=search_passes,
            within_s=chosen_s + 3 * SLOW_S,
            least_s=SLOW_S,
            counted=("unseen_opensearch_seconds_sum",),
            back_within_s=OPENSEARCH_BACK_S,
        ),
        Row(
            name="OpenSearch hung",
            by_clients=True,
            begin=search_is(Fault(hangs=True)),
            end=search_passes,
            gets=(AWAY,),
            within_s=searched_s,
            hold_s=1.5 * search_timeout_s,
            least_s=search_timeout_s,
            counted=late,
            back_within_s=OPENSEARCH_BACK_S,
        ),
        Row(
            name="OpenSearch answers 429",
            by_clients=True,
            begin=search_is(Fault(answer=http_answer(429, busy))),
            end=search_passes,
            gets=(AWAY, THEIRS),
            within_s=chosen_s,
            counted=failed,
            back_within_s=OPENSEARCH_BACK_S,
        ),
        Row(
            name="OpenSearch answers 5xx",
            by_clients=True,
            begin=search_is(Fault(answer=http_answer(500, {**broken, "status": 500}))),
            end=search_passes,
            gets=(AWAY, THEIRS),
            within_s=chosen_s,
            counted=failed,
            back_within_s=OPENSEARCH_BACK_S,
        ),
        Row(
            name="OpenSearch refuses connections",
            by_clients=True,
            begin=search_refuses,
            end=search_passes,
            gets=(AWAY,),
            within_s=chosen_s,
            counted=failed,
            back_within_s=OPENSEARCH_BACK_S,
        ),
        Row(
            name="Redis refuses connections",
            by_clients=True,
            begin=redis_killed,
            end=redis_started,
            within_s=chosen_s,
            clicks_refused=True,
            counted=uncached,
            back_within_s=REDIS_BACK_S,
        ),
        Row(
            name="Redis hung",
            by_clients=True,
            begin=redis_is(Fault(hangs=True)),
            end=redis_passes,
            within_s=chosen_s,
            clicks_refused=True,
            hold_s=4.0,
            counted=uncached,
            back_within_s=REDIS_BACK_S,
        ),
        Row(
            name="Redis slow",
            by_clients=True,
            begin=redis_is(Fault(delay_s=SLOW_S)),
            end=redis_passes,
            within_s=chosen_s,
            counted=("unseen_cache_failures_total",),
            back_within_s=REDIS_BACK_S,
        ),
        Row(
            name="Redis full",
            by_clients=True,
            begin=redis_holds(FULL_BYTES),
            end=redis_holds(0),
            within_s=chosen_s,
            clicks_refused=True,
            counted=("unseen_shed_total",),
            back_within_s=REDIS_BACK_S,
        ),
        Row(
            name="Redis restarted",
            by_clients=True,
            begin=redis_restarted,
            end=nothing,
            within_s=chosen_s,
            hold_s=0.0,
            from_start=True,
            clicks_refused=True,
            counted=(),
            back_within_s=REDIS_BACK_S,
        ),
        Row(
            name="rewriter replica killed (out of memory too)",
            kills=True,
            begin=replica_gets("Rewriter", signal.SIGKILL),
            end=nothing,
            within_s=chosen_s,
            hold_s=0.0,
            raw=True,
            counted=(LATE,),
            back_within_s=REPLICA_BACK_S,
        ),
        Row(
            name="rewriter replica hung",
            begin=replica_gets("Rewriter", signal.SIGSTOP),
            end=replica_gets("Rewriter", signal.SIGCONT),
            within_s=chosen_s,
            hold_s=4.0,
            raw=True,
            counted=(LATE, "unseen_deadline_misses_total"),
            back_within_s=OPENSEARCH_BACK_S,
        ),
        Row(
            name="rewriter replica hung for good",
            kills=True,
            begin=replica_gets("Rewriter", signal.SIGSTOP),
            end=nothing,
            within_s=chosen_s,
            hold_s=0.0,
            counted=(LATE, BUSY),
            back_within_s=REPLICA_BACK_S,
            in_bench_alone=True,
        ),
        Row(
            name="versions that do not load",
            begin=bad_versions_serve,
            end=good_version_serves,
            within_s=chosen_s,
            hold_s=1.0,
            from_start=True,
            counted=(),
            back_within_s=OPENSEARCH_BACK_S,
        ),
        Row(
            name="gateway killed",
            kills=True,
            begin=gateway_killed,
            end=search_passes,
            within_s=REPLICA_BACK_S,
            click_within_s=REPLICA_BACK_S,
            hold_s=0.0,
            from_start=True,
            loses_requests=True,
            counted=("process_start_time_seconds",),
            back_within_s=REPLICA_BACK_S,
        ),
    )
