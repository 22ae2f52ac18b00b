"""The policy in a shop that changes: it learns between two looks and writes for the queries that are watched.

In virtual time nobody waits for a model: its greedy words are written ahead, and the gateway finds them at
once. Whether they may be shown is the gateway's own rule (`min_policy_gain`).
"""

from collections.abc import Sequence

from agent.evaluate.backtest_policy import Learning
from agent.serve.asking import RewriteAsk
from feedback.records import Rewrite
from feedback.text import normalise
from tests.service.virtual_shop import VirtualShop


class AheadOfTime:
    """A rewriter whose words were written before they are asked for; silent until then."""

    def __init__(self) -> None:
        self._words: dict[str, Rewrite] = {}

    async def rewrite(self, ask: RewriteAsk) -> Rewrite:
        """Return what was written for the query, at once."""
        return self._words.get(ask.query, Rewrite(text=""))

    async def ready(self) -> bool:
        """Tell that it is there."""
        return True

    def known(self, query: str) -> Rewrite | None:
        """Return what was written for the query."""
        return self._words.get(normalise(query))

    def put(self, queries: Sequence[str], rewrites: Sequence[Rewrite]) -> None:
        """Take in new words."""
        self._words.update(zip(map(normalise, queries), rewrites, strict=True))


class LearningWords:
    """The learner between two looks, and the words of the version that serves."""

    def __init__(self, shop: VirtualShop, learning: Learning, ahead: AheadOfTime) -> None:
        self._shop = shop
        self._learning = learning
        self._ahead = ahead

    async def learn(self, queries: Sequence[str], seconds: float) -> None:
        """Learn for about so long, publish past the gate, and write for the queries."""
        await self._learning.learn(seconds)
        known = self._shop.parts.known
        await known.refresh()
        self._ahead.put(queries, await self._learning.rewrite(queries, known.index))

    def proven(self, query: str) -> Rewrite | None:
        """Return the serving version's rewrite; None where it must not answer."""
        known, needed = self._shop.parts.known, self._shop.settings.serve.min_policy_gain
        rewrite = self._ahead.known(query)
        if rewrite is None or (needed is not None and known.policy_gain <= needed):
            return None
        return rewrite if rewrite.version == known.stable_version else None

    def figures(self) -> dict[str, object]:
        """Return what was learned so far."""
        return {**self._learning.figures(), "policy_gain": self._shop.parts.known.policy_gain}
