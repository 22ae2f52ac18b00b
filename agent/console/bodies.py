"""What the console's page sends, and its limits."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agent.serve.schemas import Identifier, Request, UserQuery

Because = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]
Shopper = Annotated[str, StringConstraints(pattern=r"^console-[0-9a-f-]{8,40}$")]
"""The console's own client: no shopper's id looks so by chance."""
Version = Annotated[int, Field(ge=1, strict=True)]


class TryBody(Request):
    """A query to be tried."""

    user_query: UserQuery
    shopper: Shopper | None = None
    """Searches as this shopper, whose page counts; None: nothing is counted."""


class DidBody(Request):
    """What was done with an object of a page that was searched as a shopper."""

    action: Literal["click", "purchase"]
    query_id: Identifier
    object_id: Identifier
    shopper: Shopper


class Change(Request):
    """Something that changes what shoppers get."""

    why: Because
    """For the audit log."""


class PromoteBody(Change):
    """Let a version serve."""

    version: Version
    serving: int = Field(ge=0, strict=True)
    """What served when the operator looked; 0: nothing."""
    force: bool = False
    """Though the gate refused it."""


class RollBackBody(Change):
    """Take a version out."""

    version: Version | None = None
    """To go back to, or the one on trial; None: what served before."""
    serving: int = Field(ge=0, strict=True)
    """What served when the operator looked; 0: nothing."""


class PauseBody(Change):
    """Stop learning or releases."""

    what: Literal["learning", "releases"]


class ResumeBody(Change):
    """Let it go on."""

    what: Literal["learning", "releases"]
