"""A shop with known truth: no engine, no gateway.

An intent has a spoken word, which finds some of what is wanted among much else, and the catalogue's word,
which finds all of it. Each intent also has junk that bears a brand's word: what an attacker sells. A third of
the intents need no rewrite. One object is in fashion: all like it, far down a page.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from agent.policy.plan import Plan, plan
from agent.retrieval.results import Results
from agent.sections import PlanSettings

DEPTH = 10
CATEGORIES, A_CATEGORY = 8, 8
NICHES, A_NICHE, FANS = 2, 8, 12
RELEVANT, OTHERS, JUNK = 5, 14, 3
TITLES_SHARE = 0.6
"""Of the relevant objects that bear the spoken word too."""
EXAMINED: tuple[float, ...] = tuple(1 / (rank + 1) ** 0.65 for rank in range(DEPTH))
PLAN = PlanSettings()


@dataclass(frozen=True, kw_only=True)
class Intent:
    """Something that shoppers want."""

    number: int
    spoken: str
    catalogue: str
    brand: str
    needs_help: bool
    junk: tuple[str, ...]
    worth: dict[str, float]
    """Chance that an examined object is clicked."""


class World:
    """The catalogue, the intents, and what pages they get."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(f"world {seed}")
        self._pages: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        self._found: dict[str, dict[str, float]] = {}
        """By word, the objects that bear it, and how well they match."""
        self._vocabulary: set[str] = set()
        number = CATEGORIES * A_CATEGORY + NICHES * A_NICHE
        words = [(self._word(), self._word(), self._word()) for _ in range(number)]
        self.intents = [self._intent(n, *words[n]) for n in range(number)]
        for one in self.intents:
            self._confuse(one)
        self.vague = [self._word() for _ in range(6)]
        self.fashion()

    def page(self, query: str, added: str = "") -> tuple[str, ...]:
        """Return what a query finds with words added."""
        return self._page(plan(query, added, PLAN))

    async def msearch(self, plans: Sequence[Plan], *, size: int, purpose: str) -> list[Results]:
        """Return the first page of each plan, in order."""
        del size, purpose
        pages = [self._page(one) for one in plans]
        return [Results(object_ids=p, scores=(1.0,) * len(p), total=len(p), took_ms=0) for p in pages]

    def dcg(self, intent: Intent, page: Sequence[str]) -> float:
        """Return what a page is truly worth."""
        return sum(intent.worth.get(d, 0.02) * EXAMINED[rank] for rank, d in enumerate(page[:DEPTH]))

    def exposure(self, intent: Intent, page: Sequence[str]) -> float:
        """Return how much of a page's attention the junk gets."""
        return sum(EXAMINED[rank] for rank, d in enumerate(page[:DEPTH]) if d in intent.junk)

    def fashion(self) -> None:
        """Let everybody like one object far down a popular page."""
        first = self.intents[1]
        last = self.page(first.spoken)[-1]
        first.worth[last] = 0.85

    def _page(self, one: Plan) -> tuple[str, ...]:
        name = (one.user_query, one.terms)
        if name not in self._pages:
            own = one.user_query.split()
            scores: dict[str, float] = {}
            for words, weight in ((own, 1.0), (one.terms, one.weight)):
                for word in words:
                    for d, match in self._found.get(word, {}).items():
                        scores[d] = scores.get(d, 0.0) + weight * match
            best = sorted(scores, key=lambda d: (-scores[d], d))
            self._pages[name] = tuple(best[:DEPTH])
        return self._pages[name]

    def _intent(self, number: int, spoken: str, catalogue: str, brand: str) -> Intent:
        needs_help = number % 3 > 0
        worth: dict[str, float] = {}
        for n in range(RELEVANT):
            name = f"r{number}-{n}"
            worth[name] = self.rng.uniform(0.3, 0.7)
            self._bear(name, catalogue, self.rng.uniform(1.0, 1.4))
            if not needs_help:
                self._bear(name, spoken, self.rng.uniform(1.3, 1.5))
            elif n < RELEVANT * TITLES_SHARE:
                self._bear(name, spoken, self.rng.uniform(1.0, 1.2))
        junk = tuple(f"j{number}-{n}" for n in range(JUNK))
        for n, name in enumerate(junk):
            worth[name] = 0.03
            self._bear(name, spoken, 1.0 - 0.1 * n)
            self._bear(name, brand, 1.2)
        return Intent(
            number=number,
            spoken=spoken,
            catalogue=catalogue,
            brand=brand,
            needs_help=needs_help,
            junk=junk,
            worth=worth,
        )

    def _confuse(self, intent: Intent) -> None:
        """Let other intents' objects bear the spoken word, and one piece of junk stand far down the page."""
        others = [one for one in self.intents if one is not intent]
        for other in self.rng.sample(others, OTHERS):
            name = f"r{other.number}-{self.rng.randrange(RELEVANT)}"
            if name not in intent.worth:
                intent.worth[name] = self.rng.uniform(0.02, 0.06)
                self._bear(name, intent.spoken, self.rng.uniform(1.05, 1.4))
        raw = sorted(self._found[intent.spoken].items(), key=lambda item: -item[1])
        self._bear(intent.junk[0], intent.spoken, raw[self.rng.randrange(6, 9)][1] + 1e-6)

    def _bear(self, name: str, word: str, match: float) -> None:
        self._found.setdefault(word, {})[name] = match

    def _word(self) -> str:
        while True:
            word = "".join(self.rng.choice("bcdfghklmnprstvz") + self.rng.choice("aeiou") for _ in range(4))
            if word not in self._vocabulary:
                self._vocabulary.add(word)
                return word
