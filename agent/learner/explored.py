"""Explore pages from their streams, for the direct signal.

Guarantees that each page is in the weights at most once, and exactly once unless it is dropped with a counted
reason: what was read is acknowledged after the checkpoint that holds its effect; what a dead learner read and
did not bring to a checkpoint is pending, and read again; what it brought there and did not acknowledge is
known by the position inside the checkpoint. One reader at a time (the learner's lease).
"""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import msgspec
from redis.asyncio import Redis

from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION
from agent.scoring import SEGMENT
from agent.sections import LearnerSettings
from feedback.clock import Clock
from feedback.delivery.streams import FIELD
from feedback.evidence.clusters import Clusters
from feedback.keys import Keys
from feedback.records import Explored

GROUP = CONSUMER = "learner"
READ = 64
"""Pages a partition read at a time."""
NEW = ">"


class DirectSource:
    """One learner's reader; one event loop."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        settings: LearnerSettings,
        clock: Clock,
        *,
        policy: Policy,
        clusters: Clusters,
    ) -> None:
        self.positions: dict[int, str] = {}
        """By partition, the last page taken; it and all before are in the weights or dropped."""
        self.taken = 0
        self.dropped: Counter[str] = Counter()
        """By reason."""
        self._redis = redis
        self._streams = {keys.explored(p): p for p in range(keys.partitions)}
        self._settings = settings
        self._clock = clock
        self._policy = policy
        self._clusters = clusters
        self._cursors: dict[str, str] = {}
        self._learned_to: dict[int, tuple[int, ...]] = {}
        self._waiting: deque[tuple[str, str, bytes]] = deque()
        self._unacknowledged: dict[str, list[str]] = {stream: [] for stream in self._streams}

    async def restore(self, positions: Mapping[int, str]) -> None:
        """Go on after the positions of a checkpoint; raises what Redis raises."""
        self.positions = dict(positions)
        self._learned_to = {p: _order(entry_id) for p, entry_id in positions.items()}
        self._waiting.clear()
        for stream in self._streams:
            groups = await self._redis.xinfo_groups(stream) if await self._redis.exists(stream) else []
            if not any(group["name"] in (GROUP, GROUP.encode()) for group in groups):
                await self._redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
        self._cursors = dict.fromkeys(self._streams, "0")  # what is pending comes first

    async def rewind(self, positions: Mapping[int, str]) -> None:
        """Have all pages after the positions delivered again, also those that were let go.

        Raises what Redis raises.
        """
        for stream, partition in self._streams.items():
            await self._redis.xgroup_setid(stream, GROUP, positions.get(partition, "0"))

    async def take(self, n: int) -> list[Explored]:
        """Return up to n pages that teach, the longest waiting first; raises what Redis raises."""
        found: list[Explored] = []
        while len(found) < n:
            if not self._waiting and not await self._read():
                break
            while self._waiting and len(found) < n:
                page = self._next()
                if page is not None:
                    found.append(page)
        self.taken += len(found)
        return found

    async def acknowledge(self) -> None:
        """Let go of what was taken; called once it is in a checkpoint. Raises what Redis raises."""
        for stream, ids in self._unacknowledged.items():
            if ids:
                await self._redis.xack(stream, GROUP, *ids)
                ids.clear()

    async def _read(self) -> bool:
        """Read what is pending, then what is new; return whether there may be more."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for stream, cursor in self._cursors.items():  # each in a slot of its own
                pipe.xreadgroup(GROUP, CONSUMER, {stream: cursor}, count=READ)
            replies: Any = await pipe.execute()
        found = {stream.decode(): entries for reply in replies for stream, entries in reply or ()}
        was_pending = [stream for stream, cursor in self._cursors.items() if cursor != NEW]
        for stream in was_pending:
            last = found[stream][-1][0].decode() if found.get(stream) else NEW
            self._cursors[stream] = last
        for stream, entries in found.items():
            for entry_id, stored in entries:
                self._waiting.append((stream, entry_id.decode(), (stored or {}).get(FIELD.encode(), b"")))
        return bool(was_pending or self._waiting)

    def _next(self) -> Explored | None:
        """Take one page off; None, counted, where it teaches nothing."""
        stream, entry_id, stored = self._waiting.popleft()
        partition = self._streams[stream]
        self._unacknowledged[stream].append(entry_id)
        if _order(entry_id) <= self._learned_to.get(partition, (0, 0)):
            return None  # in the weights already
        self.positions[partition] = entry_id
        try:
            page = msgspec.json.decode(stored, type=Explored)
        except msgspec.MsgspecError:
            self.dropped["unreadable"] += 1  # or trimmed while it was pending
            return None
        reason = self._refusal(page)
        if reason is not None:
            self.dropped[reason] += 1
        return page if reason is None else None

    def _refusal(self, page: Explored) -> str | None:
        if not page.interleaved:
            return "same_list"
        if not page.rewrite.token_ids:
            return "proposal"
        if page.segment != SEGMENT or self._clusters.held_back(page.query):
            return "held_back"
        return self._foreign(page) or self._stale(page)

    def _foreign(self, page: Explored) -> str | None:
        """Return a reason where its log-probabilities are of another distribution than ours could be."""
        policy = self._policy
        ours = (policy.base_model, PROMPT_VERSION, policy.settings.temperature)
        theirs = (page.draw.base_model, page.draw.prompt_version, page.rewrite.temperature)
        return None if ours == theirs else "foreign"

    def _stale(self, page: Explored) -> str | None:
        settings = self._settings
        if abs(self._policy.version - page.rewrite.version) > settings.direct_max_versions:
            return "stale_version"
        age_s = (self._clock() - page.shown_at_ms) / 1000
        return "stale_age" if age_s > settings.direct_max_age_s else None


def _order(entry_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in entry_id.split("-"))
