"""Whether all that belongs to a shop is there and well: dependencies, processes, store, intake."""

from collections.abc import Mapping
from typing import Any

import msgspec
from redis.asyncio import Redis

from agent.serve.fitting import faults_of
from agent.serve.gateway import Parts
from agent.weights.registry import Registry
from feedback import vitals
from feedback.collecting.counts import read_counts
from feedback.evidence.decay import as_text
from feedback.keys import Keys
from feedback.stores.watching import memories

OFTEN = 0.9
"""Of Redis' memory, from which it is told as a fault: records are shed beyond."""


async def told(parts: Parts) -> dict[str, Any]:
    """Return the health of everything; what cannot be asked is told as missing."""
    there = await parts.readiness.look()
    if not there["redis"]:
        return {"ready": False, "needs": there, "faults": ["redis does not answer"], "processes": []}
    redis, keys = parts.state, parts.settings.keys
    said = await vitals.read(redis, keys)
    counts = await read_counts(redis, keys)
    store = await store_of(redis, keys)
    paused = await Registry(redis, keys).paused()
    return {
        "ready": all(there.values()),
        "needs": there,
        "faults": faults(there, said, store, paused),
        "processes": [{"name": name, "figures": dict(figures)} for name, figures in said.of.items()],
        "store": store,
        "dropped": dict(counts.dropped),
        "paused": msgspec.to_builtins(dict(paused)),
        "shadow": parts.settings.serve.shadow,
        "tenant": parts.settings.tenant,
        "url": parts.announce.get("url", ""),
    }


def faults(
    there: Mapping[str, bool],
    said: vitals.Vitals,
    store: Mapping[str, Any],
    paused: Mapping[str, Any],
) -> list[str]:
    """Return what is not as it should be, as sentences; empty: all is well."""
    found = [f"{name} does not answer" for name, is_there in there.items() if not is_there]
    found += [f"the {name} does not speak" for name in store["silent"]]
    found += [
        f"the {name} does not speak"
        for name, figures in said.of.items()
        if not figures and name != "collector"
    ]
    found += [f"{what} is paused" for what in paused]
    found += faults_of(said.each.get("gateway", {}).values())
    if store["dead_letters"]:
        found.append(f"{store['dead_letters']} dead letters: unseen dead list")
    if (share := store["memory_share"]) is not None and share > OFTEN:
        found.append(f"Redis has used {share:.0%} of its memory")
    if store["shed"]:
        found.append(f"{store['shed']} records were shed since the store began: unseen_shed_total says which")
    return found


async def store_of(redis: Redis, keys: Keys) -> dict[str, Any]:
    """Return what waits in the store, what it lost, and its fullest server; raises what Redis raises."""
    async with redis.pipeline(transaction=False) as pipe:
        for p in range(keys.partitions):
            pipe.xlen(keys.dead(p))
        for p in range(keys.partitions):
            pipe.xlen(keys.events(p))
            pipe.xlen(keys.impressions(p))
        pipe.zcard(keys.collectors())
        pipe.hgetall(keys.shed())
        pipe.hlen(keys.quarantined())
        replies = await pipe.execute()
    n, servers = keys.partitions, await memories(redis)
    fullest = max(servers)
    collectors, shed, quarantined = replies[3 * n :]
    return {
        "dead_letters": sum(replies[:n]),
        "waiting": sum(replies[n : 3 * n]),
        "collectors": collectors,
        "silent": [] if collectors else ["collector"],
        "shed": sum(int(as_text(one)) for one in shed.values()),
        "quarantined": quarantined,
        "servers": len(servers),
        "memory_bytes": fullest.used,
        "memory_share": fullest.full if fullest.most else None,
    }
