"""What was seen while the demo ran, every few seconds, and what became of versions: the report's curves."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.demo.traffic import Tally
from agent.reporting.numbers import known
from agent.watching.curves import lift_over_raw
from feedback.version_records import Standing
from feedback.vitals import Vitals

EVERY_S = 3.0
LATELY_S = 30.0
"""Over which clicks a page are taken."""
Counted = dict[str, tuple[int, int, int]]


@dataclass(kw_only=True)
class Timeline:
    """Samples of the run, in order."""

    points: list[dict[str, Any]] = field(default_factory=list)
    _seen: deque[tuple[float, Counted]] = field(default_factory=deque)

    def look(self, tally: Tally, vitals: Vitals, at_s: float) -> None:
        """Take a sample, if the last one is old enough; ``at_s`` counts from the start."""
        if self._seen and at_s - self._seen[-1][0] < EVERY_S:
            return
        now = {
            str(arm): (n, tally.arm_clicks[arm], tally.arm_purchases[arm]) for arm, n in tally.arms.items()
        }
        self._seen.append((at_s, now))
        while at_s - self._seen[0][0] > LATELY_S:
            self._seen.popleft()
        self.points.append(
            {
                "at_s": round(at_s, 1),
                "arms": {arm: list(counted) for arm, counted in now.items()},
                "clicks_a_page": _lately(self._seen[0][1], now),
                "lift": lift_over_raw(now),
                "reward": known(vitals.number("learner", "reward_mean")),
                "verified": known(vitals.number("verifier", "serving")),
            }
        )


def _lately(before: Counted, now: Counted) -> dict[str, float]:
    rates = {}
    for arm, (pages, clicks, _) in now.items():
        pages_then, clicks_then, _ = before.get(arm, (0, 0, 0))
        if pages > pages_then:
            rates[arm] = (clicks - clicks_then) / (pages - pages_then)
    return rates


def events(standings: Mapping[int, Standing], began_ms: int) -> list[dict[str, Any]]:
    """Return every judgement of a version, in the order of their times, from the start."""
    found = [
        {
            "at_s": max(0.0, (judgement.at_ms - began_ms) / 1000),
            "version": version,
            "state": judgement.state.value,
            "stage": judgement.stage,
            "why": judgement.reason,
        }
        for version, standing in standings.items()
        for judgement in standing.judgements
    ]
    return sorted(found, key=lambda one: (one["at_s"], one["version"]))
