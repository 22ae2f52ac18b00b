"""The ledger's rows of what was collected. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from feedback.collecting.join import Acted, Joined, seen_id
from feedback.collecting.sessions import is_unshaped
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.reading import fold_of
from feedback.link_records import Sold
from feedback.records import Action, Arm, Impression, Refinement, Rung
from feedback.text import digest, normalise


@dataclass(frozen=True, kw_only=True)
class Lent:
    """What of a refinement's page has counted for its first query, client and day before."""

    again: tuple[str, ...] = ()
    """Objects shown."""
    clicked_again: bool = False
    """Whether the click on what it led to has."""


NOTHING_LENT = Lent()


def is_rewritten(page: Impression) -> bool:
    """Return whether a rewrite made the page: an empty one is the raw query."""
    return page.rung is not Rung.RAW and (page.rewrite is None or bool(page.rewrite.text))


def version_of(page: Impression) -> int:
    """Return the version of the policy whose words made the page; 0 where none did."""
    return page.rewrite.version if page.rewrite and is_rewritten(page) else 0


def rows(joined: Joined, lent: Mapping[str, Lent]) -> Iterator[LedgerRow]:
    """Yield what a batch adds to the ledger by actions and refinements, given what these lend again.

    What pages and the purchases made on them come to may be taken back, so that it depends on more than the
    batch: see `feedback.collecting.teaching` and `feedback.collecting.selling`.
    """
    for acted in filter(_is_final, joined.acted):
        row = _of_action(acted)
        counted = seen_id(acted.event) in joined.counted
        yield msgspec.structs.replace(row, again=row.object_ids) if counted else row
    for refined in joined.refined:
        yield _of_refinement(refined, lent.get(refined.refinement_id, NOTHING_LENT))


def _is_final(acted: Acted) -> bool:
    """Tell whether nothing takes it back: a click, and whatever a played log holds."""
    return acted.page is None or acted.event.action_name in (Action.CLICK, Action.ADD_TO_CART)


def taken_back(row: LedgerRow, *, filed_ms: int | None = None) -> LedgerRow:
    """Return the row that undoes another one; it stands where that stands, or where it is filed."""
    filed = row.filed_ms if filed_ms is None else filed_ms
    return msgspec.structs.replace(row, kind="back", of=row.kind, filed_ms=filed)


def of_sold(sold: Sold) -> LedgerRow | None:
    """Return the row of the purchase that counts; None where none does."""
    place = sold.place
    if place is None:
        return None
    return LedgerRow(
        kind="action",
        client=sold.client,
        fold=place.fold,
        segment=place.segment,
        query=place.query,
        arm=place.arm,
        at_ms=place.shown_at_ms,
        rewritten=place.rewritten,
        object_ids=(sold.object_id,),
        action=Action.PURCHASE,
        rank=place.rank,
        value_minor=sold.value_minor,
        unshaped=place.unshaped,
        query_id=place.query_id,
        event_id=sold.event_id,
        version=place.version,
        trial=place.trial,
        acted_at_ms=sold.at_ms,
        rule=sold.rule,
    )


def of_page(page: Impression, again: tuple[str, ...] = ()) -> LedgerRow:
    """Return the row of a page that counts, with what is assumed of its ranks."""
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
        rung=page.rung,
        would=page.would,
        history=page.history,
        again=again,
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


def _of_refinement(refined: Refinement, lent: Lent) -> LedgerRow:
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
        again=lent.again,
        clicked_again=lent.clicked_again,
    )
