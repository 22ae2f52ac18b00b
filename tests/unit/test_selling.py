"""Rows of purchases and pages as they change, by hand."""

import dataclasses
from typing import Any

import msgspec
import pytest

from feedback.collecting.join import Bounds, PageState
from feedback.collecting.link_faults import fault
from feedback.collecting.selling import Register, sell
from feedback.collecting.teaching import changes, given
from feedback.evidence.ledger import LedgerRow
from feedback.keys import Keys
from feedback.link_records import Place, Sold, Typed
from feedback.records import Arm, Impression, Rung
from feedback.settings import FeedbackSettings

DAY_MS = 86_400_000
NOW_MS = 100 * DAY_MS
BOUNDS = Bounds(keys=Keys(tenant="t"), settings=FeedbackSettings(), partition=0, now_ms=NOW_MS)
SOLD = Sold(tenant="t", client="c", object_id="A", query_id="p", rev=5, tallies={"last_click": 1})


def sold(rev: int, event_id: str, *, value: int = 100, shown_at_ms: int = NOW_MS) -> Sold:
    place = Place("p", "all", "couch", Arm.STABLE, 0, shown_at_ms, 1, 0, 0, rewritten=False, unshaped=True)
    return msgspec.structs.replace(
        SOLD, rev=rev, event_id=event_id, at_ms=NOW_MS, value_minor=value, rule="last_click", place=place
    )


AT = Place("01-p", "all", "lamp", Arm.STABLE, 0, NOW_MS, 1, 0, 0, rewritten=False, unshaped=True)
PLACED = msgspec.structs.replace(SOLD, query_id="01-p", event_id="o1", at_ms=NOW_MS, place=AT)
THERE = Bounds(keys=Keys(tenant="t", partitions=4), settings=FeedbackSettings(), partition=1, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"shown_at_ms": 10**17}, "place.shown_at_ms: 100000000000000000 is out of range"),
        ({"shown_at_ms": NOW_MS + 600_001}, "place.shown_at_ms: 8640600001 is out of range"),
        ({"shown_at_ms": -1}, "place.shown_at_ms: -1 is out of range"),
        ({"query_id": "01-q"}, "place.query_id: is not of this partition"),
        ({"query": "couch"}, "place.query: is not of this partition"),
        ({"query": " Lamp"}, "place.query: is none"),
        ({"segment": "a|b"}, "place.segment: has a bar"),
        ({"fold": 2}, "place.fold: 2 is out of range"),
        ({"rank": 2**53 + 1}, "place.rank: 9007199254740993 is out of range"),
        ({"version": -1}, "place.version: -1 is out of range"),
    ],
)
def test_a_link_to_a_place_that_cannot_be_says_what_is_wrong(change: dict[str, Any], why: str) -> None:
    assert fault(msgspec.structs.replace(PLACED, place=msgspec.structs.replace(AT, **change)), THERE) == why


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"value_minor": -1}, "value_minor: -1 is out of range"),
        ({"rev": 2**53 + 1}, "rev: 9007199254740993 is out of range"),
        ({"at_ms": 10**15}, "at_ms: 1000000000000000 is out of range"),
        ({"tallies": {"x": -(2**60)}}, "tallies.x: 1152921504606846976 is out of range"),
        (
            {"query_id": "02-p", "place": msgspec.structs.replace(AT, query_id="02-p")},
            "place.query_id: is not",
        ),
    ],
)
def test_a_link_of_what_cannot_be_says_what_is_wrong(change: dict[str, Any], why: str) -> None:
    assert (fault(msgspec.structs.replace(PLACED, **change), THERE) or "").startswith(why)


def test_a_link_at_the_bounds_can_be_applied() -> None:
    for shown_at_ms in (NOW_MS + 600_000, 0):
        place = msgspec.structs.replace(AT, shown_at_ms=shown_at_ms)
        assert fault(msgspec.structs.replace(PLACED, place=place), THERE) is None
    assert fault(msgspec.structs.replace(SOLD, query_id=""), THERE) is None
    assert fault(Typed(tenant="t", client="c", query_id="x"), THERE) is None
    assert fault(msgspec.structs.replace(PLACED, tenant="else", value_minor=-1), THERE) is None


def test_a_link_is_as_old_as_evidence_can_weigh() -> None:
    settings = FeedbackSettings(half_life_s=86_400)
    late = Bounds(keys=THERE.keys, settings=settings, partition=1, now_ms=NOW_MS + 900 * DAY_MS)
    assert fault(PLACED, late) is None
    assert (
        fault(PLACED, dataclasses.replace(late, now_ms=late.now_ms + 1))
        == "at_ms: 8640000000 is out of range"
    )


