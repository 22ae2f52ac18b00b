"""Every constraint of the published UBI 1.3.0 schemas, each with a value at the limit and one past it."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from serve_fakes import NOW_MS, AnySender

from agent.serve.ubi import Rules, UbiEvent, UbiQuery, first_reason, sort_out
from agent.serve.ubi.models import QueryResponse, StrictEvent, StrictQuery
from feedback.keys import Keys
from feedback.settings import FeedbackSettings

EVENT: dict[str, Any] = {
    "application": "primary-search",
    "action_name": "click_through",
    "query_id": "03-abc",
    "session_id": "s",
    "client_id": "c",
    "user_id": "u",
    "timestamp": "2026-11-23T09:29:00Z",
    "message_type": "CONVERSION",
    "message": "bought",
    "event_attributes": {
        "object": {
            "object_id": "sku-1",
            "object_id_type": "product",
            "object_id_field": "sku",
            "internal_id": "17",
        },
        "position": {"ordinal": 4},
    },
}
QUERY: dict[str, Any] = {
    "application": "primary-search",
    "query_id": "03-abc",
    "client_id": "c",
    "user_query": "couch",
    "query_attributes": {"page": 1},
    "object_id_field": "sku",
    "timestamp": "2026-11-23T09:29:00Z",
    "query_response_id": "r",
    "query_response_hit_ids": ["sku-1", "sku-2"],
}
MISSING = object()
TOO_LONG = "should have at most"
NO_TEXT = "valid string"
POSITION = "event_attributes.position"
OBJECT = "event_attributes.object"


def changed(whole: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return the content with one field set, or taken out."""
    head, _, rest = path.partition(".")
    if rest:
        return {**whole, head: changed(whole.get(head, {}), rest, value)}
    if value is MISSING:
        return {name: one for name, one in whole.items() if name != head}
    return {**whole, head: value}


def reason(model: type[BaseModel], content: dict[str, Any]) -> str:
    """Return why the content is refused; empty where it is taken."""
    try:
        model.model_validate(content)
    except ValidationError as error:
        return first_reason(error)
    return ""


TEXTS_OF_AN_EVENT = [
    *((name, 100) for name in ("application", "action_name", "query_id", "session_id", "client_id")),
    *((name, 100) for name in ("user_id", "message_type")),
    ("message", 1024),
    (f"{OBJECT}.object_id", 256),
    (f"{OBJECT}.internal_id", 256),
    (f"{OBJECT}.object_id_type", 100),
    (f"{OBJECT}.object_id_field", 100),
]
TEXTS_OF_A_QUERY = [(name, 100) for name in ("application", "query_id", "client_id", "object_id_field")]


@pytest.mark.parametrize("model", [StrictEvent, UbiEvent])
@pytest.mark.parametrize(("path", "limit"), TEXTS_OF_AN_EVENT)
def test_a_text_of_an_event_has_so_many_characters_at_most(
    path: str, limit: int, model: type[BaseModel]
) -> None:
    assert reason(model, changed(EVENT, path, "é" * limit)) == ""
    assert reason(model, changed(EVENT, path, "é" * (limit + 1))).startswith(f"{path}: String {TOO_LONG}")


@pytest.mark.parametrize("model", [StrictQuery, UbiQuery])
@pytest.mark.parametrize(("path", "limit"), TEXTS_OF_A_QUERY)
def test_a_text_of_a_query_has_so_many_characters_at_most(
    path: str, limit: int, model: type[BaseModel]
) -> None:
    assert reason(model, changed(QUERY, path, "é" * limit)) == ""
    assert reason(model, changed(QUERY, path, "é" * (limit + 1))).startswith(f"{path}: String {TOO_LONG}")


