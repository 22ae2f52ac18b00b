"""Suspended rewrites that cannot be judged again hold up nobody else."""

from collections import Counter

from redis.asyncio import Redis

from agent.errors import SearchFailed
from agent.settings import Settings
from agent.verify.prior import Prior
from agent.verify.process import AFTER_FAILURE_S, _pass
from agent.verify.store import VerdictWriter
from agent.verify.verifier import Judged
from feedback.delivery.streams import FIELD
from feedback.keys import Keys
from feedback.records import LendingTerms
from feedback.stores import connect


class Stuck:
    """A verifier whose searches to judge again fail, and the others do not."""

    def __init__(self) -> None:
        self.serving, self.prior, self.reasons = 0, Prior(alpha=1.0), Counter[str]()
        self.terms = LendingTerms()
        self.done: tuple[str, ...] = ()

    async def recheck_suspended(self) -> Judged:
        self.done += ("suspended",)
        raise SearchFailed("too odd")

    async def step(self) -> Judged:
        self.done += ("step",)
        return Judged()

    async def recheck(self) -> Judged:
        self.done += ("recheck",)
        raise SearchFailed("too odd")


async def told(redis: Redis, settings: Settings) -> bool:
    return bool(await redis.exists(settings.keys.vitals("verifier")))


async def test_queries_that_fail_by_themselves_do_not_stop_the_passes(redis_url: str, tenant: str) -> None:
    settings, redis, stuck = Settings(tenant=tenant), connect(redis_url), Stuck()
    assert await _pass(stuck, redis, settings) == AFTER_FAILURE_S  # type: ignore[arg-type]
    assert stuck.done == ("suspended", "step", "recheck")
    assert await told(redis, settings)
    await redis.aclose()


async def test_an_entry_that_names_no_query_is_passed_over(redis_url: str, tenant: str) -> None:
    keys, redis = Keys(tenant=tenant), connect(redis_url)
    await redis.xadd(keys.suspended(), {"other": "all|couch"})
    await redis.xadd(keys.suspended(), {FIELD: b"all|\xff"})
    last = await redis.xadd(keys.suspended(), {FIELD: "all|couch"})
    read, names = await VerdictWriter(redis, keys).suspended(VerdictWriter.FIRST, 10)
    assert (read, names) == (last, ["all|\ufffd", "all|couch"])
    await redis.aclose()
