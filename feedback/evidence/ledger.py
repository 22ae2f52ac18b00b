"""The ledger's rows, and the evidence as their fold. Pure.

Every hash of the evidence is the sum of its rows' increments: so it can be built again with another half-life
or position model, and one client's part can be taken out. A row names its client by a digest only. No row is
ever rewritten: what is no longer so is taken back by a row that undoes another one's increments.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import msgspec

from feedback.errors import Corrupt
from feedback.evidence.candidates import head
from feedback.evidence.decay import Decay
from feedback.evidence.delays import bought_field, shown_field
from feedback.evidence.preceding import packed
from feedback.evidence.reading import (
    ACTION_MEASURE,
    EXAMINATIONS,
    IMPRESSIONS,
    TRUSTED,
    VALUE,
    query_field,
)
from feedback.examination.curve import Curve
from feedback.keys import Keys
from feedback.records import Action, Arm, Band, History, Rung, Would
from feedback.settings import FeedbackSettings

MINOR = 100
"""Minor units in a unit of currency."""
COUNT_OF = {Action.CLICK: "clicks", Action.ADD_TO_CART: "add_to_carts", Action.PURCHASE: "purchases"}

Kind = Literal["page", "action", "refinement", "view", "unassumed", "back"]
"""``unassumed``: its client says what it saw, so what was assumed of the page's ranks goes; ``view``: an
object that it saw; ``back``: takes back what an equal row of the kind ``of`` gave."""


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that one client did or was shown."""

    kind: Kind
    of: Kind | None = None
    """What a row of the kind ``back`` takes back."""
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
    """Of a purchase, in minor units of the shop's currency, less what was paid back."""
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
    acted_at_ms: int = 0
    """When a purchase was made, Unix UTC; 0: not known."""
    rule: str = ""
    """How a purchase found its page: see Sold."""
    filed_ms: int = 0
    """By which it stands in the ledger where it came long after its page; 0: by ``at_ms``."""
    clicked_again: bool = False
    """Of a refinement: whether the click on what it led to has counted for its query and day."""
    rung: Rung | None = None
    """Of a page: which step of the ladder answered; None: written before it was kept."""
    would: Would | None = None
    """Of a page: see Impression."""
    history: History = ()
    """Of a page: see Impression."""
    again: tuple[str, ...] = ()
    """Objects that this client's row of the same query and day has counted for: the row teaches nothing of
    them."""

    @property
    def day(self) -> str:
        """The day whose ledger holds it, UTC."""
        return day_of(self.filed_ms or self.at_ms)

    @property
    def gives(self) -> Kind:
        """What it gives or, if it is a ``back``, takes."""
        return self.of or self.kind

    @property
    def sign(self) -> int:
        """1, or -1 where it takes back."""
        return -1 if self.kind == "back" else 1


