"""What OpenAPI says of /events and /queries, whose bodies are read by hand: one bad one spoils no other."""

from typing import Any

from pydantic import BaseModel

from agent.serve.ubi import MAX_EVENTS, UbiEvent, UbiQuery

UBI_EXAMPLE = {
    "action_name": "click",
    "query_id": "03-5f0c9a7be41d20c8a6f3b1127d0e94c1a2b85f36e0d7",
    "client_id": "c-81f0",
    "session_id": "s-22",
    "timestamp": "2026-11-23T09:30:00Z",
    "event_attributes": {"object": {"object_id": "sku-4711"}, "position": {"ordinal": 2}},
}
FLAT_EXAMPLE = {
    "action_name": "purchase",
    "query_id": "03-5f0c9a7be41d20c8a6f3b1127d0e94c1a2b85f36e0d7",
    "client_id": "c-81f0",
    "object_id": "sku-4711",
    "occurred_at_ms": 1_795_426_200_000,
    "value_minor": 4995,
}
QUERY_EXAMPLE = {
    "query_id": "03-5f0c9a7be41d20c8a6f3b112",
    "client_id": "c-81f0",
    "user_query": "couch for a small room",
    "query_response_hit_ids": ["sku-4711", "sku-4712"],
    "timestamp": "2026-11-23T09:30:00Z",
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


def _batch(model: type[BaseModel], name: str, examples: dict[str, Any]) -> dict[str, Any]:
    """Return the request body of a batch: one, a list, a list under a name, or NDJSON."""
    whole = model.model_json_schema()
    one = _inlined(whole, whole.get("$defs", {}))
    several = {"type": "array", "minItems": 1, "maxItems": MAX_EVENTS, "items": one}
    batch = {
        "type": "object",
        "required": [name],
        "additionalProperties": False,
        "properties": {name: several},
    }
    json = {"schema": {"anyOf": [batch, several, one]}, "examples": examples}
    content = {"application/json": json, "application/x-ndjson": {"schema": one}}
    return {"requestBody": {"required": True, "content": content}}


EVENTS_DOC = _batch(
    UbiEvent,
    "events",
    {
        "ubi": {"summary": "A click, as UBI has it", "value": {"events": [UBI_EXAMPLE]}},
        "flat": {"summary": "A purchase, flat", "value": FLAT_EXAMPLE},
    },
)
QUERIES_DOC = _batch(
    UbiQuery, "queries", {"ubi": {"summary": "A page that the shop showed", "value": QUERY_EXAMPLE}}
)
