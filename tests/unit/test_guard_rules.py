"""The guard's rules by themselves: what counts once, how fast a person is, what a prefix may have."""

import pytest

from feedback.guard.networks import Pages, fields_of
from feedback.guard.once import ENTRY_BYTES, Counted, field_of
from feedback.guard.pace import Mark, too_fast
from feedback.records import Action
from feedback.settings import GuardSettings

SETTINGS = GuardSettings()
NOW_MS = 1_700_000_000_000


def click(at_s: float, page: str = "page0001", thing: str = "object01", query: str = "query001") -> Mark:
    return Mark(at_ms=NOW_MS + round(at_s * 1000), name=f"c{page}{thing}{query}")


def test_an_object_counts_once_as_shown_and_once_for_each_action() -> None:
    day = Counted()
    assert day.show("A")
    assert not day.show("A")
    assert day.act("A", Action.CLICK)
    assert day.act("A", Action.PURCHASE)
    again = Counted(day.encode())
    assert not again.act("A", Action.CLICK)
    assert not again.act("A", Action.PURCHASE)
    assert again.act("A", Action.ADD_TO_CART)
    assert again.show("B")
    assert len(again.encode()) == 2 * ENTRY_BYTES


def test_returns_and_views_are_no_second_action_of_their_kind() -> None:
    day = Counted()
    assert day.act("A", Action.RETURN)
    assert day.act("A", Action.RETURN)


def test_a_refinement_counts_once_and_is_no_object() -> None:
    day = Counted()
    assert day.refine("sofa")
    assert not day.refine("sofa")
    assert day.show("sofa")


def test_a_client_s_day_with_a_query_has_a_name_of_eight_bytes_that_differs_from_others() -> None:
    names = {field_of("ann", "all", "couch"), field_of("ann", "all", "sofa"), field_of("bob", "all", "couch")}
    assert len(names) == 3
    assert {len(name) for name in names} == {8}


@pytest.mark.parametrize(
    ("bound", "clicks", "apart_s", "reason"),
    [
        ("clicks_an_hour", 90, 39, "clicks_an_hour"),  # the first lies 3,510 s back
        ("clicks_an_hour", 89, 39, None),
        ("clicks_a_day", 300, 280, "clicks_a_day"),  # 84,000 s
        ("clicks_a_day", 299, 280, None),
    ],
)
def test_clicks_past_an_hour_s_or_a_day_s_do_not_count(
    bound: str, clicks: int, apart_s: int, reason: str | None
) -> None:
    assert getattr(SETTINGS, bound) in (90, 300)
    before = [click(n * apart_s, page=f"page{n:04}", thing=f"object{n:02}") for n in range(clicks)]
    assert too_fast(click(clicks * apart_s, page="pagelast"), before, SETTINGS) == reason


def test_a_fourth_page_s_click_within_a_second_is_no_person_s_but_several_on_one_page_are() -> None:
    three = [click(n / 10, page=f"page{n:04}") for n in range(3)]
    assert too_fast(click(0.4, page="page0009"), three, SETTINGS) == "burst"
    assert too_fast(click(1.3, page="page0009"), three, SETTINGS) is None
    same = [click(0, thing=f"object{n:02}") for n in range(5)]
    assert too_fast(click(0, thing="object09"), same, SETTINGS) is None


def test_an_object_clicked_under_a_sixth_query_in_a_day_is_campaigned_for() -> None:
    five = [click(3600 * n, page=f"page{n:04}", query=f"query{n:03}") for n in range(5)]
    assert too_fast(click(20_000, page="page0009", query="query009"), five, SETTINGS) == "campaign"
    assert too_fast(click(20_000, page="page0009", query="query001"), five, SETTINGS) is None
    other = click(20_000, page="page0009", thing="object09", query="query009")
    assert too_fast(other, five, SETTINGS) is None


def test_pages_past_a_minute_s_do_not_count_and_a_repeated_batch_is_decided_as_before() -> None:
    pages = [Mark(at_ms=NOW_MS + n * 1000, name=f"ppage{n:04}") for n in range(21)]
    decided = [too_fast(page, pages, SETTINGS) for page in pages]
    assert decided == [None] * 20 + ["pages_a_minute"]
    late = Mark(at_ms=NOW_MS + 60_500, name="plate0001")
    assert too_fast(late, pages[:20], SETTINGS) is None  # the first is over a minute old


def test_a_prefix_has_its_floor_and_thrice_its_usual_share_of_a_query() -> None:
    pages = Pages({"t": 1000, "n|carrier": 200, fields_of("", "all", "couch")[2]: 50})
    # with k pages of its own: 5 + 3 * 200 / 950 * (50 + k) > k up to k = 99
    assert sum(pages.admit("carrier", "all", "couch", SETTINGS) for _ in range(200)) == 100
    rented = Pages({"t": 1000, fields_of("", "all", "couch")[2]: 50})
    assert sum(rented.admit("rented", "all", "couch", SETTINGS) for _ in range(20)) == 5
    assert rented.admit("rented", "all", "sofa", SETTINGS)


def test_a_page_without_a_known_network_is_of_none() -> None:
    pages = Pages({})
    assert all(pages.admit("", "all", "couch", SETTINGS) for _ in range(100))
    assert set(pages.added) == {"t", fields_of("", "all", "couch")[2]}
