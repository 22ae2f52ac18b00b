"""Shoppers who come for long while parts fail and come back, one after the other.

First whole processes are killed, and what is bounded in the gateway fills up; then the processes are to live
to the end, to count what shoppers got as shoppers count it, and to grow no more.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.bench.progress import tell
from tests.faults.counting import Got, differences
from tests.faults.memory import Memory
from tests.faults.rows import Row
from tests.faults.shop import READY_S, Shop
from tests.faults.shoppers import Shoppers

GATEWAY, REWRITER = "Gateway", "Rewriter"
DRAIN_S = 0.5
MOST_GROWTH_PCT = 2.0
LEAST_FAULT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Spell:
    """One stretch of a soak."""

    rows: Sequence[Row]
    """What fails, in turn."""
    rate: float
    """Searches a second."""
    lasts_s: float
    every_s: float
    """From the beginning of a fault to that of the next."""
    is_short: bool = False
    """Too short for growth to be told: that a process lived to the end is enough."""


@dataclass(kw_only=True)
class Told:
    """What became of a stretch."""

    got: Got
    faults: Counter[str]
    differences: dict[str, list[int]]
    """See `tests.faults.counting.differences`."""
    memory: dict[str, list[dict[str, Any]]]
    longest_s: float
    """Of all answers."""
    took_s: float
    is_short: bool = False
    failed: list[str] = field(default_factory=list)
    """Faults that could not be brought about or put right."""

    @property
    def said(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "took_s": round(self.took_s, 1),
            "searches": self.got.searches,
            "pages": dict(self.got.sources),
            "errors": dict(self.got.errors),
            "longest_s": round(self.longest_s, 2),
            "faults": dict(self.faults),
            "not_as_counted": self.differences,
            "memory": self.memory,
        }

    @property
    def broken(self) -> list[str]:
        """Return each promise that was not kept."""
        checks = {
            f"errors without a reason: {dict(self.got.unexplained)}": not self.got.unexplained,
            f"counted otherwise by the gateway: {self.differences}": not self.differences,
            "nobody got a page": bool(self.got.sources),
            f"faults that went wrong: {self.failed}": not self.failed,
            **{f"{name}: {of}": _is_steady(of, is_short=self.is_short) for name, of in self.memory.items()},
        }
        return [said for said, holds in checks.items() if not holds]


def _is_steady(processes: Sequence[dict[str, Any]], *, is_short: bool) -> bool:
    """Tell whether one process lived through it all and did not grow.

    Growth that nobody could tell counts as none only in a short spell.
    """
    if len(processes) != 1:
        return False
    grown_pct = processes[0]["grown_pct"]
    return is_short if grown_pct is None else grown_pct < MOST_GROWTH_PCT


async def endure(shop: Shop, spell: Spell) -> Told:
    """Let shoppers come while parts fail; nothing is under way before or after."""
    began_s, before = time.monotonic(), await shop.figures()
    shoppers, memory, told = Shoppers(shop.url, spell.rate), Memory(GATEWAY, REWRITER), Got()
    longest_s, over, faults, failed = [0.0], asyncio.Event(), Counter[str](), list[str]()

    async def drain() -> None:
        while not over.is_set() or shoppers.visits:
            visits, shoppers.visits[:] = list(shoppers.visits), []
            told.take(visits)
            longest_s[0] = max(longest_s[0], *(max(one.took_s, one.click_took_s) for one in visits), 0.0)
            await asyncio.sleep(DRAIN_S)

    async with asyncio.TaskGroup() as group:
        coming = group.create_task(shoppers.come())
        group.create_task(drain())
        group.create_task(memory.watch(over))
        try:
            await _break(shop, spell, faults, failed)
        finally:
            shoppers.stop()
            await asyncio.wait({coming})
            over.set()
    return Told(
        got=told,
        faults=faults,
        is_short=spell.is_short,
        failed=failed,
        differences=differences(told, before, await shop.figures()),
        memory=memory.said,
        longest_s=longest_s[0],
        took_s=time.monotonic() - began_s,
    )


async def _break(shop: Shop, spell: Spell, faults: Counter[str], failed: list[str]) -> None:
    """Break one part after the other, each for a while, until the time is over."""
    began_s = time.monotonic()
    for n, row in enumerate(itertools.cycle(spell.rows), start=1):
        if n * spell.every_s >= spell.lasts_s:
            break
        await asyncio.sleep(max(0.0, began_s + (n - 0.5) * spell.every_s - time.monotonic()))
        tell(row.name)
        faults[row.name] += 1
        # In a thread: what reads whole streams must not hold the shoppers up.
        fault = await asyncio.to_thread(asyncio.run, _once(shop, row))
        failed += [f"{row.name}: {fault}"] if fault else []
    await asyncio.sleep(max(0.0, began_s + spell.lasts_s - time.monotonic()))


async def _once(shop: Shop, row: Row) -> str:
    """Break a part and put it back; return why that failed, or nothing."""
    try:
        await row.begin(shop)
        await asyncio.sleep(max(LEAST_FAULT_S, row.hold_s))
    except Exception as error:  # noqa: BLE001 - it goes into the report, and the part is put back
        return repr(error)
    finally:
        await row.end(shop)
    return ""


async def whole(shop: Shop) -> None:
    """Wait until all parts are there.

    Raises:
        TimeoutError: they do not come back.
    """
    async with asyncio.timeout(READY_S), httpx.AsyncClient(base_url=shop.url, timeout=READY_S) as http:
        while (await http.get("/readyz")).status_code != httpx.codes.OK:
            await asyncio.sleep(0.2)
