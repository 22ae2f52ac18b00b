"""Runs recorded batches through the learner's own algorithm; all of it in the compute thread.

Where the model keeps what its lowest layers said while it sampled, scores depend in their last bits on the
samplings since it was told to forget: these are then done again too, from their seeds.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from torch import Tensor

from agent.errors import Permanent
from agent.learner import building
from agent.learner.algorithm import RewriteGRPO
from agent.learner.batches import BatchRecord, Ground
from agent.learner.bridge import Bridge
from agent.learner.parts import Parts, Stores
from agent.learner.recording import ground_of, settings_of, step_of
from agent.learner.state import restore_state, write_state
from agent.learner.step import Step
from agent.policy.model import Policy
from agent.settings import Settings


class Replayer:
    """Makes updates again, one after the other."""

    def __init__(self, settings: Settings, stores: Stores, bridge: Bridge, folder: Path) -> None:
        self.notes: list[str] = []
        """What differs from how the steps were made."""
        self._settings = settings
        self._stores = stores
        self._bridge = bridge
        self._state = folder / "between"
        self._parts: Parts | None = None
        self._algorithm: RewriteGRPO | None = None

    def begin(self, first: BatchRecord, start: Path | None) -> dict[str, Tensor]:
        """Take over a checkpoint's state, or stand at the base model; return the adapter.

        Raises:
            Permanent: this installation has not the model that the records are of.
            Corrupt: the state cannot be read.
        """
        parts, algorithm = self._build(first)
        ours, theirs = parts.policy.base_model, first.ground.base_model
        if ours != theirs:
            raise Permanent(f"the records are of {theirs}, and policy.model gives {ours}: set it back")
        if start is not None:
            restore_state(algorithm, start, first.update - 1)
        return parts.policy.adapter_state()

    def run(self, records: Iterator[BatchRecord]) -> dict[str, Tensor]:
        """Make the updates of the records, which follow on what was begun; return the adapter."""
        for place, (_, some) in enumerate(groupby(records, key=lambda record: record.settings)):
            for i, record in enumerate(some):
                if place and not i:
                    self._change_settings(record)
                self._make(record)
        return self._built[0].policy.adapter_state()

    def close(self) -> None:
        """Stop what was built."""
        if self._algorithm is not None:
            building.stop(self._algorithm)
            self._algorithm = self._parts = None

    @property
    def _built(self) -> tuple[Parts, RewriteGRPO]:
        if self._parts is None or self._algorithm is None:
            raise RuntimeError("nothing was begun")
        return self._parts, self._algorithm

    def _build(self, record: BatchRecord) -> tuple[Parts, RewriteGRPO]:
        settings = settings_of(record, self._settings)
        self._parts = building.parts_for(settings, self._stores, self._bridge, 0)
        self._algorithm = building.algorithm_for(self._parts)
        return self._built

    def _change_settings(self, record: BatchRecord) -> None:
        """Go on under other settings, as the learner did when it was started again with them."""
        write_state(self._built[1], self._state)
        self.close()
        _, algorithm = self._build(record)
        restore_state(algorithm, self._state, record.update - 1)

    def _make(self, record: BatchRecord) -> None:
        parts, algorithm = self._built
        policy, step = parts.policy, step_of(record)
        self.notes += differing(record.ground, ground_of(policy))
        if step.fresh:
            policy.forget()
        if policy.keeps:
            self._sample(record, step, policy)
        algorithm.learn(step.episodes(policy, distinct=parts.settings.learner.distinct_samples))

    def _sample(self, record: BatchRecord, step: Step, policy: Policy) -> None:
        groups = {rollout.prompt.query: rollout for rollout in step.rollouts}
        for seed, queries in step.asks:
            asked = [groups[query] for query in queries]
            drawn = policy.sample([one.prompt for one in asked], n=len(asked[0].own), seed=seed)
            wrote = [[rewrite.token_ids for rewrite in group] for group in drawn]
            if wrote != [[rewrite.token_ids for rewrite in one.own] for one in asked]:
                self.notes.append(
                    f"from update {record.update} on other samples are drawn than were recorded"
                )


def differing(theirs: Ground, ours: Ground) -> list[str]:
    """Return what the grounds of two processes differ in."""
    pairs = [(name, getattr(theirs, name), getattr(ours, name)) for name in theirs.__struct_fields__]
    return [f"{name} was {was}, here it is {now}" for name, was, now in pairs if was != now]
