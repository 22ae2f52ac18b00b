"""How the memory of processes grows while they work."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import psutil
from scipy.stats import theilslopes

from tests.faults import replicas

MIB = 2**20
EVERY_S = 5.0
LEAST = 8
"""Looks by which a slope can be told."""
Look = tuple[float, float]
"""When, in seconds, and how many MiB."""


def growth(looks: Sequence[Look]) -> dict[str, Any]:
    """Return the level at the first look and the growth until the last one, both by Theil and Sen's line.

    Its slope is the median of those between all pairs of looks: neither a burst nor the lull after it moves
    it. ``grown_pct`` is None where there are too few looks.
    """
    if len(looks) < LEAST:
        return {"looks": len(looks), "grown_pct": None}
    at_s, mib = ([look[i] for look in looks] for i in (0, 1))
    slope, intercept, *_ = theilslopes(mib, at_s)
    level, span_s = float(intercept + slope * at_s[0]), at_s[-1] - at_s[0]
    return {
        "looks": len(looks),
        "mib": round(level, 1),
        "mib_an_hour": round(float(slope) * 3600, 2),
        "grown_pct": round(100 * float(slope) * span_s / level, 2),
        "most_mib": round(max(mib), 1),
    }


class Memory:
    """Looks at the memory that is the processes' own (USS): what the machine would have back at their end."""

    def __init__(self, *deployments: str) -> None:
        self._deployments = deployments
        self.looks: defaultdict[tuple[str, int], list[Look]] = defaultdict(list)
        """By deployment and process."""

    async def watch(self, stop: asyncio.Event) -> None:
        """Look until told to stop."""
        while not stop.is_set():
            await asyncio.to_thread(self._look)
            try:
                await asyncio.wait_for(stop.wait(), EVERY_S)
            except TimeoutError:
                continue

    def _look(self) -> None:
        for name in self._deployments:
            for pid in replicas.pids(name):
                try:
                    own = psutil.Process(pid).memory_full_info().uss
                except (psutil.NoSuchProcess, psutil.ZombieProcess):
                    continue
                self.looks[name, pid].append((time.monotonic(), own / MIB))

    @property
    def said(self) -> dict[str, list[dict[str, Any]]]:
        """Return each process's growth, by deployment."""
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in self._deployments}
        for (name, pid), looks in self.looks.items():
            found[name].append({"pid": pid, **growth(looks)})
        return found
