"""An outage while learning offline is said to be one; what was played is not judged."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.errors import Permanent, SearchFailed
from agent.evaluate.training import TrainOptions, _learn
from agent.learner.session import Trained
from tests.bench.learning.bestbuy import _play

OPTIONS = TrainOptions(catalogue=Path("c"), store=Path("s"), minutes=1.0)


class Idle:
    """A session that makes no update."""

    def __init__(self, *, outage: bool) -> None:
        self.progress = SimpleNamespace(updates=0)
        self.failed_searches = 3
        self._outage = outage

    async def train(self, *, max_s: float, max_updates: int | None) -> Trained:
        del max_s, max_updates
        self.failed_searches += self._outage
        return Trained(updates=0, rollouts=0, reward=0.0, seconds=0.0)


async def test_an_outage_is_not_taken_for_labels_that_teach_nothing() -> None:
    session: Any = Idle(outage=True)
    with pytest.raises(SearchFailed, match="last checkpoint"):
        await _learn(session, OPTIONS, lambda *_: None)
    session = Idle(outage=False)
    with pytest.raises(Permanent, match="nothing to learn from"):
        await _learn(session, OPTIONS, lambda *_: None)


class Playing:
    """Notes until when the log was played."""

    def __init__(self) -> None:
        self.until_ms = 0

    async def play_until(self, at_ms: int) -> None:
        self.until_ms = at_ms

    async def judge_moved(self) -> int:
        return 0


async def test_the_judged_clicks_begin_where_playing_ended() -> None:
    log: Sequence[Any] = [SimpleNamespace(query_at_ms=i) for i in range(90)]  # 0.7 * 90 is 62.99…
    world: Any = Playing()
    assert await _play(world, log, 0.7) == world.until_ms == 63
