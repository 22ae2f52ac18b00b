"""What the learner shows of a candidate version and what the gate answers: they meet only here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from feedback.records import Manifest


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A version's greedy rewrite of one held-back query."""

    text: str
    reward: float
    """DCG difference to the raw list on the common snapshot."""


Answers = Mapping[str, Answer]
"""By query."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a version may serve, and the figures behind it, for its manifest."""

    admitted: bool
    reason: str
    figures: dict[str, float] = field(default_factory=dict)


class Judge(Protocol):
    """The gate, as the learner knows it."""

    def __call__(self, manifest: Manifest, candidate: Answers, serving: Answers) -> Verdict:
        """Return the verdict on a saved version; ``serving`` answers the same queries."""
        ...
