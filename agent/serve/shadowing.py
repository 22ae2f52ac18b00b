"""What a search in shadow would have been made with, found out behind its answer.

Guarantees that no shopper waits for it and that its searches go through the limiter of background searches;
a bound on how many are looked for at a time; and that each page is written in any case, without it where the
gateway has no room or ends.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from agent.serve.choice import Asked, Chosen
from agent.serve.choosing import Chooser
from agent.serve.metrics import SHADOWED, VITALS
from feedback.records import Arm, Would

PURPOSE = "shadow"
MOST = 256
"""Searches looked at at a time; further pages are written without."""
PATIENCE_S = 5.0
"""In place of the shoppers' deadline: nobody waits."""
Then = Callable[[Would | None], None]


class Shadow:
    """One gateway's; one event loop."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser
        self._looking: set[asyncio.Task[Would]] = set()

    def find(self, asked: Asked, then: Then) -> None:
        """Call ``then`` with what the search would have been made with outside shadow; never waits."""
        if len(self._looking) >= MOST:
            SHADOWED.labels(rung="unknown").inc()
            then(None)
            return
        task = asyncio.ensure_future(self._find(asked))
        self._looking.add(task)
        task.add_done_callback(lambda done: self._found(done, then))

    async def aclose(self) -> None:
        """Let what is looked for be written without it."""
        looking = list(self._looking)
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    async def _find(self, asked: Asked) -> Would:
        # Not one that teaches: of those a share gets raw, whatever the ladder says.
        plainly = replace(asked, arm=Arm.STABLE, teaches=False, wait_s=PATIENCE_S, purpose=PURPOSE)
        return would_be(await self._chooser.choose(plainly))

    def _found(self, done: asyncio.Task[Would], then: Then) -> None:
        self._looking.discard(done)
        would = None if done.cancelled() or done.exception() else done.result()
        rung = "unknown" if would is None else would.rung.value
        SHADOWED.labels(rung=rung).inc()
        VITALS[f"would_{rung}"] += 1
        then(would)


def would_be(chosen: Chosen) -> Would:
    """Return a choice as it stands beside a page that it did not make."""
    decision = chosen.decision
    return Would(
        rung=decision.rung,
        source=decision.source,
        text="" if chosen.plan.is_raw else decision.text,
        version=chosen.version,
    )
