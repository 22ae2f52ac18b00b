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
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
OptionalIdentifier = Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
TemplateName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]
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
    """Who searches, lasting: it decides the arm. Kept as a MAC alone. A client_token of ours will do, too."""
    session_id: OptionalIdentifier = ""
    size: int = Field(10, ge=1, le=100, strict=True)
    offset: int = Field(0, ge=0, le=9_900, strict=True)
    template: TemplateName = "default"
    """Of the shop's search templates (`opensearch.templates`)."""
    params: dict[str, Any] = {}
    """Its parameters, such as filters; those that are not named have the template's own values."""
    purpose: str = Field("search", pattern=r"^[a-z][a-z_-]{0,31}$")
    """Only ``search`` is shown to people and teaches; any other is answered by the stable ladder, in few
    places: 503 where none comes free. Of names other than ours 16 are counted apart, more as ``other``."""
    deadline_s: WaitS = None
    application: OptionalIdentifier = ""
    query_id: OptionalIdentifier = ""
    """Of the first page, with an ``offset``: then the page follows the first one's plan; without it, where
    the purpose is search, that of what the client saw first of the same words and parameters. A first page
    makes its own."""


class RewriteRequest(Request):
    """A query to be rewritten, not searched: the shop does, and tells /queries what it showed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user_query": "couch for a small room", "client_id": "c-81f0", "size": 24}]
        }
    )

    user_query: UserQuery
    client_id: OptionalIdentifier = ""
    """Who searches: it decides the arm. Without it the page cannot be reported."""
    session_id: OptionalIdentifier = ""
    size: int = Field(10, ge=1, le=100, strict=True)
    """Objects of the first page, as the shop shows it."""
    template: TemplateName = "default"
    """Of the shop's search templates: the clause is made for it."""
    params: dict[str, Any] = {}
    """Its parameters."""
    deadline_s: WaitS = None
    application: OptionalIdentifier = ""


class Answer(BaseModel):
    """What a request is answered with."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Hit(Answer):
    """One object of a page."""

    object_id: str
    ordinal: int
    """From 1, over all pages."""
    score: float
    document: dict[str, Any]
    extra: dict[str, Any] = {}
    """``highlight``, ``inner_hits`` and ``fields``, where the template asks for them."""


class RewriteResponse(Answer):
    """What would be searched, and why."""

    user_query: str
    searched: str
    """All words that the engine was asked."""
    rewrite: str
    """The words added, or in the form *instead* the words that lead; empty: the shop's own query."""
    form: str
    rung: str
    source: str
    """``verified``, ``nearest``, ``cache``, ``model``, ``explore``, ``again`` or ``raw:<why>``."""
    version: int
    """Of the policy that wrote the rewrite; 0 where none did, or the base model."""
    took_ms: int
    clause: dict[str, Any] | None = None
    """For /rewrite: what to put in the place of the template's text clause."""
    query_id: str
    """Send it with every event of this page, with further pages, and with what /queries is told."""


class SearchResponse(RewriteResponse):
    """One page, what was searched, and why."""

    client_token: str
    """What the shopper's browser sends as client_id to /collect; good until the secret changes."""
    hits: list[Hit]
    total: int
    aggregations: dict[str, Any] | None = None
    """The facets, as OpenSearch gives them; null where the template has none."""
    arm: str


class Accepted(Answer):
    """Events that are in the stream."""

    accepted: int
    """Taken, actions that do not teach included."""


class Refusal(Answer):
    """Why one event was not taken."""

    index: int
    """Place in the batch, from 0."""
    reason: str


class Problem(Answer):
    """Why a request failed."""

    error: str
    detail: str
    accepted: int | None = None
    """Events of the batch that were taken all the same."""
    refused: list[Refusal] | None = None
