"""What the evidence must be, counted from all records at once: slow, and knows nothing of the collector.

Pages are those of searches, each with its client as its session; events carry their page's client.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from feedback.evidence.reading import fold_of
from feedback.records import Action, Event, Impression

Record = Impression | Event
Cell = tuple[str, int, str, str]
"""Query, fold, object, measure."""
MEASURES = {Action.CLICK: "clicks", Action.ADD_TO_CART: "add_to_carts"}


@dataclass(frozen=True, kw_only=True)
class Rules:
    now_ms: int
    half_life_ms: float
    examination: tuple[float, ...]
    typing_ms: int
    window_ms: int
    rates: dict[str, float]


class BruteForce:
    def __init__(self, records: Sequence[Record], rules: Rules) -> None:
        self.rules = rules
        self.pages = {r.query_id: r for r in records if isinstance(r, Impression)}
        self.events = list({r.event_id: r for r in records if isinstance(r, Event)}.values())
        self.sums: Counter[Cell] = Counter()
        self.rules_used: Counter[str] = Counter()

    def counted(self) -> dict[Cell, float]:
        for page in self.pages.values():
            self._page(page)
        owners = {
            (e.client_id, e.object_id)
            for e in self.events
            if e.action_name in (Action.PURCHASE, Action.RETURN)
        }
        for client_id, object_id in sorted(owners):
            self._account(client_id, object_id)
        return {cell: n for cell, n in self.sums.items() if n}

    def _on(self, page: Impression, *actions: Action) -> set[str]:
        return {
            e.object_id
            for e in self.events
            if e.query_id == page.query_id and e.action_name in actions and e.object_id in page.object_ids
        }

    def _add(self, page: Impression, object_id: str, measure: str, n: float) -> None:
        weight = 2.0 ** ((page.shown_at_ms - self.rules.now_ms) / self.rules.half_life_ms)
        self.sums[page.user_query, fold_of(page.client_id), object_id, measure] += n * weight

    def _page(self, page: Impression) -> None:
        for action, measure in MEASURES.items():
            for object_id in self._on(page, action):
                self._add(page, object_id, measure, 1)
        acted = self._on(page, Action.CLICK, Action.ADD_TO_CART, Action.PURCHASE)
        if self._was_typing(page) and not acted:
            return
        viewed = self._on(page, Action.VIEW)
        for rank, object_id in enumerate(page.object_ids):
            looked = float(object_id in viewed | acted) if viewed else self.rules.examination[rank]
            self._add(page, object_id, "examinations", looked)
            self._add(page, object_id, "impressions", 1)

    def _was_typing(self, page: Impression) -> bool:
        return any(
            other.client_id == page.client_id
            and len(other.user_query) > len(page.user_query)
            and other.user_query.startswith(page.user_query)
            and 0 <= other.shown_at_ms - page.shown_at_ms <= self.rules.typing_ms
            for other in self.pages.values()
        )

    def _account(self, client_id: str, object_id: str) -> None:
        mine = sorted(
            (e for e in self.events if (e.client_id, e.object_id) == (client_id, object_id)),
            key=lambda e: (e.occurred_at_ms, e.event_id),
        )
        orders = [e for e in mine if e.action_name is Action.PURCHASE]
        left = {e.event_id: e.quantity for e in orders}
        money = {e.event_id: self._value(e) for e in orders}
        returns = [e for e in mine if e.action_name is Action.RETURN]
        for back in [*(e for e in returns if e.compensates), *(e for e in returns if not e.compensates)]:
            self._give_back(back, orders, left, money)
        counted: set[str] = set()
        for order in orders:
            page = self._page_of(order, mine)
            if page is not None and left[order.event_id] and page.query_id not in counted:
                counted.add(page.query_id)
                self._add(page, object_id, "purchases", 1)
                self._add(page, object_id, "value", money[order.event_id] / 100)

    def _value(self, event: Event) -> int:
        if not event.currency:
            return event.value_minor
        return round(event.value_minor * self.rules.rates.get(event.currency, 0.0))

    def _give_back(
        self, back: Event, orders: list[Event], left: dict[str, int], money: dict[str, int]
    ) -> None:
        todo = back.quantity
        for order in reversed(orders):
            age_ms = back.occurred_at_ms - order.occurred_at_ms
            fits = (
                0 <= age_ms <= self.rules.window_ms
                if not back.compensates
                else order.event_id == back.compensates
            )
            n = min(todo, left[order.event_id]) if fits else 0
            if n:
                paid = self._value(back) * n // back.quantity or self._value(order) * n // order.quantity
                todo -= n
                left[order.event_id] -= n
                money[order.event_id] = max(0, money[order.event_id] - paid) if left[order.event_id] else 0

    def _page_of(self, order: Event, mine: list[Event]) -> Impression | None:
        named = self.pages.get(order.query_id)
        if named and order.object_id in named.object_ids:
            self.rules_used["query_id"] += 1
            return named
        for click in sorted(mine, key=lambda e: (e.occurred_at_ms, e.query_id), reverse=True):
            page = self.pages.get(click.query_id)
            if (
                click.action_name is not Action.CLICK
                or page is None
                or click.object_id not in page.object_ids
            ):
                continue
            if 0 <= order.occurred_at_ms - click.occurred_at_ms <= self.rules.window_ms:
                self.rules_used["last_click"] += 1
                return page
        self.rules_used["unattributed"] += 1
        return None
