"""A trial's pages so far, followed in the ledger from where it began.

Guarantees that a process which starts in the middle of a trial knows what the one before it knew: all follows
from the ledger, and from who is in quarantine when it is looked at.
"""

from typing import cast

from agent.release.parts import Parts
from agent.release.tally import Ages, Look, Tally
from agent.release.trial import Served
from feedback.delivery.stream_reading import arrival, arrival_now
from feedback.evidence.ledger_tail import LedgerTail
from feedback.evidence.left_out import left_out
from feedback.version_records import Trial


class Follower:
    """Follows one trial at a time, or check; another one begins at its own beginning."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tally: Tally | None = None
        self._tail: LedgerTail | None = None

    async def look(self, trial: Trial) -> Look:
        """Return the counts as of now."""
        parts = self._parts
        if self._tally is None or self._tail is None or self._tally.trial != trial:
            ages = Ages(
                click_ms=int(parts.settings.feedback.click_window_s * 1000),
                purchase_ms=int(parts.settings.release.purchase_age_s * 1000),
            )
            self._tally = Tally(trial, ages)
            self._tail = parts.tail(trial.after)
        arrived = [(entry_id, row) async for _, entry_id, row in self._tail.read()]
        for entry_id, row in sorted(arrived, key=lambda one: arrival(one[0])):
            self._tally.add(row, arrival(entry_id)[0])
        return self._tally.look(parts.clock(), await left_out(parts.redis, parts.settings.keys))

    def forget(self) -> None:
        """Let go of what was counted."""
        self._tally = self._tail = None


async def new_trial(parts: Parts, version: int, *, stable: int, share: float, check: bool = False) -> Trial:
    """Return a trial that begins now."""
    after = await arrival_now(parts.redis)
    return Trial(
        version=version,
        stable=stable,
        share=share,
        began_at_ms=parts.clock(),
        after={str(p): after for p in range(parts.settings.keys.partitions)},
        check=check,
    )


async def served_by_arm(parts: Parts, version: int) -> tuple[Served, Served]:
    """Return how the gateway's answers went, of the canary and of the stable arm."""
    key = parts.settings.keys.served(version)
    stored = await cast("dict[bytes, bytes]", parts.redis.hgetall(key))  # type: ignore[misc]
    counts = {name.decode(): int(n) for name, n in stored.items()}
    canary, stable = (
        Served(
            asked=counts.get(f"{arm}|asked", 0),
            live=counts.get(f"{arm}|live", 0),
            failed=counts.get(f"{arm}|failed", 0),
            empty=counts.get(f"{arm}|empty", 0),
            late=counts.get(f"{arm}|late", 0),
        )
        for arm in ("canary", "stable")
    )
    return canary, stable