OF_AN_EVENT = [
    ("action_name", MISSING, "action_name: Field required"),
    ("action_name", 5, NO_TEXT),
    ("timestamp", MISSING, "timestamp: Field required"),
    ("timestamp", 1_795_426_200_000, NO_TEXT),
    ("timestamp", "23.11.2026", "timestamp: must be a date-time"),
    ("timestamp", "2026-11-23", "timestamp: must be a date-time"),
    ("timestamp", "2026-11-31T09:29:00Z", "timestamp: is no time of any day"),
    ("application", 5, NO_TEXT),
    ("query_id", 5, NO_TEXT),
    ("session_id", 5, NO_TEXT),
    ("client_id", None, NO_TEXT),
    ("user_id", None, NO_TEXT),
    ("message", 5, NO_TEXT),
    ("message_type", 5, NO_TEXT),
    ("event_attributes", [], "event_attributes: "),
    ("event_attributes", None, "event_attributes: "),
    (POSITION, MISSING, f"{POSITION}: Field required"),
    (POSITION, {}, f"{POSITION}: must have either ordinal or xy"),
    (POSITION, {"ordinal": 1, "xy": {"x": 1, "y": 1}}, f"{POSITION}: must have either ordinal or xy"),
    (POSITION, 4, f"{POSITION}: "),
    (f"{POSITION}.ordinal", "4", "valid integer"),
    (f"{POSITION}.ordinal", 1.5, "valid integer"),
    (f"{POSITION}.ordinal", True, "valid integer"),
    (f"{POSITION}.ordinal", 0, f"{POSITION}.ordinal: counts from 1"),
    (f"{POSITION}.ordinal", -3, f"{POSITION}.ordinal: counts from 1"),
    (POSITION, {"xy": {"x": 1}}, f"{POSITION}.xy.y: Field required"),
    (POSITION, {"xy": {"y": 1}}, f"{POSITION}.xy.x: Field required"),
    (POSITION, {"xy": {"x": "1", "y": 1}}, "valid number"),
    (POSITION, {"xy": {"x": 1, "y": False}}, "valid number"),
    (OBJECT, [], f"{OBJECT}: "),
    (f"{OBJECT}.object_id", MISSING, f"{OBJECT}.object_id: Field required"),
    (f"{OBJECT}.object_id", 1.5, NO_TEXT),
    (f"{OBJECT}.object_id", True, NO_TEXT),
    (f"{OBJECT}.internal_id", [1], NO_TEXT),
    (f"{OBJECT}.object_id_type", 5, NO_TEXT),
    (f"{OBJECT}.object_id_field", 5, NO_TEXT),
]
LEGAL_EVENTS = [
    ("timestamp", "2018-11-13T20:20:39"),
    ("timestamp", "2018-11-13T20:20:39.123+05:30"),
    ("timestamp", "2018-11-13t20:20:39z"),
    ("query_id", "00112233-4455-6677-8899-aabbccddeeff"),
    ("action_name", "brand_filter"),
    ("page", "any further field"),
    ("event_attributes", MISSING),
    (OBJECT, MISSING),
    (f"{OBJECT}.object_id", 4711),
    (f"{OBJECT}.internal_id", 4711),
    (f"{OBJECT}.colour", "any further field"),
    ("event_attributes.trail", ["any further field"]),
    (POSITION, {"ordinal": 4.0, "page_depth": 2}),
    (POSITION, {"xy": {"x": -1.5, "y": 3}, "scroll_depth": 2}),
]


@pytest.mark.parametrize(("path", "bad", "why"), OF_AN_EVENT)
def test_an_event_that_the_schema_refuses_is_refused_with_the_reason(
    path: str, bad: object, why: str
) -> None:
    assert why in reason(StrictEvent, changed(EVENT, path, bad))


@pytest.mark.parametrize(("path", "good"), LEGAL_EVENTS)
def test_an_event_that_the_schema_takes_is_taken(path: str, good: object) -> None:
    for model in (StrictEvent, UbiEvent):
        assert reason(model, changed(EVENT, path, good)) == ""


OF_A_QUERY = [
    ("user_query", MISSING, "user_query: Field required"),
    ("user_query", 5, NO_TEXT),
    ("application", 5, NO_TEXT),
    ("query_id", 5, NO_TEXT),
    ("client_id", None, NO_TEXT),
    ("object_id_field", 5, NO_TEXT),
    ("query_attributes", [], "query_attributes: "),
    ("timestamp", 5, NO_TEXT),
    ("timestamp", "yesterday", "timestamp: must be a date-time"),
    ("query_response_id", 5, NO_TEXT),
    ("query_response_hit_ids", "sku-1", "query_response_hit_ids: "),
    ("query_response_hit_ids", [5], "query_response_hit_ids.0: "),
]


@pytest.mark.parametrize(("path", "bad", "why"), OF_A_QUERY)
def test_a_query_that_the_schema_refuses_is_refused_with_the_reason(path: str, bad: object, why: str) -> None:
    assert why in reason(StrictQuery, changed(QUERY, path, bad))


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("user_query", "x" * 100_000),
        ("query_response_id", "x" * 100_000),
        ("query_response_hit_ids", []),
        ("query_attributes", {"any": {"thing": 1}}),
        ("any", "further field"),
        *((name, MISSING) for name in QUERY if name != "user_query"),
    ],
)
def test_a_query_that_the_schema_takes_is_taken(path: str, good: object) -> None:
    for model in (StrictQuery, UbiQuery):
        assert reason(model, changed(QUERY, path, good)) == ""


def test_a_query_response_must_name_its_query() -> None:
    assert reason(QueryResponse, {"query_id": "x" * 100}) == ""
    assert reason(QueryResponse, {}) == "query_id: Field required"
    assert TOO_LONG in reason(QueryResponse, {"query_id": "x" * 101})


@pytest.mark.parametrize(
    ("path", "loose"),
    [
        ("timestamp", MISSING),
        ("timestamp", NOW_MS),
        (POSITION, MISSING),
        ("user_id", None),
        ("message", None),
    ],
)
def test_only_where_strictness_is_set_is_what_we_take_beside_ubi_refused(path: str, loose: object) -> None:
    content = changed(EVENT, path, loose)
    for strict, taken in ((False, 1), (True, 0)):
        settings = FeedbackSettings(strict_ubi=strict)
        found = sort_out([content], Rules(keys=Keys(), settings=settings, now_ms=NOW_MS, sender=AnySender()))
        assert (len(found.events), len(found.refused)) == (taken, 1 - taken)
