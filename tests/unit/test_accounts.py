"""What a client's account comes to, from facts written by hand."""

from itertools import permutations

from feedback.collecting.accounts import Holder, settle
from feedback.link_records import Clicked, Fact, Ordered, Place, Returned, Sold
from feedback.records import Arm

HOLDER = Holder("t", "client", "A")
WINDOW_MS = 1000


def place(query_id: str) -> Place:
    return Place(query_id, "all", "couch", Arm.STABLE, 0, 5, 1, 0, 0, rewritten=False, unshaped=True)


def click(at_ms: int, query_id: str) -> Clicked:
    return Clicked(at_ms, place(query_id))


def order(at_ms: int, *, pieces: int = 1, value: int = 600, query_id: str = "", page: str = "") -> Ordered:
    return Ordered(at_ms, f"o{at_ms}", pieces, value, query_id, place(page) if page else None)


def back(at_ms: int, pieces: int = 1, value: int = 0, of: str = "") -> Returned:
    return Returned(at_ms, f"r{at_ms}", pieces, value, of)


def settled(*facts: Fact) -> dict[str, Sold]:
    """Return what is said of each page, which must not depend on the order or on repetition."""
    said = [
        {one.query_id: one for one in settle(HOLDER, [*some, some[0]], 1, WINDOW_MS)}
        for some in permutations(facts)
    ]
    assert all(one == said[0] for one in said)
    return said[0]


def test_a_purchase_belongs_to_the_last_click_at_or_before_it() -> None:
    said = settled(click(100, "p1"), click(200, "p2"), click(301, "p3"), order(300))
    assert {name: one.event_id for name, one in said.items()} == {"p1": "", "p2": "o300", "p3": "", "": ""}
    assert said["p2"].rule == "last_click"
    assert said["p2"].tallies == {"last_click": 1}


def test_a_click_older_than_the_window_gets_nothing() -> None:
    assert settled(click(100, "p1"), order(1100))["p1"].event_id == "o1100"
    assert settled(click(100, "p1"), order(1101))["p1"].event_id == ""


def test_a_purchase_prefers_the_click_of_its_query_id_and_its_known_page_to_any_click() -> None:
    named = settled(click(100, "p1"), click(200, "p2"), order(300, query_id="p1"))
    assert (named["p1"].event_id, named["p1"].rule, named["p2"].event_id) == ("o300", "query_id", "")
    known = settled(click(200, "p2"), order(300, query_id="p9", page="p9"))
    assert (known["p9"].event_id, known["p2"].event_id) == ("o300", "")


def test_clicks_alone_say_nothing() -> None:
    assert settled(click(100, "p1"), click(200, "p2")) == {}


def test_a_return_takes_pieces_off_and_their_part_of_the_price() -> None:
    bought = order(300, pieces=3)
    assert settled(bought, click(1, "p"), back(400, 2))["p"].value_minor == 200
    assert settled(bought, click(1, "p"), back(400, 2, value=100))["p"].value_minor == 500  # as paid back
    gone = settled(bought, click(1, "p"), back(400, 3, value=100))["p"]
    assert (gone.event_id, gone.value_minor, gone.place) == ("", 0, None)
    assert gone.tallies == {"last_click": 1, "taken_back": 1}


def test_never_more_is_taken_back_than_was_bought() -> None:
    said = settled(order(300, pieces=2), click(1, "p"), back(400, 5))
    assert said[""].tallies == {"clipped_pieces": 3}
    assert said["p"].event_id == ""


def test_a_return_takes_from_the_purchase_it_names_else_from_the_newest_before_it() -> None:
    orders = (click(1, "p"), order(100), click(150, "q"), order(200))
    assert [settled(*orders, back(400, of="o100"))[p].event_id for p in "pq"] == ["", "o200"]
    assert [settled(*orders, back(400))[p].event_id for p in "pq"] == ["o100", ""]
    assert [settled(*orders, back(150))[p].event_id for p in "pq"] == ["", "o200"]
    assert settled(*orders, back(400, of="unknown"))[""].tallies == {"clipped_pieces": 1}


def test_on_one_page_one_purchase_counts_and_the_next_one_when_it_is_given_back() -> None:
    two = (click(1, "p"), order(100, value=10), order(200, value=20))
    assert (settled(*two)["p"].event_id, settled(*two)["p"].value_minor) == ("o100", 10)
    assert settled(*two)["p"].tallies == {"last_click": 2, "repeated": 1}
    second = settled(*two, back(300, of="o100"))["p"]
    assert (second.event_id, second.value_minor) == ("o200", 20)
