"""The ledger's rows, and the evidence as their fold. Pure.

Every hash of the evidence is the sum of its rows' increments: so it can be built again with another half-life
or position model, and one client's part can be taken out. A row names its client by a digest only.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import msgspec

from feedback.candidates import head
from feedback.curve import Curve
from feedback.decay import Decay
from feedback.errors import Corrupt
from feedback.evidence import ACTION_MEASURE, EXAMINATIONS, IMPRESSIONS, TRUSTED, VALUE, fold_of, query_field
from feedback.join import Acted, Joined
from feedback.keys import Keys
from feedback.records import Action, Arm, Band, Impression, Refinement, Rung
from feedback.sessions import is_unshaped
from feedback.settings import FeedbackSettings
from feedback.text import digest, normalise

MINOR = 100
"""Minor units in a unit of currency."""
COUNT_OF = {Action.CLICK: "clicks", Action.ADD_TO_CART: "add_to_carts", Action.PURCHASE: "purchases"}


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that one client did or was shown."""

    kind: Literal["page", "action", "refinement"]
    client: str
    """A digest."""
    fold: int
    segment: str
    query: str
    """Normalised."""
    arm: Arm
    at_ms: int
    """When the page was shown, for its actions too: so decay leaves their rate as it was."""
    rewritten: bool = False
    """Whether the page was made with a rewrite."""
    object_ids: tuple[str, ...] = ()
    """As shown; of an action its object alone."""
    action: Action | None = None
    rank: int = 0
    """Where an action's object was shown; 0 in a played log."""
    value_minor: int = 0
    """Of a purchase, in minor units of the currency."""
    unshaped: bool = False
    band: Band | None = None
    chance: float = 0.0
    """Of a page: see Impression."""
    query_id: str = ""
    """Of the page, on its actions' rows too."""
    event_id: str = ""
    """Of an action or a refinement."""
    version: int = 0
    """Of the policy whose words made the page; 0 where none did."""
    trial: int = 0
    """Of the page, on its actions' rows too: see Impression."""
    aside: bool = False
    """Of a page: see Impression."""
    text: str = ""
    """What a refinement typed next."""
    clicked: str = ""
    """What it led to."""

    @property
    def day(self) -> str:
        """The day whose ledger holds it, UTC."""
        return day_of(self.at_ms)


