"""Writing, searching and scoring the groups of a step: the part of it that may run in other processes.

Guarantees that queries, prompts and the snapshot come from the learner's own process, so that all runners of
a step score on the same evidence. A runner needs the model and the catalogue; of Redis, its part of the
budget of background searches, where there is one.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Self

import torch

from agent.learner.bridge import Bridge
from agent.learner.rollout import PURPOSE
from agent.niceness import give_way
from agent.policy.model import Policy
from agent.policy.plan import Plan
from agent.policy.prompt import Prompt
from agent.retrieval import Catalogue, Results, judged_plan
from agent.scoring import Searches, Snapshot, rewards
from agent.settings import Settings
from feedback.records import Rewrite
from feedback.stores import connect

FIRST_PAGE = 10
"""Objects that a step's record holds of each search."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Queries whose groups are to be written and scored."""

    prompts: tuple[Prompt, ...]
    frozen: Snapshot
    seed: int
    version: int
    """Of the policy's weights, for the record."""
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By query, further texts that are searched and scored after its own samples."""

    def dealt(self, runners: int) -> list["Ask"]:
        """Return the parts of so many runners, in turn; none is empty, so there may be fewer."""
        n = min(runners, len(self.prompts))
        return [replace(self, prompts=self.prompts[i::n], seed=self.seed + i) for i in range(n)]


@dataclass(frozen=True, kw_only=True)
class Rolled:
    """What came of an ask, by query."""

    wrote: Mapping[str, Sequence[Rewrite]]
    scored: Mapping[str, Sequence[float]]
    """DCG difference to raw of own samples, then of the texts beside them."""
    found: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """First pages by query and text, the raw query's under the empty text."""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the parts of all runners as one."""
        return cls(
            wrote={query: group for part in parts for query, group in part.wrote.items()},
            scored={query: scores for part in parts for query, scores in part.scored.items()},
            found={query: pages for part in parts for query, pages in part.found.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Hand:
    """What rolls out: a policy and a catalogue with the loop that its clients live on."""

    settings: Settings
    policy: Policy
    catalogue: Searches
    bridge: Bridge

    @classmethod
    def apart(cls, settings: Settings) -> Self:
        """Return one for a process of its own, with a loop in a thread.

        Raises:
            Permanent: the model cannot be had.
        """
        give_way(settings.learner.nice)
        policy = Policy.load(settings.policy)
        torch.set_num_threads(settings.learner.threads)
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True, name="clients").start()
        bridge = Bridge(loop, ThreadPoolExecutor(1))

        async def catalogue() -> Catalogue:
            return Catalogue.as_guest(settings, connect(settings.redis.state_url, settings.redis.timeout_s))

        return cls(settings=settings, policy=policy, catalogue=bridge.run(catalogue()), bridge=bridge)

    def roll(self, ask: Ask) -> Rolled:
        """Sample with the policy as it is, search, score.

        Raises:
            SearchFailed: the live catalogue gave no answer to one of the searches.
        """
        self.policy.version = ask.version
        drawn = self.policy.sample(ask.prompts, n=self.settings.learner.group, seed=ask.seed)
        wrote = {prompt.query: group for prompt, group in zip(ask.prompts, drawn, strict=True)}
        texts = {q: [*(one.text for one in group), *ask.beside.get(q, ())] for q, group in wrote.items()}
        seen = _Seen(self.catalogue)
        scored = self.bridge.run(rewards(seen, texts, ask.frozen, self.settings, purpose=PURPOSE))
        return Rolled(
            wrote=wrote,
            scored=scored,
            found={query: seen.found(query, some, self.settings) for query, some in texts.items()},
        )


class _Seen:
    """A catalogue that remembers what it found, for the record of the step."""

    def __init__(self, catalogue: Searches) -> None:
        self._catalogue = catalogue
        self._pages: dict[Plan, tuple[str, ...]] = {}

    async def msearch(self, plans: Sequence[Plan], *, size: int = 10, purpose: str) -> list[Results]:
        """Search, and keep the first page of each plan."""
        pages = await self._catalogue.msearch(plans, size=size, purpose=purpose)
        found = zip(plans, pages, strict=True)
        self._pages |= {one: page.object_ids[:FIRST_PAGE] for one, page in found}
        return pages

    def found(self, query: str, texts: Sequence[str], settings: Settings) -> dict[str, tuple[str, ...]]:
        """Return the first pages of the query's rewrites, by their text, and of the query itself."""
        plans = {text: judged_plan(query, text, settings) for text in ("", *texts)}
        return {text: self._pages[one] for text, one in plans.items() if one in self._pages}
