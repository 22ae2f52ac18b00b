"""`agent/serve/API.md` says what the gateway's routes are."""

import pytest
from document_commands import interface
from reference import PLACE, written

from agent.serve.schemas import SearchRequest


def test_the_reference_is_what_the_interface_is() -> None:
    assert PLACE.read_text() == written(), "python -m tests.checks.reference --write"


def test_each_route_and_each_field_is_in_it() -> None:
    said = written()
    for route in ("POST /search", "POST /rewrite", "POST /events", "POST /queries", "POST /collect"):
        assert f"## {route}\n" in said
    assert all(f"| `{name}` |" in said for name in SearchRequest.model_fields)
    assert "| `event_attributes.object.object_id` |" in said


def test_a_changed_interface_makes_the_reference_old(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = interface()["paths"]["/search"]["post"] | {"description": "Another."}
    monkeypatch.setitem(interface()["paths"]["/search"], "post", changed)
    assert PLACE.read_text() != written()
