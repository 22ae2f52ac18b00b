"""The policy in a played log: what serves, and what learns between two slices."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from redis.asyncio import Redis

from agent.evaluate.backtest_figures import Figures
from agent.evaluate.backtest_world import World
from agent.policy.model import Policy
from agent.policy.plan import form_of
from agent.policy.prompt import Prompt
from agent.retrieval import Catalogue
from agent.serve.ladder import Index
from agent.settings import Settings
from feedback.records import Rewrite


class Learning(Protocol):
    """Serves one version of the policy, and makes the next when told to."""

    async def rewrite(self, queries: Sequence[str], index: Index) -> list[Rewrite]:
        """Return the greedy rewrite of each query, judged neighbours in its prompt."""
        ...

    async def learn(self, seconds: float) -> None:
        """Learn from the evidence as it stands, for about so long; what comes out serves from now on."""
        ...

    def figures(self) -> Figures:
        """Return what was learned so far."""
        ...


class PolicyRewriter:
    """Asks one policy, one batch at a time, off the event loop."""

    def __init__(self, policy: Policy, settings: Settings) -> None:
        self._policy = policy
        self._settings = settings

    async def rewrite(self, queries: Sequence[str], index: Index) -> list[Rewrite]:
        """Return the greedy rewrite of each query."""
        prompts = [self._prompt(query, index) for query in queries]
        groups = await asyncio.to_thread(self._policy.sample, prompts, n=1, greedy=True)
        return [group[0] for group in groups]

    def _prompt(self, query: str, index: Index) -> Prompt:
        near = index.nearest(query, k=self._settings.policy.neighbours)
        examples = tuple((n.verified.query, n.verified.text) for n in near)
        return Prompt(query=query, examples=examples, form=form_of(query, self._settings.plan))


class BasePolicy(PolicyRewriter):
    """The base model, which does not learn."""

    async def learn(self, seconds: float) -> None:
        """Do nothing."""

    def figures(self) -> Figures:
        """Return that nothing was learned."""
        return {"updates": 0, "seconds": 0.0, "version": 0}


@asynccontextmanager
async def learning(
    redis: Redis, catalogue: Catalogue, settings: Settings, world: World
) -> AsyncIterator[Learning]:
    """Give the learner on the world's stores."""
    policy = await asyncio.to_thread(Policy.load, settings.policy)
    yield BasePolicy(policy, settings)
