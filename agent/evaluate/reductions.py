"""Long requests cut to the few of their own words that find what is relevant: targets to imitate.

Query reduction (Kumaran and Carvalho, Reducing long queries using query quality predictors, SIGIR 2009) with
the reward in place of a predictor: the word that gains most is taken, then the one that gains most beside it
(of those that gained most alone), until none does. Guarantees that only lists are looked at, never a
document, and that every gain is measured on the live catalogue by the plan that would serve it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.evaluate.products import OnProgress
from agent.evaluate.words import STOP_WORDS
from agent.learner.rollout import Searches
from agent.policy.plan import form_of, plan
from agent.retrieval.results import Results
from agent.settings import Settings
from feedback.neighbours import VerifiedIndex
from feedback.records import Form, Verified
from feedback.reward import dcg_difference
from feedback.text import normalise

PURPOSE = "reduction"
MOST_WORDS = 4
MIN_GAIN = 0.01
"""DCG that one more word must add."""
TRIED_AGAIN = 8
"""Words that are tried beside the first one."""
SHORTEST = 3
"""Letters of a word that is tried."""
BATCH = 16
"""Requests that are reduced side by side."""
_WORD = re.compile(r"[^\W_](?:[\w'-]*\w)?")

Gains = Mapping[str, Mapping[str, float]]
"""Query -> object_id -> what it is worth."""


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """The words kept, best first, and what they gain over the whole request (DCG)."""

    words: tuple[str, ...] = ()
    gain: float = 0.0

    @property
    def text(self) -> str:
        """The words as a rewrite."""
        return " ".join(self.words)


def tried(query: str) -> list[str]:
    """Return the distinct words of a request that may say what is wanted, in order."""
    words = dict.fromkeys(_WORD.findall(normalise(query)))
    return [word for word in words if len(word) >= SHORTEST and word not in STOP_WORDS]


class Reducer:
    """Tries words."""

    def __init__(self, catalogue: Searches, gains: Gains, settings: Settings) -> None:
        self._catalogue = catalogue
        self._gains = gains
        self._settings = settings

    async def reduce(self, queries: Sequence[str]) -> dict[str, Reduction]:
        """Return each request's reduction; one without words where none gains. Raises SearchFailed."""
        raw = dict(zip(queries, await self._pages([(query, ()) for query in queries]), strict=True))
        best = {query: Reduction() for query in queries}
        words = {query: tried(query) for query in queries}
        for _ in range(MOST_WORDS):
            asked = [(q, (*best[q].words, w)) for q, more in words.items() for w in more]
            pages = await self._pages(asked)
            found: dict[str, list[Reduction]] = {query: [] for query in words}
            for (query, some), page in zip(asked, pages, strict=True):
                found[query].append(self._reduction(query, some, raw[query], page))
            words = _improve(best, found)
        return best

    async def _pages(self, asked: Sequence[tuple[str, tuple[str, ...]]]) -> list[Results]:
        plans = [plan(query, " ".join(words), self._settings.plan) for query, words in asked]
        return await self._catalogue.msearch(plans, size=self._settings.learner.depth, purpose=PURPOSE)

    def _reduction(self, query: str, words: tuple[str, ...], raw: Results, page: Results) -> Reduction:
        depth = self._settings.learner.depth
        gain = dcg_difference(raw.object_ids, page.object_ids, self._gains[query], depth)
        return Reduction(words=words, gain=gain)


def _improve(best: dict[str, Reduction], found: Mapping[str, Sequence[Reduction]]) -> dict[str, list[str]]:
    """Take over what gains enough; return the requests that it did for, with the words to try next."""
    more: dict[str, list[str]] = {}
    for query, some in found.items():
        ordered = sorted(some, key=lambda one: -one.gain)
        if ordered and ordered[0].gain >= best[query].gain + MIN_GAIN:
            best[query] = ordered[0]
            more[query] = [one.words[-1] for one in ordered[1 : TRIED_AGAIN + 1]]
    return more


def long_requests(queries: Iterable[str], settings: Settings) -> list[str]:
    """Return the queries that are rewritten as a whole."""
    return [query for query in queries if form_of(query, settings.plan) is Form.INSTEAD]


async def reduced(
    catalogue: Searches, gains: Gains, settings: Settings, on_progress: OnProgress
) -> VerifiedIndex:
    """Return verdicts on the requests that gain from a reduction; raises SearchFailed."""
    index, reducer, long = VerifiedIndex(), Reducer(catalogue, gains, settings), list(gains)
    for start in range(0, len(long), BATCH):
        on_progress("reductions", start, len(long))
        for query, one in (await reducer.reduce(long[start : start + BATCH])).items():
            if one.words:
                index.put(f"all|{query}", _verdict(query, one))
    return index


def _verdict(query: str, reduction: Reduction) -> Verified:
    return Verified(
        query=query,
        text=reduction.text,
        form=Form.INSTEAD,
        gain=reduction.gain,
        gain_sd=0.0,
        p_harm=0.0,
        support=1.0,
        fingerprint="",
        changes=True,
        evidence_seq=0,
        made_at_ms=0,
    )
