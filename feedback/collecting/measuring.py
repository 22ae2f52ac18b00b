"""What metrics and counters tell of a batch."""

from collections import defaultdict
from collections.abc import Mapping

from feedback import metrics
from feedback.collecting.join import Joined
from feedback.delivery.entries import Entries
from feedback.records import Action


def measure(entries: Entries, joined: Joined, now_ms: int) -> None:
    """Count a batch that was applied."""
    for stream, ids in entries.ids.items():
        metrics.COLLECTED.labels(stream.rpartition(":")[2]).inc(len(ids))
    for letter in entries.dead:
        metrics.DEAD_LETTERS.labels(letter.stream.rpartition(":")[2]).inc()
    for reason, n in joined.dropped.items():
        metrics.DROPPED.labels(reason).inc(n)
    for acted in joined.acted:
        if acted.event.action_name is Action.CLICK:
            metrics.CLICK_LAG_SECONDS.observe(max(0, now_ms - acted.event.occurred_at_ms) / 1000)


def count(kind: str, found: Mapping[str, int], counts: defaultdict[str, float]) -> None:
    """Add what was found of a kind to the partition's counts."""
    for name, n in found.items():
        if n:
            counts[f"{kind}|{name}"] += n
