"""Redis: reachable, able to keep what it is given, quick; and the cache beside it."""

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from agent.doctor.check import Check, failed, ok, skipped, warning
from agent.doctor.clocks import judge_clock
from agent.doctor.looking import LIMIT_S, Look, bounded, look_all
from agent.doctor.model import VERSIONS, look_at_versions
from agent.doctor.processes import PROCESS, look_at_processes
from agent.doctor.secret import GATEWAYS, judge_fingerprint
from agent.settings import Settings
from agent.weights.registry import Registry
from feedback.clock import wall_clock
from feedback.evidence.decay import as_text
from feedback.stores import connect
from feedback.stores.watching import KEEPS, infos, memory_of

NAME = "redis"
VERSION, EVICTION, PERSISTENCE, MEMORY, LATENCY, CACHE, CLOCK = (
    f"redis {what}" for what in ("version", "eviction", "persistence", "memory", "latency", "cache", "clock")
)
REST = (VERSION, EVICTION, PERSISTENCE, MEMORY, LATENCY, CACHE, CLOCK, GATEWAYS, VERSIONS, PROCESS)
LEAST, TRIED = (6, 2), (7, 0)
"""6.2 has SET … GET and XAUTOCLAIM; tests run on 7.0 and on Valkey 9.1."""
PINGS = 5
SLOW_MS = 10.0
"""A search asks a few times, inside a deadline of a quarter of a second."""
REACH = "start it, or set redis.state_url"
LOOK_AT = "look at Redis' own log"
Facts = Mapping[str, Any]
"""A section of INFO, of one server."""


async def look_at_store(settings: Settings) -> list[Check]:
    """Look at it; where it gives no answer, at nothing more."""
    redis = connect(settings.redis.state_url, min(settings.redis.timeout_s, LIMIT_S))
    try:
        found = await bounded(Look(name=NAME, at=lambda: _reached(redis), do=REACH))
        if found[0].state == "failed":
            return [*found, *(skipped(name, "redis is away") for name in REST)]
        return found + await look_all(_looks(redis, settings))
    finally:
        await redis.aclose()


def _looks(redis: Redis, settings: Settings) -> list[Look]:
    shed_from, slack_s = settings.feedback.shed_from, settings.feedback.future_tolerance_s
    registry = Registry(redis, settings.keys)

    async def fingerprint() -> list[Check]:
        left = await redis.get(settings.keys.secret())
        return [judge_fingerprint(settings, as_text(left) if left else "")]

    at: dict[str, Callable[[], Awaitable[Sequence[Check]]]] = {
        VERSION: _told(redis, VERSION, "server", judge_version),
        EVICTION: _told(redis, EVICTION, "memory", judge_eviction),
        PERSISTENCE: _told(redis, PERSISTENCE, "persistence", judge_persistence),
        MEMORY: _told(redis, MEMORY, "memory", lambda facts: judge_memory(facts, shed_from)),
        LATENCY: lambda: look_at_latency(redis),
        CACHE: lambda: look_at_cache(settings),
        CLOCK: lambda: look_at_clock(redis, slack_s),
        GATEWAYS: fingerprint,
        VERSIONS: lambda: look_at_versions(registry, settings.policy.model),
        PROCESS: lambda: look_at_processes(redis, settings),
    }
    return [Look(name=name, at=look, do=LOOK_AT) for name, look in at.items()]


async def _reached(redis: Redis) -> list[Check]:
    try:
        await redis.ping()
    except (RedisError, OSError) as error:
        return [failed(NAME, str(error)[:300], REACH)]
    return [ok(NAME, "answers")]


def _told(
    redis: Redis, name: str, section: str, judge: Callable[[Sequence[Facts]], Check]
) -> Callable[[], Awaitable[list[Check]]]:
    async def look() -> list[Check]:
        try:
            return [judge(await infos(redis, section))]
        except ResponseError as error:  # an ACL, or a hosted one that keeps it to itself
            return [skipped(name, f"it does not say: {str(error)[:100]}")]

    return look


def judge_version(servers: Sequence[Facts]) -> Check:
    """Say whether each server knows the commands that are used."""
    told = ", ".join(sorted({_named(one) for one in servers}))
    oldest = min(_numbers(str(one.get("redis_version", "0"))) for one in servers)
    if oldest < LEAST:
        return failed(
            VERSION, told, f"run Redis {LEAST[0]}.{LEAST[1]} or newer, better {TRIED[0]}.{TRIED[1]}"
        )
    if oldest < TRIED:
        return warning(VERSION, told, f"Unseen is tried with Redis {TRIED[0]}.{TRIED[1]} and Valkey 9.1")
    return ok(VERSION, told)


def _named(server: Facts) -> str:
    if "valkey_version" in server:
        return f"Valkey {server['valkey_version']}"
    return f"Redis {server.get('redis_version', 'of unknown version')}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


