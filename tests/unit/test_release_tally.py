"""A trial's counts, from ledger rows written by hand."""

import msgspec

from agent.release.sequences import Arm
from agent.release.tally import Ages, Tally
from feedback.evidence.ledger import LedgerRow
from feedback.records import Action
from feedback.records import Arm as Treatment
from feedback.version_records import Trial

AGES = Ages(click_ms=1000, purchase_ms=5000)
TRIAL = Trial(version=7, stable=3, share=0.1, began_at_ms=0)


def page(
    query_id: str, client: str, arm: Treatment, at_ms: int = 0, *, trial: int = 7, query: str = "q"
) -> LedgerRow:
    return LedgerRow(
        kind="page",
        client=client,
        fold=0,
        segment="all",
        query=query,
        arm=arm,
        at_ms=at_ms,
        query_id=query_id,
        trial=trial,
    )


def act(query_id: str, action: Action = Action.CLICK, *, trial: int = 7) -> LedgerRow:
    return LedgerRow(
        kind="action",
        client="c",
        fold=0,
        segment="all",
        query="q",
        arm=Treatment.CANARY,
        at_ms=0,
        object_ids=("o",),
        action=action,
        query_id=query_id,
        trial=trial,
    )


def tallied(*rows: LedgerRow) -> Tally:
    tally = Tally(TRIAL, AGES)
    for row in rows:
        tally.add(row)
    return tally


def counts(arm: Arm) -> list[tuple[float, float]]:
    return sorted(zip(arm.pages.tolist(), arm.clicks.tolist(), strict=True))


def test_pages_and_clicks_are_counted_by_client_and_arm() -> None:
    look = tallied(
        page("1", "a", Treatment.CANARY),
        page("2", "a", Treatment.CANARY),
        act("2"),
        act("2"),  # a second click on a page is still one page with a click
        page("3", "b", Treatment.STABLE),
    ).look(1000)
    assert counts(look.clicks.canary) == [(2, 1)]
    assert counts(look.clicks.stable) == [(1, 0)]
    assert look.pages == 2


def test_a_page_counts_its_clicks_once_it_is_of_age_and_no_later_ones() -> None:
    tally = tallied(page("1", "a", Treatment.CANARY))
    assert counts(tally.look(999).clicks.canary) == []
    assert counts(tally.look(1000).clicks.canary) == [(1, 0)]
    tally.add(act("1"))
    assert counts(tally.look(2000).clicks.canary) == [(1, 0)]


def test_young_pages_count_in_the_fast_brake_at_once() -> None:
    look = tallied(page("1", "a", Treatment.CANARY), act("1")).look(0)
    assert counts(look.young.canary) == [(1, 1)]


def test_purchases_count_at_their_own_age() -> None:
    tally = tallied(page("1", "a", Treatment.CANARY), act("1", Action.PURCHASE))
    assert counts(tally.look(4999).purchases.canary) == []
    assert counts(tally.look(5000).purchases.canary) == [(1, 1)]


def test_pages_that_do_not_differ_or_are_of_another_trial_count_only_towards_the_share() -> None:
    look = tallied(
        page("1", "a", Treatment.CANARY),
        page("2", "a", Treatment.CANARY, trial=0),
        page("3", "b", Treatment.CANARY, trial=6),
        page("4", "b", Treatment.EXPLORE, trial=7),
    ).look(1000)
    assert counts(look.clicks.canary) == [(1, 0)]
    assert look.share == 1 / 3  # of the canary's three pages


def test_the_canary_is_held_against_holdback_on_all_its_pages() -> None:
    look = tallied(
        page("1", "a", Treatment.CANARY, trial=0),
        act("1", trial=0),
        page("2", "h", Treatment.HOLDBACK, trial=0),
    ).look(1000)
    assert counts(look.holdback.canary) == [(1, 1)]
    assert counts(look.holdback.stable) == [(1, 0)]


def test_a_further_search_within_a_minute_is_counted_against_the_page() -> None:
    look = tallied(
        page("1", "a", Treatment.CANARY, 0),
        page("2", "a", Treatment.CANARY, 59_999),
        page("3", "b", Treatment.CANARY, 0),
        page("4", "b", Treatment.CANARY, 60_000),
    ).look(100_000)
    assert counts(look.again.canary) == [(2, 0), (2, 1)]


def test_a_page_without_a_click_or_a_further_search_is_abandoned() -> None:
    look = tallied(
        page("1", "a", Treatment.CANARY, 0),
        page("2", "b", Treatment.CANARY, 0),
        act("2"),
        page("3", "c", Treatment.CANARY, 0),
        page("4", "c", Treatment.CANARY, 1000),  # as long as clicks are waited for
        page("5", "d", Treatment.CANARY, 0),
        page("6", "d", Treatment.CANARY, 1001),  # another day's business
    ).look(1000)
    assert counts(look.abandoned.canary) == [(1, 0), (1, 0), (1, 1), (1, 1)]


def test_a_row_that_comes_twice_counts_once() -> None:
    look = tallied(page("1", "a", Treatment.CANARY), page("1", "a", Treatment.CANARY)).look(1000)
    assert counts(look.clicks.canary) == [(1, 0)]


def back(row: LedgerRow) -> LedgerRow:
    return msgspec.structs.replace(row, kind="back", of=row.kind)


def test_a_page_that_was_typing_and_a_purchase_given_back_do_not_count() -> None:
    typed, bought = page("1", "a", Treatment.CANARY), page("2", "b", Treatment.CANARY)
    order = act("2", Action.PURCHASE)
    look = tallied(typed, bought, back(typed), order, back(order)).look(5000)
    assert counts(look.clicks.canary) == [(1, 0)]
    assert counts(look.young.canary) == [(1, 0)]
    assert counts(look.purchases.canary) == [(1, 0)]
    assert look.share == 1.0  # of the one search that is left


def test_a_page_that_was_typing_counts_once_it_is_clicked() -> None:
    typed = page("1", "a", Treatment.CANARY)
    look = tallied(typed, back(typed), act("1"), typed).look(5000)
    assert counts(look.clicks.canary) == [(1, 1)]
    assert counts(look.young.canary) == [(1, 1)]


def test_clients_that_are_left_out_count_in_no_arm_and_count_again_once_they_are_not() -> None:
    tally = tallied(
        page("1", "a", Treatment.CANARY),
        act("1"),
        page("2", "bad", Treatment.CANARY),
        page("3", "bad", Treatment.CANARY, trial=0),
        page("4", "b", Treatment.STABLE),
    )
    look = tally.look(1000, frozenset({"bad"}))
    assert counts(look.clicks.canary) == counts(look.young.canary) == [(1, 1)]
    assert (look.pages, look.share) == (1, 1.0)
    again = tally.look(1000)
    assert counts(again.clicks.canary) == [(1, 0), (1, 1)]
    assert (again.pages, again.share) == (2, 2 / 3)
