"""The parts of live traffic on keys of their own, with a clock that the log sets.

Guarantees that an event reaches the stream only when the clock has come to its click, and in the order of the
clicks: the same writer, collector, verifier and learner as in live traffic do the rest.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence

from redis.asyncio import Redis

from agent.evaluate.baselines import Clicks
from agent.evaluate.clicklog import Click
from agent.retrieval import Catalogue
from agent.settings import Settings
from agent.verify import VerdictWriter, Verifier
from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import StreamWriter
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reading import EvidenceReader
from feedback.records import Action, Arm, Event

BATCH = 512
"""Events between two steps of the collector at most; the clock stands at the newest of them."""
SPAN = 0.5
"""Of the dedupe window that they may span, so that none is too old when it is collected."""


def event_of(click: Click, tenant: str) -> Event:
    """Return the event of a click, as a shop would send it; its page was not ours, and is not known."""
    return Event(
        event_id=click.event_id,
        tenant=tenant,
        user_query=click.user_query,
        client_id=click.client_id,
        session_id=click.client_id,
        action_name=Action.CLICK,
        object_id=click.object_id,
        occurred_at_ms=click.click_at_ms,
        arm=Arm.LOG,
    )


class World:
    """Writer, collector, evidence, verifier and verdicts of one played log."""

    def __init__(
        self, clicks: Sequence[Click], redis: Redis, catalogue: Catalogue, settings: Settings
    ) -> None:
        self._arriving = sorted(clicks, key=lambda c: c.click_at_ms)
        self._played = 0
        self.redis = redis
        self._settings = settings
        self._span_ms = int(SPAN * settings.feedback.dedupe_window_s * 1000)
        keys = settings.keys
        self.clock = ManualClock(self._arriving[0].click_at_ms)
        self.evidence = EvidenceReader(redis, keys, settings.feedback, self.clock)
        self._writer = StreamWriter(redis, keys, settings.feedback)
        self._collector = Collector(redis, keys, settings.feedback, self.clock)
        self.verifier = Verifier(
            self.evidence,
            CandidateReader(redis, keys, self.evidence),
            catalogue,
            VerdictWriter(redis, keys),
            settings,
            self.clock,
        )
        self.index = VerifiedIndex()
        self._known: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    @property
    def known(self) -> Clicks:
        """The clicks that were played so far."""
        return self._known

    @property
    def left(self) -> int:
        """Clicks that were not played yet."""
        return len(self._arriving) - self._played

    async def play_until(self, at_ms: int) -> int:
        """Play all clicks before that time and set the clock to it; return how many."""
        first = self._played
        while batch := self._next(at_ms):
            self.clock.now_ms = max(self.clock.now_ms, batch[-1].click_at_ms)
            await self._writer.add_events([event_of(click, self._settings.tenant) for click in batch])
            while await self._collector.step():
                pass
            for click in batch:
                self._known[click.query][click.object_id] += 1.0
        self.clock.now_ms = max(self.clock.now_ms, at_ms)
        return self._played - first

    def _next(self, at_ms: int) -> Sequence[Click]:
        left = self._arriving[self._played : self._played + BATCH]
        if not left:
            return ()
        last_ms = min(at_ms - 1, left[0].click_at_ms + self._span_ms)
        batch = left[: bisect_right(left, last_ms, key=lambda click: click.click_at_ms)]
        self._played += len(batch)
        return batch

    async def judge_moved(self) -> int:
        """Let the verifier judge until nothing has moved, and follow its verdicts; return how many."""
        judged = 0
        while (done := await self.verifier.step()).n or done.tried:
            judged += done.n
        await self.index.refresh(self.redis, self._settings.keys)
        return judged
