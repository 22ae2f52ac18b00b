"""Plays one row: shoppers come, a part fails and comes back, and all that they got is looked at.

A shop is whole again when a search that began after the part's return was answered with the live model's
words, its click was taken, and its page is in the streams.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.rows import AWAY, PAGE, THEIRS, Row
from tests.faults.shop import N_PRODUCTS, Shop
from tests.faults.shoppers import PASSED_BACK, Shoppers, Visit

RATE = 8.0
CLIENTS_RATE = 2.0
"""Of OpenSearch's own clients, beside them."""
CALM_S = 0.5
LOOK_S = 0.1
FIRST_S = 1.0
"""Less than a replica needs to be started."""
GIVE_UP = 3.0
"""Times the promise, after which recovery is no longer waited for."""
BROKEN = "broken"
"""What a shopper got whose request ended without an answer of ours."""


@dataclass(kw_only=True)
class Told:
    """What became of a row."""

    row: Row
    got: dict[str, int]
    """Searches begun while the part was away, by what they got."""
    got_at_its_end: dict[str, int]
    """The same of those begun before the part was put back and answered after."""
    sources: dict[str, int]
    """Of the pages among the former, by how many; OpenSearch's clients are told none."""
    spoke: bool
    """Whether a page begun in the first second has the live model's words."""
    clients_got: dict[str, int]
    """What OpenSearch's own clients got among both."""
    reasons: list[str]
    """Of the errors among them, each once."""
    longest_s: float
    shortest_s: float
    """Of those that got an answer of ours."""
    clicks: dict[int, int]
    """Answers about clicks, by status."""
    click_reasons: list[str]
    """Why clicks were refused, each once."""
    longest_click_s: float
    risen: dict[str, float]
    """Figures of the row that rose, and by how much."""
    back_s: float | None
    """None: it did not come back."""
    wrong_pages: list[str] = field(default_factory=list)
    """Pages in the streams that are none: empty, or of a search that got no page."""

    @property
    def said(self) -> dict[str, Any]:
        """Return the row as JSON."""
        return {
            "row": self.row.name,
            "shopper_got": self.got,
            "clients_got": self.clients_got,
            "at_its_end": self.got_at_its_end,
            "sources": self.sources,
            "reasons": self.reasons[:2],
            "longest_s": round(self.longest_s, 2),
            "clicks_by_status": self.clicks,
            "click_reasons": self.click_reasons[:2],
            "longest_click_s": round(self.longest_click_s, 2),
            "counted": self.risen,
            "back_after_s": None if self.back_s is None else round(self.back_s, 2),
            "wrong_pages": len(self.wrong_pages),
            "faults": self.faults,
        }

    @property
    def faults(self) -> list[str]:
        """Return each promise that was not kept."""
        row = self.row
        allowed = {*row.gets, *([BROKEN] if row.loses_requests else [])}
        checks = {
            f"shoppers got {self.got}, not only {sorted(allowed)}": set(self.got) <= allowed,
            f"shoppers got {self.got_at_its_end} at its end": set(self.got_at_its_end) <= {PAGE, *allowed},
            "nobody searched meanwhile": bool(self.got),
            f"an answer took {self.longest_s:.2f} s": self.longest_s <= row.within_s,
            f"an answer took but {self.shortest_s:.2f} s": self.shortest_s >= row.least_s,
            f"clicks were answered {self.clicks}": self._clicks_are_right,
            f"a click took {self.longest_click_s:.2f} s": self.longest_click_s <= row.click_within_s,
            f"only {sorted(self.risen)} rose": all(self._rose(name) for name in row.counted),
            f"back after {self.back_s}": self.back_s is not None and self.back_s <= row.back_within_s,
            f"pages in the streams that are none: {self.wrong_pages[:3]}": not self.wrong_pages,
            f"the model answered meanwhile: {self.sources}": not (row.raw and self.spoke),
            "an error without a reason": AWAY not in self.got or all(self.reasons),
            "no client of OpenSearch came": bool(self.clients_got) or not row.by_clients,
        }
        return [said for said, holds in checks.items() if not holds]

    @property
    def _clicks_are_right(self) -> bool:
        allowed = {httpx.codes.ACCEPTED, *([503] if self.row.clicks_refused else [])}
        allowed |= {0, 500, 503} if self.row.loses_requests else set()
        must_show = self.row.clicks_refused and not self.row.from_start
        return set(self.clicks) <= allowed and (503 in self.clicks or not must_show)

    def _rose(self, beginning: str) -> bool:
        return any(name.startswith(beginning) for name in self.risen)


