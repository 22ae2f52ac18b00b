"""What could be added to a query, and what to hold it against. Pure but for the copy of the verdicts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.lending.voting import agreed
from agent.policy.plan import Plan
from agent.retrieval import judged_plan
from agent.settings import Settings
from feedback.evidence.neighbours import Neighbour, VerifiedIndex
from feedback.evidence.reward import dcg_difference
from feedback.records import Verified
from feedback.text import normalise

VOICES = 16
"""Judged queries whose shoppers say what is wanted, each by its similarity cubed."""
EARSHOT = 0.1
"""Similarity above which they are heard: a trigram that two queries happen to share says nothing."""
OWN_VOICE = 3.0
"""Of the query's own clicks, where it was asked and too little is known for a verdict. Chosen, as the voices
were, on the seventh to ninth tenth of a click log."""
LENDS_FROM = 0.15
"""Similarity above which a judged query may lend: the terms say how near the nearest one must be."""
DEPTH = 10
_TIE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Offers:
    """What could be added to a query, and what to hold it against."""

    query: str
    texts: tuple[str, ...] = ()
    """The nearest query's first."""
    wanted: Mapping[str, float] = field(default_factory=dict)
    """Object_id -> its share of what is wanted; below 1 in sum: what is popular anywhere is no wish."""
    similarity: float = 0.0
    """Of the nearest judged query."""
    least: float = _TIE
    """What a text's page must gain over raw."""

    @property
    def any(self) -> bool:
        """Tell whether there is anything to look at."""
        return bool(self.texts and self.wanted)

    @property
    def digest(self) -> int:
        """Tells two states of what is known apart."""
        return hash((self.texts, self.least, tuple(self.wanted.items())))

    def plans(self, settings: Settings) -> list[Plan]:
        """Return the plan of the raw query, then that of each offer."""
        return [judged_plan(self.query, text, settings) for text in ("", *self.texts)]

    def gains(self, pages: Sequence[Sequence[str]]) -> list[float]:
        """Return what each text's page gains over the raw one, the first of ``pages``."""
        raw, *others = pages
        return [dcg_difference(raw, other, self.wanted, DEPTH) for other in others]

    def best(self, pages: Sequence[Sequence[str]]) -> tuple[str, float]:
        """Return the text whose page gains most over the raw one, the first of ``pages``, and that gain.

        Nothing where none gains enough.
        """
        gain, place = max((gain, -i) for i, gain in enumerate(self.gains(pages)))
        return (self.texts[-place], gain) if gain >= self.least else ("", 0.0)


def offers(query: str, index: VerifiedIndex, lenders: int) -> Offers:
    """Return what at most so many judged queries offer to a query; nothing to one that is judged itself."""
    query = normalise(query)
    own = index.get(query)
    if own is not None and own.settled:
        return Offers(query=query)
    return offered(query, own, heard(query, index), lenders)


def heard(query: str, index: VerifiedIndex) -> list[Neighbour]:
    """Return the judged queries that say what is wanted, the nearest first."""
    return index.nearest(query, k=VOICES, min_similarity=EARSHOT)


def offered(query: str, own: Verified | None, near: Sequence[Neighbour], lenders: int) -> Offers:
    """Return what those around offer to a query in its normal form; ``own`` are its few clicks, if any."""
    voices = [(n.similarity**3, n.verified) for n in near]
    voices += [(OWN_VOICE, own)] if own is not None else []
    wanted: Counter[str] = Counter()
    for weight, verdict in voices:
        wanted.update({d: weight * share for d, share in verdict.wanted})
    total = sum(weight for weight, _ in voices)
    nearest = [n for n in near if n.similarity > LENDS_FROM][:lenders]
    texts = [f"{n.verified.text} {n.verified.query}".strip() for n in nearest]
    return Offers(
        query=query,
        texts=tuple(dict.fromkeys(filter(None, [*texts, agreed(nearest, query)]))),
        wanted={d: weight / total for d, weight in wanted.items()} if total else {},
        similarity=near[0].similarity if near else 0.0,
    )
