"""What comes in and goes out over HTTP, and its limits.

Guarantees that a query which passed has 1 to 512 printable characters, that an unknown field is refused, and
that every refusal names the field.
"""

import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from feedback.text import MAX_QUERY_CHARS, is_too_long, normalise

MAX_WAIT_S = 30.0
_LONGEST_RAW = 4 * MAX_QUERY_CHARS


def _printable(value: object) -> object:
    """Return the text without control characters, single-spaced; anything else as it is."""
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST_RAW:
        raise ValueError(f"must have at most {MAX_QUERY_CHARS} characters")
    return " ".join("".join(" " if unicodedata.category(c).startswith("C") else c for c in value).split())


def _a_query(value: str) -> str:
    if not value or not normalise(value):
        raise ValueError("must not be empty once control characters are removed")
    if is_too_long(value):
        raise ValueError(f"must have at most {MAX_QUERY_CHARS} characters")
    return value


UserQuery = Annotated[
    str,
    BeforeValidator(_printable, json_schema_input_type=str),
    AfterValidator(_a_query),
    Field(description="1 to 512 characters; control characters count as spaces"),
]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
OptionalIdentifier = Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
WaitS = Annotated[float | None, Field(gt=0, le=MAX_WAIT_S, description="Seconds to wait for a live rewrite")]


class Request(BaseModel):
    """A request: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SearchRequest(Request):
    """One page of a search."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_query": "couch for a small room", "client_id": "c-81f0", "session_id": "s-22"}
            ]
        }
    )

    user_query: UserQuery
    client_id: Identifier
    """Who searches, pseudonymous and lasting: it decides the arm."""
    session_id: OptionalIdentifier = ""
    size: int = Field(10, ge=1, le=100, strict=True)
    offset: int = Field(0, ge=0, le=9_900, strict=True)
    purpose: str = Field("search", pattern=r"^[a-z][a-z_-]{0,31}$")
    """Only ``search`` is shown to people and teaches; any other is answered by the stable ladder."""
    deadline_s: WaitS = None
    application: OptionalIdentifier = ""


class RewriteRequest(Request):
    """A query to be rewritten and not searched."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_query": "couch for a small room"}]})

    user_query: UserQuery
    deadline_s: WaitS = None


class Hit(BaseModel):
    """One object of a page."""

    object_id: str
    ordinal: int
    """From 1, over all pages."""
    score: float
    document: dict[str, Any]


class RewriteResponse(BaseModel):
    """What would be searched, and why."""

    user_query: str
    searched: str
    """All words that the engine was asked."""
    rewrite: str
    """The words added, or in the form *instead* the words that lead; empty: the shop's own query."""
    form: str
    rung: str
    source: str
    """``verified``, ``nearest``, ``cache``, ``model``, ``explore`` or ``raw:<why>``."""
    version: int
    """Of the policy that wrote the rewrite; 0 where none did, or the base model."""
    took_ms: int


class SearchResponse(RewriteResponse):
    """One page, what was searched, and why."""

    query_id: str
    """Send it with every event of this page."""
    hits: list[Hit]
    total: int
    arm: str


class Accepted(BaseModel):
    """Events that are in the stream."""

    accepted: int
    """Taken, actions that do not teach included."""


class Refusal(BaseModel):
    """Why one event was not taken."""

    index: int
    """Place in the batch, from 0."""
    reason: str


class Problem(BaseModel):
    """Why a request failed."""

    error: str
    detail: str
    accepted: int | None = None
    """Events of the batch that were taken all the same."""
    refused: list[Refusal] | None = None
