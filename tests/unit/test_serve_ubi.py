from typing import Any

import pytest
from serve_fakes import AnySender

from agent.errors import Refused
from agent.serve.ubi import Rules, UbiEvent, sort_out, to_record
from feedback.keys import Keys
from feedback.records import Action
from feedback.settings import FeedbackSettings

NOW_MS = 1_795_426_200_000  # 2026-11-23T09:30:00Z
RULES = Rules(keys=Keys(tenant="shop"), settings=FeedbackSettings(), now_ms=NOW_MS, sender=AnySender())
UBI: dict[str, Any] = {
    "application": "web",
    "action_name": "add_to_cart",
    "query_id": "03-abc",
    "client_id": "c",
    "session_id": "s",
    "user_query": "couch",
    "timestamp": "2026-11-23T09:29:00Z",
    "message_type": "CONVERSION",
    "message": "added",
    "event_attributes": {
        "object": {"object_id": "sku-1", "object_id_field": "sku", "name": "Sofa"},
        "position": {"ordinal": 4, "x": 10.5, "y": 3},
        "session_trail": ["a"],
    },
}
FLAT = {
    "action_name": "add_to_cart",
    "query_id": "03-abc",
    "client_id": "c",
    "session_id": "s",
    "user_query": "couch",
    "object_id": "sku-1",
    "ordinal": 4,
    "occurred_at_ms": NOW_MS - 60_000,
}


def record(content: dict[str, Any]) -> Any:  # noqa: ANN401
    return to_record(UbiEvent.model_validate(content), RULES)


def test_ubi_and_the_flat_form_say_the_same() -> None:
    one, other = record({**UBI, "event_id": "e"}), record({**FLAT, "event_id": "e"})
    assert one == other
    assert (one.action_name, one.object_id, one.ordinal) == (Action.ADD_TO_CART, "sku-1", 4)
    assert (one.occurred_at_ms, one.tenant) == (NOW_MS - 60_000, "shop")


@pytest.mark.parametrize(
    "timestamp",
    [NOW_MS - 60_000, "2026-11-23T09:29:00", "2026-11-23T10:29:00+01:00", "2026-11-23T09:29:00.000Z"],
)
def test_a_timestamp_is_iso_8601_or_milliseconds(timestamp: str | int) -> None:
    assert record({**UBI, "timestamp": timestamp}).occurred_at_ms == NOW_MS - 60_000


def test_a_time_without_a_zone_is_counted() -> None:
    times = ("2026-11-23T09:29:00", "2026-11-23T09:29:00Z", "2026-11-23T10:29:00+01:00", NOW_MS, None)
    batch = [{**UBI, "timestamp": one, "event_id": str(one)} for one in times]
    assert sort_out(batch, RULES).zoneless == 1


def test_without_a_time_an_event_happened_now() -> None:
    assert record({**FLAT, "occurred_at_ms": None}).occurred_at_ms == NOW_MS


def test_the_same_event_twice_has_one_id_and_another_has_another() -> None:
    assert record(FLAT).event_id == record(FLAT).event_id
    for change in ({"object_id": "sku-2"}, {"client_id": "d"}, {"occurred_at_ms": NOW_MS}):
        assert record({**FLAT, **change}).event_id != record(FLAT).event_id


def test_the_sender_s_event_id_is_the_dedupe_key() -> None:
    assert record({**FLAT, "event_id": "mine"}).event_id == "mine"


def test_two_spellings_of_a_time_or_an_action_are_one_event() -> None:
    click = {**FLAT, "action_name": "click"}
    same = (
        {"action_name": "click_through"},
        {"occurred_at_ms": None, "timestamp": "2026-11-23T09:29:00Z"},
        {"occurred_at_ms": None, "timestamp": "2026-11-23T10:29:00+01:00"},
    )
    for change in same:
        assert record({**click, **change}).event_id == record(click).event_id


