"""What OpenAPI says of /events, whose body is read by hand so that one bad event spoils no other."""

from typing import Any

from agent.serve.ubi import MAX_EVENTS, UbiEvent

UBI_EXAMPLE = {
    "action_name": "click",
    "query_id": "03-5f0c9a7be41d20c8a6f3b112",
    "client_id": "c-81f0",
    "session_id": "s-22",
    "timestamp": "2026-11-23T09:30:00Z",
    "event_attributes": {"object": {"object_id": "sku-4711"}, "position": {"ordinal": 2}},
}
FLAT_EXAMPLE = {
    "action_name": "purchase",
    "query_id": "03-5f0c9a7be41d20c8a6f3b112",
    "client_id": "c-81f0",
    "object_id": "sku-4711",
    "occurred_at_ms": 1_795_426_200_000,
    "value_minor": 4995,
}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return the schema with its references replaced by what they name."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        named = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {**named, **{key: value for key, value in schema.items() if key != "$ref"}}
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "$defs"}


def _body() -> dict[str, Any]:
    whole = UbiEvent.model_json_schema()
    event = _inlined(whole, whole.get("$defs", {}))
    batch = {
        "type": "object",
        "required": ["events"],
        "additionalProperties": False,
        "properties": {"events": {"type": "array", "minItems": 1, "maxItems": MAX_EVENTS, "items": event}},
    }
    return {
        "schema": {"anyOf": [batch, event]},
        "examples": {
            "ubi": {"summary": "A click, as UBI has it", "value": {"events": [UBI_EXAMPLE]}},
            "flat": {"summary": "A purchase, flat", "value": FLAT_EXAMPLE},
        },
    }


EVENTS_DOC: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": _body()}}}