def day_of(at_ms: int) -> str:
    """Return the day of a time, UTC: ``2026-11-23``."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).date().isoformat()


def is_rewritten(page: Impression) -> bool:
    """Return whether a rewrite made the page: an empty one is the raw query."""
    return page.rung is not Rung.RAW and (page.rewrite is None or bool(page.rewrite.text))


def version_of(page: Impression) -> int:
    """Return the version of the policy whose words made the page; 0 where none did."""
    return page.rewrite.version if page.rewrite and is_rewritten(page) else 0


def rows(joined: Joined) -> Iterator[LedgerRow]:
    """Yield what a batch adds to the ledger."""
    yield from map(_of_page, joined.shown)
    yield from map(_of_action, joined.acted)
    yield from map(_of_refinement, joined.refined)


def _of_page(page: Impression) -> LedgerRow:
    return LedgerRow(
        kind="page",
        client=digest(page.client_id),
        fold=fold_of(page.client_id),
        segment=page.segment,
        query=normalise(page.user_query),
        arm=page.arm,
        at_ms=page.shown_at_ms,
        rewritten=is_rewritten(page),
        object_ids=page.object_ids,
        band=page.band,
        chance=page.chance,
        query_id=page.query_id,
        version=version_of(page),
        trial=page.trial,
        aside=page.aside,
    )


def _of_action(acted: Acted) -> LedgerRow:
    event, page = acted.event, acted.page
    source = page or event
    return LedgerRow(
        kind="action",
        client=digest(source.client_id),
        fold=fold_of(source.client_id),
        segment=source.segment,
        query=normalise(source.user_query),
        arm=(page.arm if page else event.arm) or Arm.LOG,
        at_ms=page.shown_at_ms if page else event.occurred_at_ms,
        rewritten=page is not None and is_rewritten(page),
        object_ids=(event.object_id,),
        action=event.action_name,
        rank=acted.rank,
        value_minor=event.value_minor,
        unshaped=is_unshaped(page, event),
        query_id=event.query_id,
        event_id=event.event_id,
        version=version_of(page) if page else 0,
        trial=page.trial if page else 0,
    )


def _of_refinement(refined: Refinement) -> LedgerRow:
    return LedgerRow(
        kind="refinement",
        client=digest(refined.client_id),
        fold=fold_of(refined.client_id),
        segment=refined.segment,
        query=normalise(refined.user_query),
        arm=refined.arm,
        at_ms=refined.occurred_at_ms,
        text=normalise(refined.refined_query),
        object_ids=refined.shown,
        clicked=refined.object_id,
        event_id=refined.refinement_id,
    )


@dataclass(kw_only=True)
class Increments:
    """What rows add to a partition's hashes."""

    keys: Keys
    settings: FeedbackSettings
    partition: int
    decay: Decay
    curve: Curve
    """What a showing at a rank is worth."""
    hashes: defaultdict[str, defaultdict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    """Key -> field -> what to add."""
    bounds: dict[str, int] = field(default_factory=dict)
    """Key -> how many objects, queries or texts its hash may hold."""
    moved: dict[str, None] = field(default_factory=dict)
    """``segment|query`` of those with new evidence, in the order of their rows."""

    def add(self, row: LedgerRow) -> None:
        """Add one row."""
        match row.kind:
            case "page":
                self._page(row)
            case "action":
                self._action(row)
            case "refinement":
                self._refinement(row)

    def _page(self, row: LedgerRow) -> None:
        weight = self.decay.weight(row.at_ms)
        for rank, object_id in enumerate(row.object_ids, start=1):
            self._evidence(row, object_id, self._showing(rank, weight))
        self._popularity(row, weight)
        self._count("impressions", row)

    def _action(self, row: LedgerRow) -> None:
        if row.action is None:
            raise Corrupt("a ledger row of an action names none")
        (object_id,) = row.object_ids
        weight = self.decay.weight(row.at_ms)
        measures = {ACTION_MEASURE[row.action]: weight}
        if row.action is Action.PURCHASE and row.value_minor:
            counted = min(row.value_minor, self.settings.action_weight.most_value_minor)
            measures[VALUE] = weight * counted / MINOR
        self._evidence(row, object_id, measures)
        self._count(COUNT_OF[row.action], row)
        if row.action is Action.CLICK:
            self._click(row, object_id, weight)

    def _click(self, row: LedgerRow, object_id: str, weight: float) -> None:
        if not row.rank:
            self._popularity(row, weight)
        if row.unshaped:
            key = self.keys.clicked(self.partition, object_id)
            self.hashes[key][f"{head(row.fold, row.arm)}|{query_field(row.segment, row.query)}"] += weight
            self.bounds[key] = self.settings.queries_an_object

    def _refinement(self, row: LedgerRow) -> None:
        key = self.keys.refined(row.query, row.segment)
        self.hashes[key][f"{head(row.fold, row.arm)}|{row.text}"] += self.decay.weight(row.at_ms)
        self.bounds[key] = self.settings.refinements_a_query
        self._borrowed(row)
        self.moved[query_field(row.segment, row.query)] = None
        self.hashes[self.keys.counts(self.partition)][f"refinements|{row.arm}"] += 1

    def _borrowed(self, row: LedgerRow) -> None:
        """Count the page that worked for the query that did not: the same shopper, the same wish."""
        weight = self.decay.weight(row.at_ms)
        for rank, object_id in enumerate(row.object_ids, start=1):
            measures = self._showing(rank, weight)
            if object_id == row.clicked:
                measures[ACTION_MEASURE[Action.CLICK]] = weight
            self._evidence(row, object_id, measures)

    def _showing(self, rank: int, weight: float) -> dict[str, float]:
        """Return what a showing at a rank adds."""
        trusted = self.curve.trust(rank)
        shown = {EXAMINATIONS: weight * self.curve.looked(rank), IMPRESSIONS: weight}
        return shown | {TRUSTED: weight * trusted} if trusted else shown

    def _evidence(self, row: LedgerRow, object_id: str, measures: dict[str, float]) -> None:
        key = self.keys.evidence(row.query, row.segment)
        objects = self.hashes[self.keys.objects(self.partition)]
        for measure, weight in measures.items():
            name = f"{row.fold}|{measure}|{object_id}"
            self.hashes[key][name] += weight
            objects[name] += weight
        self.bounds[key] = self.settings.objects_a_query
        self.moved[query_field(row.segment, row.query)] = None

    def _popularity(self, row: LedgerRow, weight: float) -> None:
        self.hashes[self.keys.queries(self.partition)][query_field(row.segment, row.query)] += weight

    def _count(self, name: str, row: LedgerRow) -> None:
        made = "rewritten" if row.rewritten else "raw"
        self.hashes[self.keys.counts(self.partition)][f"{name}|{row.arm}|{made}"] += 1
