"""Shoppers: they search through the gateway, look, click, buy, and sometimes search again.

Guarantees a bounded number of visits at a time and at most the stated rate; a failed request is counted and
loses that visit only. What the shoppers know of relevance stays with them.
"""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

import httpx

from agent.demo.client import Gateway, Page
from agent.demo.shop import Population, Visit
from feedback.text import normalise

THINK_S = 2.2
"""Between two searches of a session: longer than typing ahead takes."""


@dataclass
class Tally:
    """What happened so far."""

    requests: int = 0
    clicks: int = 0
    purchases: int = 0
    failed: int = 0
    pages: Counter[str] = field(default_factory=Counter)
    """Pages by rung."""
    clicked_pages: Counter[str] = field(default_factory=Counter)
    arms: Counter[str] = field(default_factory=Counter)
    """Pages by arm; clicks and purchases on them below."""
    arm_clicks: Counter[str] = field(default_factory=Counter)
    arm_purchases: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    versions: Counter[int] = field(default_factory=Counter)
    log: list[tuple[str, str]] = field(default_factory=list)
    """(normalised query, clicked object): what a synonym miner or a click memory may learn from."""
    recent: deque[tuple[bool, bool]] = field(default_factory=lambda: deque(maxlen=4000))
    """(rewritten, clicked) of the last pages."""

    def add(self, visit: Visit, page: Page, clicked: list[str], *, purchases: int) -> None:
        """Count one page and what was done with it."""
        self.requests += 1
        self.clicks += len(clicked)
        self.purchases += purchases
        self.pages[page.rung] += 1
        self.arms[page.arm] += 1
        self.arm_clicks[page.arm] += len(clicked)
        self.arm_purchases[page.arm] += purchases
        self.sources[page.source] += 1
        self.versions[page.version] += 1
        self.clicked_pages[page.rung] += bool(clicked)
        self.recent.append((page.rung != "raw", bool(clicked)))
        self.log.extend((normalise(visit.query), object_id) for object_id in clicked)

    def click_through(self, *, rewritten: bool) -> float | None:
        """Return the share of the last pages with a click, raw or rewritten; None without pages."""
        pages = [clicked for is_rewritten, clicked in self.recent if is_rewritten is rewritten]
        return sum(pages) / len(pages) if pages else None


class Traffic:
    """Keeps a crowd of shoppers busy until told to stop."""

    def __init__(
        self, gateway: Gateway, population: Population, *, visits_per_s: float, at_a_time: int = 48
    ) -> None:
        self._gateway = gateway
        self._population = population
        self._pause_s = 1.0 / visits_per_s
        self._room = asyncio.Semaphore(at_a_time)
        self.tally = Tally()

    async def run(self, stop: asyncio.Event) -> None:
        """Send shoppers until `stop` is set, then wait for those inside."""
        async with asyncio.TaskGroup() as shoppers:
            while not stop.is_set():
                await self._room.acquire()
                shoppers.create_task(self._shop(self._population.next_visit(), stop))
                await asyncio.sleep(self._pause_s)

    async def _shop(self, visit: Visit, stop: asyncio.Event) -> None:
        try:
            following: Visit | None = visit
            while following is not None:
                following = await look(self._gateway, self._population, self.tally, following)
                if following is not None:
                    if stop.is_set():
                        return
                    await asyncio.sleep(THINK_S)
        except httpx.HTTPError:
            self.tally.failed += 1
        finally:
            self._room.release()


async def look(gateway: Gateway, population: Population, tally: Tally, visit: Visit) -> Visit | None:
    """Let one shopper search and react; return what is asked next, if anything. Raises httpx errors."""
    page = await gateway.search(visit)
    reaction = population.react(visit, page.object_ids)
    if reaction.actions:
        await gateway.act(visit, page, reaction.actions)
    clicked = [a.object_id for a in reaction.actions if a.action_name == "click"]
    purchases = sum(a.action_name == "purchase" for a in reaction.actions)
    tally.add(visit, page, clicked, purchases=purchases)
    return reaction.next_visit
