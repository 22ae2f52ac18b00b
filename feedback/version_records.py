"""Records of the policy's versions: what each is, where it stands, and why.

As in `feedback.records`: unknown fields are tolerated, a new one has a default, times are ``_at_ms`` (Unix,
UTC).
"""

import math
from enum import StrEnum
from typing import Literal

import msgspec


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one partition's ledger, in the order in which they arrived."""

    first: str = ""
    """Stream id of the first one; empty: there is none."""
    last: str = "0-0"
    """Of the last one, or of the last before the window where it is empty."""
    rows: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the policy's weights. It exists once this stands in the registry, and never changes."""

    schema: int = 1
    version: int
    parent: int
    """The version that it was learned from, or rolled back from; 0: the base model."""
    of: int = 0
    """The older version whose adapter this is, under a new number; 0: its own."""
    base_model: str
    """Name and revision of what the adapter stands on."""
    prompt_version: str
    uri: str
    """Where the adapter lies (safetensors), inside the store."""
    sha256: str
    n_bytes: int
    made_at_ms: int
    steps: int
    """Optimiser steps since the base model."""
    line: int = 0
    """Of the learner's unbroken lines of steps, the one that it stands in; going back begins another."""
    evidence_seq: dict[str, int] = {}
    """Newest evidence per partition that it has learned from."""
    window: dict[str, Window] = {}
    """By partition, the ledger's rows between its parent and it: it has learned from no later one."""
    newest_click_at_ms: int = 0
    """Time of the newest click that it has learned from."""
    divergence_nats: float = 0.0
    """From the base model, nats a token, as the learner measured it last."""


class State(StrEnum):
    """Where a version stands."""

    MADE = "made"
    """Not judged yet."""
    REFUSED = "refused"
    """By the gate."""
    WAITING = "waiting"
    """Past the gate; waits for its trial."""
    TRIAL = "trial"
    STABLE = "stable"
    """Serves."""
    FORMER = "former"
    """Served."""
    RETIRED = "retired"
    """Without a verdict: its trial told too little, or a newer version took its place."""
    REVOKED = "revoked"
    """Rolled back: it answers no more."""


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A number of a judgement, with what it must not pass."""

    value: float | None
    """None: no number, or an endless one."""
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        """Keep out what JSON cannot hold."""
        if self.value is not None and not math.isfinite(self.value):
            msgspec.structs.force_setattr(self, "value", None)

    @property
    def holds(self) -> bool:
        """Whether it keeps its limits; what is no number does not."""
        if self.value is None:
            return False
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        return low <= self.value <= high


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Why a version moved from one state to another."""

    at_ms: int
    stage: Literal["gate", "trial", "brake", "operator"]
    state: State
    """After it."""
    reason: str
    by: str
    """The process or the person."""
    figures: dict[str, Figure] = {}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a version stands, and all judgements that brought it there, oldest first."""

    schema: int = 1
    version: int
    state: State = State.MADE
    since_ms: int = 0
    gain: float = 0.0
    """Over raw at least (95 %), on the gate's held-back queries; 0 if unknown."""
    judgements: tuple[Judgement, ...] = ()

    def moved(self, judgement: Judgement) -> "Standing":
        """Return where it stands after the judgement."""
        return msgspec.structs.replace(
            self,
            state=judgement.state,
            since_ms=judgement.at_ms,
            judgements=(*self.judgements[-MOST_JUDGEMENTS + 1 :], judgement),
        )


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A version that some clients get, beside the serving one."""

    schema: int = 1
    version: int
    stable: int
    """The serving version that it is compared with."""
    share: float
    """Of the clients outside holdback."""
    began_at_ms: int
    after: dict[str, str] = {}
    """By partition, the ledger's last row before it began."""
    check: bool = False
    """The version that served before, kept on a few to measure the new one again."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial measured of a version, and how long shoppers had it."""

    schema: int = 1
    version: int
    began_at_ms: int
    ended_at_ms: int
    canary_share: float
    """Of the clients, while it was on trial."""
    share: float
    """Of the canary's pages, those that it changed, in [0, 1]."""
    lift: float
    """Of clicks on these, against the version that served; 0 where nothing was measured."""
    error: float
    """Its standard error."""
    pages: int = 0
    """Of the canary, old enough for clicks, that the lift rests on."""
    against: int = 0
    """The version that served; 0: none did."""
    promoted_at_ms: int = 0
    """0: it was not."""
    taken_back_at_ms: int = 0
    """When it was rolled back after that; 0: it was not."""
    checked_at_ms: int = 0
    """When its check ended; 0: none did."""
    measured_again: bool = False
    """Lift and error are the check's, of pages that did not decide."""


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody stopped learning or releases."""

    by: str
    at_ms: int
    why: str


class Rewind(msgspec.Struct, frozen=True, kw_only=True):
    """The learner is to forget what it learned since: it goes back to the last checkpoint before that."""

    at_ms: int
    """When it was asked; a learner obeys each once."""
    before_ms: int
    """Arrival of the first row that is to have taught nothing."""
    by: str
    why: str


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody, or a process by itself, did to releases."""

    at_ms: int
    by: str
    did: str
    """``promoted``, ``rolled back``, ``paused learning``, ..."""
    version: int = 0
    why: str = ""


MOST_JUDGEMENTS = 20
"""Of one version, kept."""
