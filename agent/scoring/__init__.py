"""Rewrites searched on the live catalogue and scored on one frozen snapshot of the evidence."""

from agent.scoring.prompting import prompt_for
from agent.scoring.rewards import Searches, rewards
from agent.scoring.snapshot import SEGMENT, Evidence, Snapshot, frozen_from, observations, snapshot

__all__ = [
    "SEGMENT",
    "Evidence",
    "Searches",
    "Snapshot",
    "frozen_from",
    "observations",
    "prompt_for",
    "rewards",
    "snapshot",
]
