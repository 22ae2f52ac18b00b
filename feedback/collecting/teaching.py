"""What a page gives to the evidence, as far as it is known what happened on it. Pure.

What it gives follows from the facts alone, in whatever order they came; when they change, what is no longer
so is taken back and what is new is added:

- A page whose query was on its way to a longer one gives nothing, unless something was done on it (click,
  cart or purchase, before or after that was known).
- A page that the guard found unfit gives nothing; of objects that have counted for the client's query and day
  no page gives anything again.
- Where its client says what it saw, the assumed examinations of all its objects go, and each object seen,
  clicked, put in the cart or bought counts as looked at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from feedback.collecting.join import PageState
from feedback.collecting.rows import of_page, taken_back
from feedback.evidence.ledger import LedgerRow
from feedback.examination.curve import Curve
from feedback.records import Action, Impression


@dataclass(frozen=True)
class Given:
    """What a page gives."""

    teaches: bool = False
    seen: frozenset[str] | None = None
    """Objects; None: its client does not say, and the ranks' examinations are assumed."""
    again: tuple[str, ...] = ()
    """Objects of which it teaches nothing: see LedgerRow."""


NOTHING = Given()


def given_by(state: PageState) -> Given:
    """Return what a page gives, as far as it is known."""
    if state.page is None or state.page.purpose != "search" or state.unfit:
        return NOTHING
    acted = {object_id for action, object_id in state.done if action != Action.VIEW}
    if state.typed and not acted:
        return NOTHING
    viewed = {object_id for action, object_id in state.done if action == Action.VIEW}
    seen = frozenset(viewed | acted) if viewed else None
    return Given(teaches=True, seen=seen, again=state.again)


def given(pages: Mapping[str, PageState]) -> dict[str, Given]:
    """Return what each page gives, by query_id."""
    return {query_id: given_by(state) for query_id, state in pages.items()}


def changes(before: Mapping[str, Given], pages: Mapping[str, PageState]) -> Iterator[LedgerRow]:
    """Yield the rows between what pages gave before and what they give now."""
    for query_id, state in pages.items():
        was, now = before.get(query_id, NOTHING), given_by(state)
        if was != now and state.page is not None:
            old, new = rows_of(state.page, was), rows_of(state.page, now)
            yield from (taken_back(row) for row in old if row not in new)
            yield from (row for row in new if row not in old)


def taught_anew(before: Mapping[str, Given], pages: Mapping[str, PageState]) -> list[str]:
    """Return the query_ids of pages that begin to give, or to give again."""
    return [
        query_id
        for query_id, state in pages.items()
        if given_by(state).teaches and not before.get(query_id, NOTHING).teaches
    ]


def rows_of(page: Impression, gives: Given) -> list[LedgerRow]:
    """Return the rows of what a page gives."""
    if not gives.teaches:
        return []
    row = of_page(page, gives.again)
    if gives.seen is None:
        return [row]
    unassumed = msgspec.structs.replace(row, kind="unassumed")
    anew = gives.seen.difference(gives.again)
    seen = [object_id for object_id in page.object_ids if object_id in anew]
    views = (msgspec.structs.replace(row, kind="view", object_ids=(one,), again=()) for one in seen)
    return [row, unassumed, *views]


def is_worth_noting(state: PageState, curve: Curve, prior: Curve) -> bool:
    """Tell whether it must be written by which curve a page is counted: the prior goes without saying."""
    return curve != prior or state.curve is not None