def test_the_sender_s_event_id_stands_in_the_attributes_or_beside_them() -> None:
    attributes = {**UBI["event_attributes"], "event_id": "inner"}
    assert record({**UBI, "event_attributes": attributes, "event_id": "outer"}).event_id == "inner"
    assert record({**UBI, "event_attributes": {**attributes, "event_id": 17}}).event_id == "17"


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("click", Action.CLICK),
        ("click_through", Action.CLICK),
        ("cart", Action.ADD_TO_CART),
        ("order", Action.PURCHASE),
        ("buy", Action.PURCHASE),
        ("impression", Action.VIEW),
        ("view", Action.VIEW),
        ("refund", Action.RETURN),
        ("cancellation", Action.RETURN),
    ],
)
def test_names_that_mean_the_same_are_one_action(name: str, action: Action) -> None:
    assert record({**FLAT, "action_name": name}).action_name is action


@pytest.mark.parametrize("name", ["watch", "Click", "brand_filter"])
def test_a_name_that_is_not_in_the_map_teaches_nothing(name: str) -> None:
    assert record({**FLAT, "action_name": name}) is None


def test_a_shop_s_own_map_of_names_replaces_ours() -> None:
    settings = FeedbackSettings.model_validate({"action_names": {"tap": "click"}})
    own = Rules(keys=RULES.keys, settings=settings, now_ms=NOW_MS, sender=AnySender())
    tapped = to_record(UbiEvent.model_validate({**FLAT, "action_name": "tap"}), own)
    assert tapped is not None
    assert tapped.action_name is Action.CLICK
    assert to_record(UbiEvent.model_validate({**FLAT, "action_name": "click"}), own) is None


@pytest.mark.parametrize("lacks", ["query_id", "object_id"])
def test_a_view_of_a_page_or_outside_any_search_concerns_nothing_that_we_showed(lacks: str) -> None:
    assert record({**FLAT, "action_name": "view", lacks: ""}) is None


@pytest.mark.parametrize("action", ["purchase", "return"])
def test_a_purchase_or_a_return_without_a_page_belongs_to_its_client(action: str) -> None:
    bought = record({**FLAT, "action_name": action, "query_id": ""})
    assert (bought.query_id, bought.user_query, bought.client_id, bought.object_id) == ("", "", "c", "sku-1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"action_name": "click", "query_id": ""}, "query_id"),
        ({"action_name": "purchase", "query_id": "", "client_id": ""}, "client_id"),
        ({"action_name": "purchase", "query_id": "", "object_id": ""}, "object_id"),
        ({"action_name": "purchase", "query_id": "of-another"}, "query_id"),
    ],
)
def test_what_belongs_to_nothing_of_ours_is_refused(change: dict[str, str], why: str) -> None:
    with pytest.raises(Refused, match=why):
        record({**FLAT, **change})


PURCHASE = {**FLAT, "action_name": "purchase"}


@pytest.mark.parametrize(
    ("money", "worth"),
    [
        ({}, (0, 1, "")),
        ({"value_minor": 4995}, (4995, 1, "")),
        ({"value_minor": 4995, "currency": "EUR", "quantity": 3}, (4995, 3, "EUR")),
        ({"value": 49.95, "currency": "EUR"}, (4995, 1, "EUR")),
        ({"value": "49.95", "currency": "EUR"}, (4995, 1, "EUR")),
        ({"value": 0.07, "currency": "EUR"}, (7, 1, "EUR")),
        ({"value": 0.1 + 0.2, "currency": "EUR"}, (30, 1, "EUR")),
        ({"value": 9_999_999_999.99, "currency": "EUR"}, (999_999_999_999, 1, "EUR")),
        ({"value": 1.1, "currency": "EUR", "quantity": 2}, (110, 2, "EUR")),
        ({"value": 4995, "currency": "JPY"}, (4995, 1, "JPY")),
        ({"value": 1.234, "currency": "KWD"}, (1234, 1, "KWD")),
        ({"value": 49.95, "value_minor": 4995, "currency": "EUR"}, (4995, 1, "EUR")),
        ({"event_attributes": {"value": 49.95, "currency": "EUR", "quantity": 2}}, (4995, 2, "EUR")),
        (
            {
                "event_attributes": {
                    "object": {"object_id": "sku-1", "price": 19.99, "currency": "EUR", "quantity": 3}
                }
            },
            (5997, 3, "EUR"),
        ),
        ({"event_attributes": {"object": {"object_id": "sku-1", "price": 19.99}}}, (0, 1, "")),
        ({"quantity": 2, "event_attributes": {"quantity": 5}}, (0, 2, "")),
    ],
)
def test_a_purchase_says_what_it_was_worth_exactly(
    money: dict[str, Any], worth: tuple[int, int, str]
) -> None:
    bought = record({**PURCHASE, **money})
    assert (bought.value_minor, bought.quantity, bought.currency) == worth


