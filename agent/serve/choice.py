"""What a search asks of the ladder, and what it gets."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.policy.call import DEFAULT_CALL, TemplateCall
from agent.policy.plan import Plan
from agent.serve.known import OnTrial
from agent.serve.ladder import Decision
from feedback.records import Arm, Band, Draw, History, Pinned
from feedback.text import normalise


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the choice depends on."""

    user_query: str
    client_id: str = ""
    session_id: str = ""
    """A pseudonym; empty: not known."""
    history: History = ()
    """What the session asked before, where the choice came to ask for it."""
    arm: Arm = Arm.STABLE
    first_page: bool = True
    teaches: bool = False
    """A person's search; only such ones keep a raw share."""
    wait_s: float | None = None
    """The caller's own deadline; then a stale cached rewrite is asked for anew."""
    before_wait: Callable[[], None] = field(default=nothing, compare=False, repr=False)
    """Called where the choice comes to wait for the model, before it does."""
    now_ms: int = 0
    purpose: str = "search"
    band: Band | None = None
    chance: float = 0.0
    """See Impression."""
    aside: bool = False
    """See Impression."""
    trial: OnTrial | None = None
    """Of which the search is part: in the arms canary and stable, while it runs."""

    call: TemplateCall = DEFAULT_CALL

    @property
    def query(self) -> str:
        """The query as it stands in keys."""
        return normalise(self.user_query)

    @property
    def compares(self) -> bool:
        """Whether the search may count for the trial."""
        return self.trial is not None and self.teaches and self.first_page


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A decision with the plan that it makes."""

    decision: Decision
    plan: Plan
    draw: Draw | None = None
    """Of the explore arm: the page is drafted from the raw list and the drawn one."""
    trial: int = 0
    """The version on trial, where the search may count for its trial and came to the policy's rung."""
    live: bool = False
    """Whether the model was waited for."""
    after: Pinned | None = None
    """The first page that this one follows, where that was drafted from two lists."""
    history: History = ()
    """That stood in the policy's prompt, where it may have answered."""
    other: Plan | None = None
    """What the trial's other version would have searched instead; None: the same, or it cannot be told."""

    @property
    def version(self) -> int:
        """Of the policy that wrote the rewrite; 0 where none did."""
        return self.decision.rewrite.version if self.decision.rewrite else 0


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """Until when a choice is to be made, on this process's clock."""

    at_s: float

    @classmethod
    def after(cls, wait_s: float) -> "Deadline":
        """Return the one that is so far ahead."""
        return cls(at_s=time.monotonic() + wait_s)

    @property
    def left_s(self) -> float:
        """What is left; not below 0."""
        return max(0.0, self.at_s - time.monotonic())