async def play(shop: Shop, row: Row) -> Told:
    """Break a part while shoppers come, put it back, wait until the shop is whole, and tell."""
    before = await shop.figures()
    shoppers = Shoppers(shop.url, RATE)
    clients = Shoppers(shop.url, CLIENTS_RATE, shop.settings.opensearch.index)
    async with asyncio.TaskGroup() as group:
        coming = [group.create_task(one.come()) for one in (shoppers, clients)[: 1 + row.by_clients]]
        try:
            await asyncio.sleep(CALM_S)
            away_s = time.monotonic()
            await row.begin(shop)
            begun_s = time.monotonic()
            await asyncio.sleep(row.hold_s)
            lifted_s = time.monotonic()
            await row.end(shop)
            returned_s = time.monotonic() if row.hold_s else begun_s
            whole_s = await whole(shop, shoppers, returned_s, row)
        finally:
            shoppers.stop()
            clients.stop()
        await asyncio.gather(*coming)
    visits = sorted([*shoppers.visits, *clients.visits], key=lambda one: one.ended_s)
    until_s = lifted_s if row.hold_s else whole_s or time.monotonic()
    since_s = away_s if row.from_start else begun_s
    after = await shop.figures()
    return _told(row, [one for one in visits if since_s <= one.began_s < until_s], until_s, {
        "risen": _risen(before, after, row),
        "back_s": whole_s - returned_s if whole_s else None,
        "wrong_pages": await wrong_pages(shop, visits, row),
    })  # fmt: skip


async def whole(shop: Shop, shoppers: Shoppers, since_s: float, row: Row) -> float | None:
    """Return when the shop was whole again; None: not in time."""
    while time.monotonic() - since_s < GIVE_UP * row.back_within_s:
        good = [one for one in shoppers.visits if one.began_s >= since_s and _is_whole(one, shop)]
        written = await shop.pages() if good else {}
        done_s = [one.ended_s for one in good if one.page["query_id"] in written]
        if done_s:
            return min(done_s)
        await asyncio.sleep(LOOK_S)
    return None


def _is_whole(visit: Visit, shop: Shop) -> bool:
    if not visit.is_page or visit.click_status != httpx.codes.ACCEPTED:
        return False
    return is_spoken(visit) and visit.page["version"] == shop.version


async def wrong_pages(shop: Shop, visits: list[Visit], row: Row) -> list[str]:
    """Return the pages in the streams that no shopper should teach by: empty ones, those of failed searches.

    A page whose answer broke on its way was shown to nobody, and the process that searched it could not know.
    """
    shown = {one.page["query_id"]: [hit["object_id"] for hit in one.page["hits"]]
             for one in visits if one.is_page}  # fmt: skip
    earlier = shop.notes.setdefault("pages", set())
    written = {name: objects for name, objects in (await shop.pages()).items() if name not in earlier}
    earlier.update(written)
    wrong = [name for name, objects in written.items() if not objects]
    wrong += [name for name in written if name not in shown and not row.loses_requests]
    return wrong + [name for name, objects in written.items() if shown.get(name, objects) != objects]


def _told(row: Row, begun: list[Visit], until_s: float, more: dict[str, Any]) -> Told:
    away = [one for one in begun if one.ended_s < until_s]
    answered = [one for one in begun if what(one) != BROKEN]
    first = [one for one in begun if one.began_s < min(one.began_s for one in begun) + FIRST_S]
    errors = dict.fromkeys(str(one.page.get("detail", "")) for one in answered if what(one) == AWAY)
    return Told(
        row=row,
        got=dict(Counter(map(what, away))),
        got_at_its_end=dict(Counter(what(one) for one in begun if one.ended_s >= until_s)),
        clients_got=dict(Counter(what(one) for one in begun if one.by_client)),
        sources=dict(Counter(one.source for one in away if one.is_page and one.source)),
        spoke=any(is_spoken(one) for one in first),
        reasons=list(errors),
        longest_s=max((one.took_s for one in answered), default=0.0),
        shortest_s=min((one.took_s for one in away if what(one) != BROKEN), default=0.0),
        clicks=dict(Counter(one.click_status for one in begun if one.is_page)),
        click_reasons=list(dict.fromkeys(one.click_why for one in begun if one.click_why)),
        longest_click_s=max((one.click_took_s for one in begun), default=0.0),
        **more,
    )


def is_spoken(visit: Visit) -> bool:
    """Tell whether the live model answered, be it with nothing to add."""
    return visit.source in {"model", "raw:silent"}


def what(visit: Visit) -> str:
    """Return what a search got: a page, an honest 503, or nothing that it should."""
    if visit.is_page and visit.page["total"] >= N_PRODUCTS:
        return PAGE
    if visit.status == httpx.codes.SERVICE_UNAVAILABLE and visit.page.get("error") == "search_failed":
        return AWAY
    if visit.page.get("error") == PASSED_BACK and visit.status != httpx.codes.BAD_REQUEST:
        return THEIRS
    if visit.status in {0, httpx.codes.INTERNAL_SERVER_ERROR, httpx.codes.SERVICE_UNAVAILABLE}:
        return BROKEN
    return f"status {visit.status}, hits {len(visit.page.get('hits', []))}"


def _risen(before: dict[str, float], after: dict[str, float], row: Row) -> dict[str, float]:
    rises = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return {
        name: round(rise, 3)
        for name, rise in sorted(rises.items())
        if rise > 0 and name.startswith(row.counted or ("\0",))
    }