@pytest.mark.parametrize(
    ("money", "why"),
    [
        ({"value": 49.95}, "currency: missing"),
        ({"value": 49.955, "currency": "EUR"}, "EUR has 2 digits"),
        ({"value": 0.5, "currency": "JPY"}, "JPY has 0 digits"),
        ({"value": 49.95, "value_minor": 4994, "currency": "EUR"}, "value: is not what value_minor says"),
        ({"event_attributes": {"quantity": 0}}, "quantity"),
        ({"event_attributes": {"quantity": "two"}}, "quantity"),
        ({"event_attributes": {"value": "cheap", "currency": "EUR"}}, "value"),
        ({"event_attributes": {"currency": "euro"}}, "currency"),
    ],
)
def test_an_amount_that_is_none_is_refused(money: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        record({**PURCHASE, **money})
    record({**FLAT, "action_name": "click", **money})  # of a click these words may mean anything


def test_an_amount_without_a_currency_is_in_the_shop_s_own_where_that_is_set() -> None:
    own = Rules(keys=RULES.keys, settings=FeedbackSettings(currency="SEK"), now_ms=NOW_MS, sender=AnySender())
    bought = to_record(UbiEvent.model_validate({**PURCHASE, "value": 49.5}), own)
    assert bought is not None
    assert (bought.value_minor, bought.currency) == (4950, "SEK")


def test_a_return_names_the_purchase_that_it_takes_back() -> None:
    for named in ({"compensates": "e-1"}, {"event_attributes": {"compensates": "e-1"}}):
        assert record({**FLAT, "action_name": "refund", **named}).compensates == "e-1"
        assert record({**PURCHASE, **named}).compensates == ""


def test_ids_are_text_inside() -> None:
    attributes = {"object": {"object_id": 4711}, "position": {"ordinal": 1}}
    assert record({**UBI, "event_attributes": attributes}).object_id == "4711"
    assert record({**FLAT, "object_id": 4711}).object_id == "4711"


def test_an_unknown_field_is_refused_of_a_flat_event_and_passed_over_of_ubi_s() -> None:
    found = sort_out([{**FLAT, "colour": "red"}, {**UBI, "colour": "red"}], RULES)
    assert len(found.events) == 1
    assert found.refused == ((0, "event: unknown field colour"),)


def test_an_action_that_does_not_teach_is_taken_and_not_written() -> None:
    found = sort_out([FLAT, {"action_name": "hover"}], RULES)
    assert (len(found.events), found.ignored, found.refused) == (1, 1, ())


def test_the_window_is_closed_at_both_ends() -> None:
    future_ms, old_ms = 300_000, 2 * 86_400_000
    record({**FLAT, "occurred_at_ms": NOW_MS + future_ms})
    record({**FLAT, "occurred_at_ms": NOW_MS - old_ms})
    with pytest.raises(Refused, match="future"):
        record({**FLAT, "occurred_at_ms": NOW_MS + future_ms + 1})
    with pytest.raises(Refused, match="before"):
        record({**FLAT, "occurred_at_ms": NOW_MS - old_ms - 1})
