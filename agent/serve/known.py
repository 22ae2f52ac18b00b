"""What the gateway knows without asking anybody: verdicts, the versions that answer, those revoked.

Guarantees that a search never waits for it: while Redis is away the last copy goes on serving.
"""

import asyncio
from dataclasses import dataclass

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.policy.call import UNSPLIT
from agent.serve.metrics import KNOWN_SEQ, REFRESH_FAILURES
from feedback.delivery.streams import FIELD
from feedback.errors import Corrupt, FeedbackError
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import of_field, query_field
from feedback.keys import Keys
from feedback.periodic import rest
from feedback.records import Verified
from feedback.version_records import Standing, Trial

log = structlog.get_logger(__name__)
MOST_SUSPENDED = 1000
"""Entries of the stream: what falls out is found at the verifier's next round."""


@dataclass(frozen=True, kw_only=True)
class OnTrial:
    """The trial that runs, and what is known of its version."""

    trial: Trial
    gain: float
    """Of the version over raw at least; see `Known.policy_gain`."""


class Known:
    """The copy and its refresh loop."""

    def __init__(self, redis: Redis, keys: Keys, index: VerifiedIndex) -> None:
        self.index = index
        self.is_read = False
        """Whether all below was read at least once."""
        self.stable_version = 0
        self.policy_gain = 0.0
        """Of the serving version over raw at least (95 %), on the gate's held-back queries; 0 if unknown."""
        self.trial: OnTrial | None = None
        self._stored_trial = b""
        self.revoked: frozenset[int] = frozenset()
        self._suspended: dict[str, int] = {}
        """``segment|query`` -> the verdict's sequence number."""
        self._untold: set[str] = set()
        self._redis = redis
        self._keys = keys

    @property
    def on_trial(self) -> OnTrial | None:
        """The trial that some clients are to get: its version may answer, and against the one that serves."""
        trial = self.trial
        if trial is None or trial.trial.version in self.revoked:
            return None
        return trial if trial.trial.stable == self.stable_version else None

    def suspend(self, verdict: Verified) -> None:
        """Serve the verdict no more until there is another; the verifier is told at the next refresh."""
        name = query_field(verdict.segment, verdict.query)
        self._suspended[name] = verdict.seq
        self._untold.add(name)

    def is_suspended(self, query: str, segment: str = UNSPLIT) -> bool:
        """Tell whether the query's verdict of now is suspended."""
        verdict = self.index.get(query, segment)
        if verdict is None or not self._suspended:
            return False
        return self._suspended.get(query_field(verdict.segment, verdict.query)) == verdict.seq

    async def refresh(self) -> None:
        """Read what changed and tell what was suspended; raises what Redis raises."""
        await self.index.refresh(self._redis, self._keys)
        await self._follow_release()
        self.is_read = True
        KNOWN_SEQ.set(self.index.seq)
        await self._tell()  # last: a full Redis takes no writes and still answers

    async def _tell(self) -> None:
        for name in list(self._untold):
            await self._redis.xadd(
                self._keys.suspended(), {FIELD: name}, maxlen=MOST_SUSPENDED, approximate=False
            )
            self._untold.discard(name)
        self._suspended = {n: seq for n, seq in self._suspended.items() if self._stands(n, seq)}

    def _stands(self, name: str, seq: int) -> bool:
        segment, query = of_field(name)
        verdict = self.index.get(query, segment)
        return verdict is not None and verdict.seq == seq

    async def _follow_release(self) -> None:
        """Read which versions answer, all as of one moment.

        What can be read is followed: neither the trial nor the serving version waits for the other.

        Raises:
            Corrupt: a version that is to answer has no standing.
            ValueError: something there is not what it should be.
        """
        keys = self._keys
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.smembers(keys.revoked())
            pipe.mget(keys.stable(), keys.trial())
            members, (stable, trial) = await pipe.execute()
        self.revoked = frozenset(int(member) for member in members)
        try:
            await self._follow_trial(trial or b"")
        finally:
            await self._follow_stable(int(stable or 0))

    async def _follow_trial(self, stored: bytes) -> None:
        if stored == self._stored_trial:
            return
        self.trial, self._stored_trial = None, b""
        if stored:
            trial = msgspec.json.decode(stored, type=Trial)
            self.trial = OnTrial(trial=trial, gain=await self._gain(trial.version))
            self._stored_trial = stored

    async def _follow_stable(self, version: int) -> None:
        if version != self.stable_version:
            self.policy_gain = await self._gain(version) if version else 0.0
            self.stable_version = version

    async def _gain(self, version: int) -> float:
        stored = await self._redis.hget(self._keys.standings(), str(version))
        if not stored:
            raise Corrupt(f"version {version} is to answer and has no standing")
        return msgspec.json.decode(stored, type=Standing).gain

    async def run(self, stop: asyncio.Event, poll_s: float) -> None:
        """Refresh every ``poll_s`` until told to stop."""
        follows = True
        while not stop.is_set():
            try:
                await self.refresh()
                follows = True
            except (RedisError, OSError, FeedbackError, ValueError) as error:
                REFRESH_FAILURES.inc()
                if follows:
                    log.warning("verdicts.not_followed", error=error)
                follows = False
            await rest(stop, poll_s)
