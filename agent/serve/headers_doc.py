"""What OpenAPI says of headers that are read by hand: FastAPI need not look for them at each request."""

from typing import Any

from agent.serve.access import ADDRESS_HEADER
from agent.serve.deadline_header import DEADLINE_HEADER, MOST_MS


def _header(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "description": description, "default": "", "title": name}
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


_ADDRESS = _header(ADDRESS_HEADER, "The shopper's IP address; heard with a secret key alone")
_DEADLINE = _header(
    DEADLINE_HEADER, f"Milliseconds to wait for a live rewrite, to {MOST_MS}; with deadline_s, the smaller"
)
SEARCH_HEADERS = {"parameters": [_ADDRESS, _DEADLINE]}
REWRITE_HEADERS = {"parameters": [_DEADLINE]}
BATCH_HEADERS = {"parameters": [_ADDRESS]}
