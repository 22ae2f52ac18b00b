"""Decides which of a batch's joined records may teach, given what was there before. Pure.

The order of the rules is fixed, so that each record has one reason: quarantine, what its page was left out
for, pace, the page as a whole, the network, and last what has counted before, which alone leaves a row.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from feedback.collecting.join import Acted, Joined, PageState, seen_id
from feedback.collecting.rows import Lent
from feedback.guard.networks import Pages
from feedback.guard.once import Counted, field_of
from feedback.guard.pace import Mark, of_click, of_page, too_fast
from feedback.records import Action, Event, Impression, Refinement
from feedback.settings import GuardSettings
from feedback.text import digest, normalise

Day = tuple[int, bytes]
"""A period, and a client's field in it."""
Source = Impression | Event
ONCE = frozenset({Action.CLICK, Action.ADD_TO_CART})
"""What counts once a query and day: purchases have accounts of their own, views are the page's to count."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What Redis held of a batch's clients, queries and networks; ``once`` and ``networks`` are updated."""

    quarantined: frozenset[str] = frozenset()
    """Digests."""
    once: dict[Day, Counted] = field(default_factory=dict)
    networks: dict[int, Pages] = field(default_factory=dict)
    marks: Mapping[str, list[Mark]] = field(default_factory=dict)
    """By client."""
    pages: Mapping[str, PageState] = field(default_factory=dict)
    """As the join left them."""


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What the batch's transaction writes of it."""

    once: Mapping[Day, bytes] = field(default_factory=dict)
    networks: Mapping[int, Counter[str]] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    """query_id -> why its page may not teach."""
    again: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """query_id -> objects of its page that have taught before, for the same client, query and day."""
    lent: Mapping[str, Lent] = field(default_factory=dict)
    """refinement_id -> what of the page that it led to has counted for its first query before."""


def period(at_ms: int, settings: GuardSettings) -> int:
    """Return the number of the period that a time falls into."""
    return at_ms // int(settings.once_s * 1000)


def page_day(page: Source, settings: GuardSettings) -> Day:
    """Return the period and field of a page, or of an event without one."""
    at_ms = page.shown_at_ms if isinstance(page, Impression) else page.occurred_at_ms
    return period(at_ms, settings), field_of(page.client_id, page.segment, normalise(page.user_query))


def refined_day(refined: Refinement, settings: GuardSettings) -> Day:
    """Return the period and field of a refinement."""
    query = normalise(refined.user_query)
    return period(refined.occurred_at_ms, settings), field_of(refined.client_id, refined.segment, query)


def judge(joined: Joined, known: Known, settings: GuardSettings) -> Marks:
    """Take out of a joined batch what may not teach, count why, and return what is to be written."""
    judging = _Judging(joined, known, settings)
    joined.shown[:] = [page for page in joined.shown if judging.fits(page)]
    joined.acted[:] = [acted for acted in joined.acted if judging.acts(acted)]
    joined.again[:] = [acted for acted in joined.again if not judging.outcast(acted)]
    joined.ordered[:] = [event for event in joined.ordered if judging.deals(event)]
    joined.counted = frozenset(judging.counted)
    joined.refined[:] = [refined for refined in joined.refined if judging.refines(refined)]
    return Marks(
        once={day: known.once[day].encode() for day in judging.touched},
        networks={day: pages.added for day, pages in known.networks.items() if pages.added},
        unfit=judging.unfit,
        again=judging.again,
        lent=judging.lent,
    )


