"""What goes wrong in the running loop, and how it is put right: processes, servers, senders, settings."""

import asyncio
import contextlib
import json
import signal
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import httpx

from agent.demo import watched
from agent.serve.replica import RewriterReplica
from feedback.clock import wall_clock
from feedback.delivery.dead_letters import DeadLetters, Which
from feedback.delivery.streams import FIELD
from tests.alerts.loop import WATCHER, Loop
from tests.faults import replicas, versions
from tests.faults.proxy import Fault as Broken

Act = Callable[[Loop], Awaitable[None]]
START_S = 120.0
"""That a process may take to be at work on a machine with much to do."""
SLOW_S = 1.3
"""More than the second from which a search is slow, with room below the time-out."""
WRONG_A_SECOND = 60
"""Clicks: many times the right ones."""
NEARLY_FULL = 0.85
"""Of Redis' memory: more than the alert's three quarters and what sheds pages, less than what refuses."""
BALLAST = "ballast"
BALLAST_BYTES = 64 << 20
"""Beside it what clients' buffers take, which comes and goes, is little."""
BUSY = {"error": {"type": "rejected_execution_exception", "reason": "queue is full"}, "status": 429}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong."""

    name: str
    begin: Act
    end: Act
    """Puts it right."""
    fires: tuple[str, ...]
    """Alerts that it fires, and that are gone after its end."""
    after: tuple[str, ...] = ()
    """Alerts that its end fires, since to put it right is an event too; gone by themselves."""
    meanwhile: tuple["Fault", ...] = ()
    """What goes wrong one after the other while it lasts."""
    lasts: bool = False
    """Whether it has gone on since the loop was started."""
    by_record: bool = False
    """Whether it stands in records that are written, since a shop has it after weeks alone."""

    @property
    def alerts(self) -> tuple[str, ...]:
        """Return all that it fires, sooner or later."""
        return self.fires + self.after

    def flat(self) -> Iterator["Fault"]:
        """Yield it and what it holds."""
        yield self
        for one in self.meanwhile:
            yield from one.flat()


async def nothing(_: Loop) -> None:
    """Leave it to the loop."""


def in_thread(work: Callable[[Loop], object]) -> Act:
    """Return an act that may block."""

    async def act(loop: Loop) -> None:
        await asyncio.to_thread(work, loop)

    return act


def search_is(fault: Broken) -> Act:
    """Return what makes the way to OpenSearch bad."""
    return in_thread(lambda loop: loop.shop.search_way.breaks(fault))


search_passes = in_thread(lambda loop: loop.shop.search_way.passes())
redis_refuses = in_thread(lambda loop: loop.shop.redis_way.refuses())
redis_passes = in_thread(lambda loop: loop.shop.redis_way.passes())


def killed(name: str) -> Act:
    """Return what ends a process at once."""
    return in_thread(lambda loop: loop.kill(name))


def started(name: str) -> Act:
    """Return what starts a process as it should be."""
    return in_thread(lambda loop: loop.start(name))


def target_lost(job: str) -> Act:
    """Return what takes a process from the targets that Prometheus finds; the process lives on."""

    def write(loop: Loop) -> None:
        path = loop.prometheus.targets
        draft = path.with_name(path.name + ".tmp")
        targets = json.loads(path.read_text())
        draft.write_text(json.dumps([one for one in targets if one["labels"]["job"] != job]))
        draft.replace(path)

    return in_thread(write)


targets_found = in_thread(lambda loop: watched.write_targets(loop.prometheus.targets, loop.tree))


async def learns_again(loop: Loop) -> None:
    """Start the learner with its right rate, and wait until it has learned."""
    await killed("learner")(loop)
    await started("learner")(loop)
    async with asyncio.timeout(START_S):
        while not await asyncio.to_thread(
            loop.prometheus.now, "up{job='learner'} and unseen_learner_updates_total > 0"
        ):
            await asyncio.sleep(0.5)


def replica_gets(number: signal.Signals) -> Act:
    """Return what sends a signal to the rewriter's replica."""
    return in_thread(lambda _: replicas.send("Rewriter", number))


async def replica_goes_on(loop: Loop) -> None:
    """Let the replica go on, unless Ray Serve has ended it and starts another."""
    with contextlib.suppress(LookupError):
        await replica_gets(signal.SIGCONT)(loop)


def redis_is_bounded(share: float) -> Act:
    """Return what bounds Redis' memory so that this share of it is used; 0: no bound."""

    def bound(loop: Loop) -> None:
        with loop.admin() as redis:
            if not share:
                redis.config_set("maxmemory", 0)
                redis.delete(BALLAST)
                return
            redis.setrange(BALLAST, BALLAST_BYTES, "x")  # a value that is sent takes its size in buffers too
            used = int(redis.info("memory")["used_memory"])
            redis.config_set("maxmemory", int(used / share))

    return in_thread(bound)


def watcher_may(word: str) -> Act:
    """Return what gives the exporter's user a right, or takes one."""

    def change(loop: Loop) -> None:
        with loop.admin() as redis:
            redis.acl_setuser(WATCHER, enabled=True, commands=[word])

    return in_thread(change)


async def unreadable_entry(loop: Loop) -> None:
    """Put into a stream what no collector can read."""
    redis = loop.shop.connected()
    await redis.xadd(loop.shop.settings.keys.events(0), {FIELD: b"no JSON"})
    await redis.aclose()


async def letters_dropped(loop: Loop) -> None:
    """Drop all dead letters, as `unseen dead drop` does."""
    settings, redis = loop.shop.settings, loop.shop.connected()
    letters = DeadLetters(redis, settings.keys, settings.feedback)
    for letter in [one async for one in letters.find(Which(), wall_clock())]:
        await letters.drop(letter)
    await redis.aclose()


def wrong_ids() -> tuple[Act, Act]:
    """Return what lets a part of the shop send clicks with ids of its own, and what ends it."""
    tasks: set[asyncio.Task[None]] = set()

    async def send(loop: Loop) -> None:
        async with httpx.AsyncClient(base_url=loop.shop.url, timeout=30) as http:
            while True:
                asked = {"user_query": "sofa sale", "client_id": f"sale-{uuid.uuid4().hex}"}
                page = (await http.post("/search", json=asked)).json()
                if "query_id" in page:
                    click = {"action_name": "click", "query_id": page["query_id"], **asked}
                    del click["user_query"]
                    events = [{**click, "object_id": f"sku-{n}"} for n in range(WRONG_A_SECOND)]
                    await http.post("/events", json=events)
                await asyncio.sleep(1.0)

    async def begin(loop: Loop) -> None:
        tasks.add(asyncio.create_task(send(loop)))

    async def end(_: Loop) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        tasks.clear()

    return begin, end


def another_machine() -> tuple[Act, Act]:
    """Return what starts a replica that does not reach the folder of weights, and what ends it."""
    running: list[RewriterReplica] = []

    async def begin(loop: Loop) -> None:
        settings = loop.shop.settings
        there = settings.model_copy(update={"data_dir": settings.data_dir / "another-machine"})
        replica = RewriterReplica(there)
        replica.start()
        running.append(replica)
        async with asyncio.timeout(60):
            while not await replica.ready():
                await asyncio.sleep(0.05)
        redis = loop.shop.connected()
        await versions.serve(settings, redis)
        await redis.aclose()

    async def end(_: Loop) -> None:
        await running.pop().stop()

    return begin, end
