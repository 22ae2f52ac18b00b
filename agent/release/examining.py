"""What versions write for held-back queries, and what that is worth.

Guarantees that all versions answer the same prompts and are scored on the same snapshots, by searches of the
live catalogue made once for all of them. One compute thread touches the policy.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch

from agent.errors import BadWeights
from agent.policy.pack import Group
from agent.policy.prompt import PROMPT_VERSION, Prompt, same_ground
from agent.release.gate import Answer, Answers, Shown
from agent.scoring import Searches, Snapshot, rewards
from agent.scoring.explored import estimates, rescored
from agent.sections import PolicySettings
from agent.settings import Settings
from agent.weights.store import AdapterStore, State
from feedback.records import Explored, Rewrite
from feedback.version_records import Manifest

T = TypeVar("T")
PURPOSE = "release"
ROWS = 16
"""Rewrites scored at a time."""
METHOD = "doubly_robust"
"""Of the off-policy estimate: what of the three errs least (`python -m tests.bench.offpolicy`)."""


class Writes(Protocol):
    """The policy, as `agent.policy.model.Policy`."""

    version: int
    base_model: str
    settings: PolicySettings

    def sample(
        self, prompts: Sequence[Prompt], *, n: int, seed: int | None = None, greedy: bool = False
    ) -> list[list[Rewrite]]:
        """Return n rewrites for each prompt."""
        ...

    def load_adapter(self, state: Mapping[str, torch.Tensor], version: int) -> None:
        """Take an adapter over; raises BadWeights."""
        ...

    def adapter_state(self) -> dict[str, torch.Tensor]:
        """Return a copy of the adapter."""
        ...

    def score(self, groups: Sequence[Group]) -> torch.Tensor:
        """Return the log-probabilities of the groups' tokens, 0 where there is none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """What objects are worth, by different events."""

    new: Snapshot
    """Those that judge."""
    before: Snapshot
    """Those before them, which the versions may have learned from elsewhere."""
    unpopular: Snapshot
    """The new ones, less what an object earns for other queries."""
    explored: Sequence[Explored] = ()
    """The explore arm's pages since the candidate was made."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Who is examined, and against whom."""

    candidate: Manifest
    serving: Manifest | None
    """None: the base model."""
    anchor: Manifest | None = None


