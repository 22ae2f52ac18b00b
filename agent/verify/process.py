"""The verifier as a process: passes, pauses, vitals, and one supervisor around them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping

import structlog
from redis.asyncio import Redis

from agent.errors import SearchFailed
from agent.retrieval import Catalogue
from agent.settings import Settings
from agent.verify.metrics import FAILURES
from agent.verify.store import LEASE_S, LeaseLostError, VerdictWriter
from agent.verify.verifier import Judged, Verifier
from feedback.clock import Clock, wall_clock
from feedback.errors import REDIS_TRANSIENT
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.reading import EvidenceReader
from feedback.keys import Keys
from feedback.periodic import periodically, rest
from feedback.stores import connect

VITALS_TTL_S = 60
AFTER_FAILURE_S = 1.0
log = structlog.get_logger()


async def run(settings: Settings, stop: asyncio.Event, *, clock: Clock = wall_clock) -> None:
    """Judge until told to stop."""
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    keys = settings.keys
    writer = VerdictWriter(redis, keys)
    evidence = EvidenceReader(redis, keys, settings.feedback, clock)
    try:
        async with Catalogue.as_guest(settings, redis) as catalogue, asyncio.TaskGroup() as tasks:
            tasks.create_task(periodically(writer.renew, LEASE_S / 3, stop, failed="verifier.not_renewed"))
            verifier = Verifier(
                evidence, CandidateReader(redis, keys, evidence), catalogue, writer, settings, clock
            )
            if settings.opensearch.background_budget:
                verifier.begin_small()
            log.info("verifier.started", index=settings.opensearch.index)
            while not stop.is_set():
                pause_s = await _pass(verifier, redis, settings)
                await rest(stop, pause_s)
    finally:
        with contextlib.suppress(*REDIS_TRANSIENT):
            await writer.release()
        await redis.aclose()


async def _pass(verifier: Verifier, redis: Redis, settings: Settings) -> float:
    """Do one pass and say so; return how long to pause. The supervisor: no failure ends the loop."""
    try:
        searched = await _searched(verifier.recheck_suspended())
        done = await verifier.step()
        if not done.n:
            searched &= await _searched(verifier.recheck())
        await _tell(redis, settings.keys, verifier, done)
    except (SearchFailed, LeaseLostError, *REDIS_TRANSIENT) as error:
        _failed(error)
        return AFTER_FAILURE_S
    except Exception:
        FAILURES.labels(reason="bug").inc()
        log.exception("verifier.pass_broken")
        return AFTER_FAILURE_S
    if not searched:
        return AFTER_FAILURE_S
    return 0.0 if done.full else settings.verify.idle_s


async def _searched(again: Awaitable[Judged]) -> bool:
    """Judge again; tell whether a search was answered: queries that fail by themselves hold up no others."""
    try:
        await again
    except SearchFailed as error:
        _failed(error)
        return False
    return True


def _failed(error: Exception) -> None:
    FAILURES.labels(reason=type(error).__name__).inc()
    log.warning("verifier.pass_failed", error=error)


async def _tell(redis: Redis, keys: Keys, verifier: Verifier, done: Judged) -> None:
    """Write the vitals: totals since the start."""
    key = keys.vitals("verifier")
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(key, mapping={name: str(value) for name, value in vitals(verifier).items()})
        pipe.expire(key, VITALS_TTL_S)
        await pipe.execute()
    if done.n:
        log.info("verifier.passed", moved=done.n, written=done.written, serving=verifier.serving)


def vitals(verifier: Verifier) -> Mapping[str, str | float]:
    """Return the verifier's own figures."""
    refused = {f"refused:{reason}": n for reason, n in sorted(verifier.reasons.items()) if reason != "claim"}
    return {
        "judged": sum(verifier.reasons.values()),
        "serving": verifier.serving,
        "verified": verifier.serving,
        "concentration": verifier.prior.concentration,
        "page_share": verifier.prior.page_share,
        "queries_matter": int(verifier.prior.queries_matter),
        "loans_tried": verifier.terms.tried,
        "loans_given": verifier.terms.loans if verifier.terms.lends else 0,
        "loan_gain": verifier.terms.gain,
        "loan_gain_low": verifier.terms.low,
        **refused,
    }