def judge_eviction(servers: Sequence[Facts]) -> Check:
    """Say whether a full server would drop streams and evidence without a word."""
    policies = sorted({str(one.get("maxmemory_policy", KEEPS)) for one in servers})
    if policies == [KEEPS]:
        return ok(EVICTION, f"maxmemory-policy {KEEPS}")
    do = f"CONFIG SET maxmemory-policy {KEEPS}; the cache may have its own server: redis.cache_url"
    return failed(
        EVICTION, f"maxmemory-policy {', '.join(policies)}: full, it drops streams and evidence", do
    )


def judge_persistence(servers: Sequence[Facts]) -> Check:
    """Say what of the state outlives a server's end."""
    if any(one.get("loading") for one in servers):
        return warning(PERSISTENCE, "it still reads its files", "wait")
    for what in ("aof_last_write_status", "rdb_last_bgsave_status"):
        if any(str(one.get(what, "ok")) != "ok" for one in servers):
            do = "see whether its disk is full, and its log"
            return failed(PERSISTENCE, f"it could not write its files ({what})", do)
    if all(one.get("aof_enabled") for one in servers):
        return ok(PERSISTENCE, "appendonly yes")
    do = "CONFIG SET appendonly yes, and in its file: the evidence is in nothing else"
    return warning(PERSISTENCE, "appendonly no: what came after the last snapshot goes with the process", do)


def judge_memory(servers: Sequence[Facts], shed_from: Sequence[float]) -> Check:
    """Say how full the fullest server is."""
    full, used, most = max(map(memory_of, servers))
    found = f"{used / 1e6:,.0f} MB used, " + (
        f"{full:.0%} of {most / 1e6:,.0f} MB" if most else "no maxmemory"
    )
    do = "raise maxmemory, or keep less: feedback.ledger_days, feedback.queries_a_partition"
    if full >= shed_from[-1]:
        return failed(MEMORY, f"{found}: records of all kinds are shed", do)
    if full >= shed_from[0]:
        return warning(MEMORY, f"{found}: records are shed, the least dear first", do)
    if not most:
        do = (
            "set maxmemory below what the machine has: near it records are shed, beyond it nothing is written"
        )
        return warning(MEMORY, f"{found}: nothing is shed before the machine has none left", do)
    return ok(MEMORY, found)


async def look_at_latency(redis: Redis) -> list[Check]:
    """Measure a few round trips."""
    took_ms = []
    for _ in range(PINGS):
        began_s = time.monotonic()
        await redis.ping()
        took_ms.append((time.monotonic() - began_s) * 1000)
    return [judge_latency(statistics.median(took_ms))]


def judge_latency(median_ms: float) -> Check:
    """Say whether round trips leave a search its deadline."""
    found = f"{median_ms:.1f} ms a round trip (median of {PINGS})"
    if median_ms > SLOW_MS:
        do = "bring it nearer to the gateways: SLOWLOG GET and LATENCY DOCTOR say what holds it up"
        return warning(LATENCY, found, do)
    return ok(LATENCY, found)


async def look_at_cache(settings: Settings) -> list[Check]:
    """Look at the cache's own server, where it has one."""
    url = settings.redis.cache_url
    if not url or url == settings.redis.state_url:
        return [ok(CACHE, "on the state's server (redis.cache_url is empty)")]
    redis = connect(url, min(settings.redis.timeout_s, LIMIT_S))
    try:
        return [judge_cache(await infos(redis, "memory"))]
    except ResponseError as error:
        return [skipped(CACHE, f"it does not say: {str(error)[:100]}")]
    except (RedisError, OSError) as error:
        do = "start it, or set redis.cache_url; without it every rewrite is written anew"
        return [failed(CACHE, str(error)[:300], do)]
    finally:
        await redis.aclose()


def judge_cache(servers: Sequence[Facts]) -> Check:
    """Say whether a full cache makes room."""
    bounded_, keeps = (
        any(one.get("maxmemory", 0) for one in servers),
        any(str(one.get("maxmemory_policy", KEEPS)) == KEEPS for one in servers),
    )
    if bounded_ and keeps:
        return warning(
            CACHE,
            f"maxmemory-policy {KEEPS}: full, it takes nothing more",
            "CONFIG SET maxmemory-policy allkeys-lru",
        )
    return ok(CACHE, "a server of its own")


async def look_at_clock(redis: Redis, slack_s: float) -> list[Check]:
    """Compare the server's clock with ours."""
    before = wall_clock()
    seconds, micros = await redis.time()
    after = wall_clock()
    told = seconds * 1000 + micros // 1000
    return [judge_clock(CLOCK, (told - (before + after) / 2) / 1000, slack_s)]