class Examiner:
    """Examines one version at a time; the caller closes it."""

    def __init__(self, load: Callable[[], Writes], store: AdapterStore, settings: Settings) -> None:
        self._load = load
        self._store = store
        self._settings = settings
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="examiner")
        self._policy: Writes | None = None
        self._base: State = {}

    def close(self) -> None:
        """Free the thread."""
        self._compute.shutdown(wait=False, cancel_futures=True)

    async def state(self, manifest: Manifest) -> State:
        """Return a version's tensors, checked against its manifest and the model.

        Raises:
            BadWeights: the file is missing, cut, changed, no adapter of this model, or not finite.
        """
        policy = await self._loaded()
        if not same_ground(manifest.base_model, manifest.prompt_version, policy.base_model):
            raise BadWeights(
                f"version {manifest.version} stands on {manifest.base_model} with prompt "
                f"{manifest.prompt_version}, this shop on {policy.base_model} with prompt {PROMPT_VERSION}: "
                "let a learner with the same policy.model make a new one"
            )
        state = await asyncio.to_thread(self._store.load, manifest)
        await self._in_compute(lambda: policy.load_adapter(state, manifest.version))
        return state

    async def examine(
        self, compared: Compared, prompts: Sequence[Prompt], worth: Snapshots, catalogue: Searches
    ) -> Shown:
        """Return what the version shows.

        Raises:
            BadWeights: it cannot be loaded.
            SearchFailed: the catalogue gave no answer; nothing is judged.
        """
        own = await self.state(compared.candidate)
        began_s = time.monotonic()
        wrote = await self._wrote(own, compared.candidate.version, prompts)
        answer_s = (time.monotonic() - began_s) / max(1, len(prompts)) * self._settings.serve.batch
        before = await self._state_or_base(compared.serving)
        others = {"serving": await self._wrote(before, 0, prompts)}
        if compared.anchor is not None:
            anchor = await self._state_or_base(compared.anchor)
            others["anchor"] = await self._wrote(anchor, 0, prompts)
        scored = await self._scored({"candidate": wrote, **others}, worth, catalogue)
        vitals = {"answer_s": answer_s, "norm_ratio": norm(own) / max(norm(self._base), 1e-9)}
        vitals |= await self._preferred(own, worth.explored)
        vitals["divergence_nats"] = await self._divergence(self._base, prompts, wrote)
        vitals["divergence_from_serving_nats"] = await self._divergence(before, prompts, wrote)
        return Shown(
            candidate=scored["candidate"],
            serving=scored["serving"],
            anchor=scored.get("anchor"),
            vitals=vitals,
        )

    async def _preferred(self, own: State, explored: Sequence[Explored]) -> dict[str, float]:
        """Return how far shoppers would prefer the version's pages to raw ones; empty: no estimate."""
        policy = await self._loaded()

        def judged() -> dict[str, float]:
            policy.load_adapter(own, 0)
            try:
                found = estimates(explored, rescored(explored, policy))[METHOD]
            except ValueError:  # its probabilities are no numbers
                return {"preferred_high": math.nan}
            if found is None:
                return {}
            low, high = found["interval"]
            return {"preferred": found["value"], "preferred_low": low, "preferred_high": high}

        return await self._in_compute(judged) if explored else {}

    async def _state_or_base(self, manifest: Manifest | None) -> State:
        """Return the weights that a version is compared with; the base model's where they do not fit."""
        if manifest is None:
            return self._base
        try:
            return await self.state(manifest)
        except BadWeights:
            return self._base

    async def _wrote(self, state: State, version: int, prompts: Sequence[Prompt]) -> list[Rewrite]:
        policy = await self._loaded()

        def write() -> list[Rewrite]:
            policy.load_adapter(state, version)
            return [group[0] for group in policy.sample(prompts, n=1, greedy=True)]

        return await self._in_compute(write) if prompts else []

    async def _scored(
        self, wrote: Mapping[str, Sequence[Rewrite]], worth: Snapshots, catalogue: Searches
    ) -> dict[str, Answers]:
        """Score all versions' answers in one pass for each snapshot; searches are the same for all."""
        texts = {
            query: [rewrites[i].text for rewrites in wrote.values()]
            for i, query in enumerate(worth.new.gains)
        }
        kinds = {"reward": worth.new, "predicted": worth.before, "unpopular": worth.unpopular}
        by_kind = {
            kind: await rewards(catalogue, texts, frozen, self._settings, purpose=PURPOSE)
            for kind, frozen in kinds.items()
        }
        return {
            name: {
                query: Answer(
                    text=texts[query][j],
                    judged=worth.new.judged(query),
                    **{kind: found[query][j] for kind, found in by_kind.items()},
                )
                for query in texts
            }
            for j, name in enumerate(wrote)
        }

    async def _divergence(self, other: State, prompts: Sequence[Prompt], wrote: Sequence[Rewrite]) -> float:
        """Return how much likelier the rewrites are under their own version, nats a token."""
        policy = await self._loaded()
        groups = [
            Group(prompt=prompt, completions=(rewrite.token_ids,))
            for prompt, rewrite in zip(prompts, wrote, strict=True)
            if rewrite.token_ids
        ]
        own = sum(sum(rewrite.token_logprobs) for rewrite in wrote)
        n = sum(len(rewrite.token_ids) for rewrite in wrote)

        def theirs() -> float:
            policy.load_adapter(other, 0)
            with torch.no_grad():
                return sum(
                    float(policy.score(groups[i : i + ROWS]).sum()) for i in range(0, len(groups), ROWS)
                )

        return (own - await self._in_compute(theirs)) / n if n else 0.0

    async def _loaded(self) -> Writes:
        if self._policy is None:
            self._policy = await self._in_compute(self._load)
            self._base = await self._in_compute(self._policy.adapter_state)
        return self._policy

    async def _in_compute(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._compute, work)


def norm(state: State) -> float:
    """Return the Euclidean norm of all tensors together."""
    return math.sqrt(sum(float(t.double().square().sum()) for t in state.values()))