class _Judging:
    """One batch."""

    def __init__(self, joined: Joined, known: Known, settings: GuardSettings) -> None:
        self._joined = joined
        self._known = known
        self._settings = settings
        self._clicks = _clicks_before(joined, known.pages)
        self.unfit: dict[str, str] = {}
        self.again: dict[str, tuple[str, ...]] = {}
        self.counted: list[str] = []
        self.lent: dict[str, Lent] = {}
        self.touched: dict[Day, None] = {}

    def fits(self, page: Impression) -> bool:
        """Tell whether a page may teach."""
        reason = self._page_reason(page)
        state = self._known.pages[page.query_id]
        if reason:
            self.unfit[page.query_id] = state.unfit = reason
            return self._drop(reason)
        day = self._day(page_day(page, self._settings))
        day.begin()
        again = tuple(d for d in dict.fromkeys(page.object_ids) if not day.show(d))
        if again:
            self.again[page.query_id] = state.again = again
            self._joined.dropped["again"] += len(again) == len(set(page.object_ids))
        return True

    def acts(self, acted: Acted) -> bool:
        """Tell whether an action may teach."""
        reason, event = self._action_reason(acted), acted.event
        if reason:
            self._undo(acted)
            return self._drop(reason)
        if event.action_name not in ONCE:
            return True
        day = self._day(page_day(acted.page or event, self._settings))
        if not day.act(event.object_id, event.action_name):
            self.counted.append(seen_id(event))
            self._joined.dropped["again"] += 1
        return True

    def outcast(self, acted: Acted) -> bool:
        """Tell whether nothing that its client or on its page was done counts."""
        of = (acted.page or acted.event).client_id
        return self._quarantined(of) or bool(acted.page and self._unfit(acted.page.query_id))

    def deals(self, event: Event) -> bool:
        """Tell whether a purchase or return that has no page may count."""
        return not self._quarantined(event.client_id) or self._drop("quarantined")

    def _quarantined(self, client_id: str) -> bool:
        return digest(client_id) in self._known.quarantined

    def _undo(self, acted: Acted) -> None:
        """Let the page forget an action that the join took for done."""
        if acted.page and acted.page.query_id in self._known.pages:
            done = (acted.event.action_name.value, acted.event.object_id)
            self._known.pages[acted.page.query_id].done.discard(done)

    def refines(self, refined: Refinement) -> bool:
        """Tell whether a refinement may teach."""
        if self._quarantined(refined.client_id):
            return self._drop("quarantined")
        day = self._day(refined_day(refined, self._settings))
        if not day.refine(normalise(refined.refined_query)):
            return self._drop("again")
        again = tuple(d for d in dict.fromkeys(refined.shown) if not day.show(d))
        clicked = refined.object_id in refined.shown and not day.act(refined.object_id, Action.CLICK)
        if again or clicked:
            self.lent[refined.refinement_id] = Lent(again=again, clicked_again=clicked)
        return True

    def _page_reason(self, page: Impression) -> str | None:
        if self._quarantined(page.client_id):
            return "quarantined"
        if reason := too_fast(of_page(page), self._known.marks.get(page.client_id, ()), self._settings):
            return reason
        return None if self._is_reload(page) or self._admits(page) else "network"

    def _is_reload(self, page: Impression) -> bool:
        """Tell whether the client's day with the query has a page: its prefix has been asked then."""
        return self._known.once.get(page_day(page, self._settings), Counted()).has_begun

    def _admits(self, page: Impression) -> bool:
        pages = self._known.networks.setdefault(period(page.shown_at_ms, self._settings), Pages({}))
        return pages.admit(page.network, page.segment, normalise(page.user_query), self._settings)

    def _action_reason(self, acted: Acted) -> str | None:
        event, page = acted.event, acted.page
        if self._quarantined((page or event).client_id):
            return "quarantined"
        if page and (unfit := self._unfit(page.query_id)):
            return unfit
        if page and event.occurred_at_ms < page.shown_at_ms - self._settings.early_s * 1000:
            return "before_page"
        return self._click_reason(acted) if event.action_name is Action.CLICK else None

    def _click_reason(self, acted: Acted) -> str | None:
        marks = self._known.marks.get((acted.page or acted.event).client_id, ())
        if reason := too_fast(of_click(acted), marks, self._settings):
            return reason
        if acted.page is None:
            return None
        if 0 <= acted.event.occurred_at_ms - acted.page.shown_at_ms < self._settings.dwell_s * 1000:
            return "dwell"
        self._clicks[acted.page.query_id] += 1
        return "whole_page" if self._clicks[acted.page.query_id] > self._settings.page_clicks else None

    def _unfit(self, query_id: str) -> str:
        state = self._known.pages.get(query_id)
        return state.unfit if state else ""

    def _day(self, day: Day) -> Counted:
        self.touched[day] = None
        return self._known.once.setdefault(day, Counted())

    def _drop(self, reason: str) -> bool:
        self._joined.dropped[reason] += 1
        return False


def _clicks_before(joined: Joined, pages: Mapping[str, PageState]) -> defaultdict[str, int]:
    """Return how many objects of each page were clicked before the batch."""
    clicks: defaultdict[str, int] = defaultdict(int)
    for acted in joined.acted:
        if acted.page and acted.page.query_id not in clicks and acted.page.query_id in pages:
            done = pages[acted.page.query_id].done
            clicks[acted.page.query_id] = sum(action == Action.CLICK.value for action, _ in done)
    for acted in joined.acted:
        if acted.page and acted.event.action_name is Action.CLICK:
            clicks[acted.page.query_id] -= 1
    return clicks