def day_of(at_ms: int) -> str:
    """Return the day of a time, UTC: ``2026-11-23``."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).date().isoformat()


@dataclass(kw_only=True)
class Increments:
    """What rows add to a partition's hashes."""

    keys: Keys
    settings: FeedbackSettings
    partition: int
    decay: Decay
    curve: Curve
    """What a showing at a rank is worth."""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """By query_id, where a page was counted with another one: what is taken back is what was given."""
    hashes: defaultdict[str, defaultdict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    """Key -> field -> what to add."""
    bounds: dict[str, int] = field(default_factory=dict)
    """Key -> how many objects, queries or texts its hash may hold."""
    moved: dict[str, None] = field(default_factory=dict)
    """``segment|query`` of those with new evidence, in the order of their rows."""

    def empty(self) -> "Increments":
        """Return increments without any row, of the same partition and counted alike."""
        return Increments(
            keys=self.keys,
            settings=self.settings,
            partition=self.partition,
            decay=self.decay,
            curve=self.curve,
        )

    def add(self, row: LedgerRow) -> None:
        """Add one row."""
        weight = row.sign * self.decay.weight(row.at_ms)
        match row.gives:
            case "page":
                self._page(row, weight)
            case "action":
                self._action(row, weight)
            case "refinement":
                self._refinement(row, weight)
            case "view":
                self._view(row, weight)
            case "unassumed":
                self._unassumed(row, weight)
            case "back":
                raise Corrupt("a ledger row takes back another one that takes back")

    def _page(self, row: LedgerRow, weight: float) -> None:
        self._showings(row, self.curves.get(row.query_id, self.curve), weight)
        if not row.again:
            self._popularity(row, weight)
            self._preceded(row, weight)
        self.hashes[self.keys.delays(self.partition)][shown_field(row.at_ms)] += row.sign
        self._count("impressions", row)
        if row.would:
            self.hashes[self.keys.counts(self.partition)][f"would|{row.would.rung}"] += row.sign

    def _unassumed(self, row: LedgerRow, weight: float) -> None:
        curve = self.curves.get(row.query_id, self.curve)
        for rank, object_id in enumerate(row.object_ids, start=1):
            if object_id not in row.again:
                self._evidence(row, object_id, {EXAMINATIONS: -weight * curve.looked(rank)})
        self._count("viewed_pages", row)

    def _view(self, row: LedgerRow, weight: float) -> None:
        (object_id,) = row.object_ids
        self._evidence(row, object_id, {EXAMINATIONS: weight})
        self._count("views", row)

    def _action(self, row: LedgerRow, weight: float) -> None:
        if row.action is None or row.action not in ACTION_MEASURE:
            raise Corrupt("a ledger row of an action names none")
        (object_id,) = row.object_ids
        self._count(COUNT_OF[row.action], row)
        if row.again:
            return
        measures = {ACTION_MEASURE[row.action]: weight}
        if row.action is Action.PURCHASE and row.value_minor:
            counted = min(row.value_minor, self.settings.action_weight.most_value_minor)
            measures[VALUE] = weight * counted / MINOR
        self._evidence(row, object_id, measures)
        if row.acted_at_ms:
            lag = bought_field(row.at_ms, row.acted_at_ms)
            self.hashes[self.keys.delays(self.partition)][lag] += row.sign
        if row.action is Action.CLICK:
            self._click(row, object_id, weight)

    def _click(self, row: LedgerRow, object_id: str, weight: float) -> None:
        if not row.rank:
            self._popularity(row, weight)
        if row.unshaped:
            key = self.keys.clicked(self.partition, object_id)
            self.hashes[key][f"{head(row.fold, row.arm)}|{query_field(row.segment, row.query)}"] += weight
            self.bounds[key] = self.settings.queries_an_object

    def _refinement(self, row: LedgerRow, weight: float) -> None:
        key = self.keys.refined(row.query, row.segment)
        self.hashes[key][f"{head(row.fold, row.arm)}|{row.text}"] += weight
        self.bounds[key] = self.settings.refinements_a_query
        self._borrowed(row, weight)
        self.moved[query_field(row.segment, row.query)] = None
        self.hashes[self.keys.counts(self.partition)][f"refinements|{row.arm}"] += row.sign

    def _borrowed(self, row: LedgerRow, weight: float) -> None:
        """Count the page that worked for the query that did not: the same shopper, the same wish."""
        self._showings(row, self.curve, weight)
        if row.clicked in row.object_ids and not row.clicked_again:
            self._evidence(row, row.clicked, {ACTION_MEASURE[Action.CLICK]: weight})

    def _showings(self, row: LedgerRow, curve: Curve, weight: float) -> None:
        """Count a page's objects as shown: most of what a collector does, so nothing is looked up twice."""
        ranked = [(rank, one) for rank, one in enumerate(row.object_ids, start=1) if one not in row.again]
        if not ranked:
            return
        evidence, objects = self._hashes_of(row)
        seen, shown, trusted = (f"{row.fold}|{one}|" for one in (EXAMINATIONS, IMPRESSIONS, TRUSTED))
        for rank, object_id in ranked:
            looked, trust = weight * curve.looked(rank), curve.trust(rank)
            evidence[seen + object_id] += looked
            objects[seen + object_id] += looked
            evidence[shown + object_id] += weight
            objects[shown + object_id] += weight
            if trust:
                evidence[trusted + object_id] += weight * trust
                objects[trusted + object_id] += weight * trust

    def _hashes_of(self, row: LedgerRow) -> tuple[defaultdict[str, float], defaultdict[str, float]]:
        """Return what a row adds to its query's evidence and to the objects' totals."""
        key = self.keys.evidence(row.query, row.segment)
        self.bounds[key] = self.settings.objects_a_query
        self.moved[query_field(row.segment, row.query)] = None
        return self.hashes[key], self.hashes[self.keys.objects(self.partition)]

    def _evidence(self, row: LedgerRow, object_id: str, measures: dict[str, float]) -> None:
        evidence, objects = self._hashes_of(row)
        for measure, weight in measures.items():
            name = f"{row.fold}|{measure}|{object_id}"
            evidence[name] += weight
            objects[name] += weight

    def _popularity(self, row: LedgerRow, weight: float) -> None:
        self.hashes[self.keys.queries(self.partition)][query_field(row.segment, row.query)] += weight

    def _preceded(self, row: LedgerRow, weight: float) -> None:
        if row.history:
            key = self.keys.preceded(row.query, row.segment)
            self.hashes[key][f"{head(row.fold, row.arm)}|{packed(row.history)}"] += weight
            self.bounds[key] = self.settings.histories_a_query

    def _count(self, name: str, row: LedgerRow) -> None:
        made = "rewritten" if row.rewritten else "raw"
        self.hashes[self.keys.counts(self.partition)][f"{name}|{row.arm}|{made}"] += row.sign
