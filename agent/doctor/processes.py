"""Which of our processes live, by what they last left in the store; they may run on any machine."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from redis.asyncio import Redis

from agent.doctor.check import Check, ok, warning
from agent.serve.fitting import UNCHECKED, fault_of, faults_of
from agent.settings import Settings
from agent.watching.reading import PROCESSES
from feedback import vitals
from feedback.collecting.backlog import Backlog, read_backlog
from feedback.evidence.decay import as_text

PROCESS = "processes"
STARTS = {"gateway": "serve", "rewriter": "serve"}
"""The command that starts a process, where it is not its own name."""
WITHOUT = {
    "gateway": "nobody can search",
    "rewriter": "nothing is written live",
    "verifier": "nothing is judged",
    "learner": "nothing is learned",
    "release": "no version is judged, tried or rolled back",
}
SCANNED = 200
"""Steps of a scan, a thousand keys each, in which other tenants' processes are looked for."""


async def look_at_processes(redis: Redis, settings: Settings) -> list[Check]:
    """Look at all; raises what Redis raises."""
    keys = settings.keys
    said = await vitals.read(redis, keys, PROCESSES)
    speaking = {name for name, figures in said.of.items() if figures}
    collectors = await redis.zcard(keys.collectors())
    backlog = await read_backlog(redis, keys)
    others = {} if len(speaking) == len(PROCESSES) else await elsewhere(redis, settings.tenant)
    return [
        *judge_speaking(settings.tenant, speaking, others),
        judge_collectors(collectors, backlog, keys.partitions),
        *judge_fitting(said.each["gateway"].values()),
    ]


async def elsewhere(redis: Redis, tenant: str) -> dict[str, list[str]]:
    """Return the processes that live under other tenants' names, as far as a bounded scan finds them."""
    found: dict[str, list[str]] = {}
    cursor = 0
    for _ in range(SCANNED):
        cursor, some = await redis.scan(cursor, match="unseen:{*}:vitals:*", count=1000)
        for key in map(as_text, some):
            name = key.partition("{")[2].partition("}")[0]
            process = key.partition(":vitals:")[2].partition(":")[0]
            if name != tenant and process not in found.setdefault(name, []):
                found[name].append(process)
        if not cursor:
            break
    return found


def judge_speaking(
    tenant: str, speaking: AbstractSet[str], others: Mapping[str, Sequence[str]]
) -> list[Check]:
    """Say who lives, and where whoever does not may be."""
    if not speaking:
        found = f"none lives as tenant {tenant}{_abroad(others)}"
        return [warning(PROCESS, found, "start unseen serve, collector, verifier, learner and release")]
    found_all = []
    for name in PROCESSES:
        if name in speaking:
            found_all.append(ok(name, f"lives as tenant {tenant}"))
            continue
        abroad = {other: [one for one in names if one == name] for other, names in others.items()}
        found = f"does not live: {WITHOUT[name]}{_abroad({o: n for o, n in abroad.items() if n})}"
        found_all.append(warning(name, found, f"unseen {STARTS.get(name, name)}"))
    return found_all


def _abroad(others: Mapping[str, Sequence[str]]) -> str:
    named = "; ".join(
        f"{', '.join(sorted(names))} as tenant {other}" for other, names in sorted(others.items())
    )
    return f" ({named}: the same UNSEEN_TENANT for all?)" if named else ""


def judge_fitting(gateways: Iterable[Mapping[str, str]]) -> list[Check]:
    """Say what the gateways found of their search templates, where that is not well."""
    return [
        warning(
            "gateway's templates",
            fault,
            "it goes on looking by itself"
            if fault == fault_of(UNCHECKED)
            else "`unseen templates` shows all that is wrong",
        )
        for fault in faults_of(gateways)
    ]


def judge_collectors(n: int, backlog: Backlog, partitions: int) -> Check:
    """Say whether the streams are read."""
    waiting = sum(backlog.entries.values())
    found = f"{n} live and own {backlog.owned} of {partitions} partitions; {waiting:,} entries wait"
    if not n:
        return warning(
            "collectors", f"none lives: clicks teach nothing; {waiting:,} entries wait", "unseen collector"
        )
    if backlog.owned < partitions:
        do = "within feedback.lease_s they take the rest over; if not, look at their logs"
        return warning("collectors", found, do)
    return ok("collectors", found)