def told(row: LedgerRow) -> tuple[str, str, int]:
    return row.kind, row.event_id or "".join(row.object_ids), row.value_minor


def test_the_highest_revision_stands_whatever_comes_first() -> None:
    first, second, nothing = (
        sold(1, "o1"),
        sold(2, "o2", value=50),
        msgspec.structs.replace(SOLD, rev=3, tallies={}),
    )
    register: Register = ("p", "A")
    both = sell([second, first], {}, BOUNDS)
    assert [told(row) for row in both.rows] == [("action", "o2", 50)]
    assert both.standing == {register: second}
    late = sell([first], {register: second}, BOUNDS)
    assert (late.rows, late.standing, late.tallies.total()) == ([], {}, 0)
    gone = sell([nothing], {register: second}, BOUNDS)
    assert [told(row) for row in gone.rows] == [("back", "o2", 50)]
    assert gone.tallies == {"last_click": -1}
    assert sell([second], {register: nothing}, BOUNDS).rows == []
    assert sell([msgspec.structs.replace(second, tenant="else")], {}, BOUNDS).standing == {}


def test_a_partial_return_takes_the_old_value_back_and_gives_the_new_one() -> None:
    less = sell([sold(2, "o1", value=40)], {("p", "A"): sold(1, "o1")}, BOUNDS)
    assert [told(row) for row in less.rows] == [("back", "o1", 100), ("action", "o1", 40)]
    assert less.tallies.total() == 0
    assert sell([sold(2, "o1")], {("p", "A"): sold(1, "o1")}, BOUNDS).rows == []


def test_a_row_that_comes_long_after_its_page_is_filed_where_new_rows_are_looked_for() -> None:
    old = sold(1, "o1", shown_at_ms=NOW_MS - 2 * DAY_MS - 1)
    (row,) = sell([old], {}, BOUNDS).rows
    assert (row.filed_ms, row.at_ms, row.day) == (NOW_MS, NOW_MS - 2 * DAY_MS - 1, "1970-04-11")
    (young,) = sell([sold(1, "o1", shown_at_ms=NOW_MS - 2 * DAY_MS)], {}, BOUNDS).rows
    assert (young.filed_ms, young.day) == (0, "1970-04-09")


PAGE = Impression(
    query_id="p",
    user_query="sof",
    client_id="ann",
    shown_at_ms=NOW_MS,
    arm=Arm.STABLE,
    rung=Rung.RAW,
    source="raw",
    object_ids=("A", "B"),
)


def between(before: PageState, after: PageState) -> list[tuple[str, str | None, str]]:
    rows = changes(given({"p": before}), {"p": after})
    return [(row.kind, row.of, "".join(row.object_ids)) for row in rows]


def test_a_page_gives_its_objects_once_and_again_when_it_was_typing_and_is_clicked() -> None:
    shown, typed = PageState(page=PAGE), PageState(page=PAGE, typed=True)
    clicked = PageState(page=PAGE, typed=True, done={("click", "A")})
    assert between(PageState(), shown) == [("page", None, "AB")]
    assert between(shown, shown) == []
    assert between(shown, typed) == [("back", "page", "AB")]
    assert between(typed, clicked) == [("page", None, "AB")]
    assert between(PageState(typed=True), typed) == []
    assert between(PageState(done={("click", "A")}), clicked) == [("page", None, "AB")]


def test_views_replace_what_is_assumed_and_a_click_is_a_view() -> None:
    shown = PageState(page=PAGE)
    viewed = PageState(page=PAGE, done={("view", "B")})
    both = PageState(page=PAGE, done={("view", "B"), ("click", "A")})
    assert between(shown, viewed) == [("unassumed", None, "AB"), ("view", None, "B")]
    assert between(viewed, both) == [("view", None, "A")]
    assert between(shown, PageState(page=PAGE, done={("click", "A")})) == []
    typed = PageState(page=PAGE, typed=True, done={("view", "B")})
    assert between(viewed, typed) == [
        ("back", "page", "AB"),
        ("back", "unassumed", "AB"),
        ("back", "view", "B"),
    ]


def test_a_page_that_is_no_search_gives_nothing() -> None:
    hidden = msgspec.structs.replace(PAGE, purpose="monitoring")
    assert between(PageState(), PageState(page=hidden, done={("click", "A")})) == []
