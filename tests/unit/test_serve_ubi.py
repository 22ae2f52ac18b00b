from typing import Any

import pytest

from agent.errors import Refused
from agent.serve.ubi import Rules, UbiEvent, sort_out, to_record
from feedback.keys import Keys
from feedback.records import Action
from feedback.settings import FeedbackSettings

NOW_MS = 1_795_426_200_000  # 2026-11-23T09:30:00Z
RULES = Rules(keys=Keys(tenant="shop"), settings=FeedbackSettings(), now_ms=NOW_MS)
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


def test_without_a_time_an_event_happened_now() -> None:
    assert record({**FLAT, "occurred_at_ms": None}).occurred_at_ms == NOW_MS


def test_the_same_event_twice_has_one_id_and_another_has_another() -> None:
    assert record(FLAT).event_id == record(FLAT).event_id
    for change in ({"object_id": "sku-2"}, {"client_id": "d"}, {"occurred_at_ms": NOW_MS}):
        assert record({**FLAT, **change}).event_id != record(FLAT).event_id


def test_the_sender_s_event_id_is_the_dedupe_key() -> None:
    assert record({**FLAT, "event_id": "mine"}).event_id == "mine"


def test_a_purchase_carries_its_value() -> None:
    assert record({**FLAT, "action_name": "purchase", "value_minor": 4995}).value_minor == 4995


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
