"""Which words a shop prints for its concepts, and which ones its shoppers say instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from agent.demo.shop.concepts import concepts
from agent.demo.shop.draws import pick, some, stream
from agent.demo.shop.model import Concept

STOCKED_SHARE = 0.64
GAP_SHARE = 0.62
SECOND_TERM_SHARE = 0.12
USUAL_NAME_SHARE = 0.6
UNHEARD_SHARE = 0.06
"""Share of the concepts whose spoken word no description holds."""
TWO_WORDS_SHARE = 0.35
ALSO_SHARE = 0.1
SHORT = 3
"""Words up to this length are left as they are: "gas", "bus"."""


@dataclass(frozen=True, slots=True)
class Naming:
    """The words for one concept in one shop.

    Attributes:
        terms: What the catalogue prints; the first is the usual one.
        spoken: What shoppers say instead; empty where they say the catalogue's word.
        rare: Further words that hardly anyone says.
        printable: Those of `spoken` that a merchant would write into a description.
        held_share: Share of the concept's descriptions that hold a spoken word, 0 to .4.
    """

    terms: tuple[str, ...]
    spoken: tuple[str, ...]
    rare: tuple[str, ...]
    printable: tuple[str, ...]
    held_share: float

    @property
    def also_share(self) -> float:
        """Share of the concept's titles that add a spoken word in brackets."""
        return ALSO_SHARE if self.printable and self.held_share else 0.0

    @property
    def gap(self) -> bool:
        """Whether shoppers and catalogue say different words."""
        return bool(self.spoken)


@cache
def namings(shop_seed: int) -> dict[str, Naming]:
    """Return the words of every concept that the shop has in stock."""
    table = concepts()
    random = stream(shop_seed, "stock")
    stocked = set(some(random, list(table), round(STOCKED_SHARE * len(table))))
    return {key: _name(table[key], shop_seed) for key in table if key in stocked}


def stems(text: str) -> frozenset[str]:
    """Return the words of a text without the endings of the plural."""
    return frozenset(_singular(word) for word in text.replace("'s", "").split())


def covered(term: str, text: str) -> bool:
    """Tell whether a text holds every word of a term."""
    return stems(term) <= stems(text)


def nobody_prints(word: str, concept: Concept) -> bool:
    """Tell whether no merchant would write this word of a concept: a slip, or a way round it."""
    return word in concept.slips or word.startswith(("thing", "stuff"))


def _singular(word: str) -> str:
    if word.endswith(("shes", "ches", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > SHORT and word.endswith("s") and not word.endswith("ss") else word


def _name(concept: Concept, shop_seed: int) -> Naming:
    random = stream(shop_seed, "naming", concept.key)
    terms = _terms(concept, random)
    free = [
        word
        for word in (*concept.names, *concept.talk)
        if not any(covered(term, word) or word == term for term in terms)
    ]
    if not free or random.random() >= GAP_SHARE:
        return Naming(terms, (), (), (), 0.0)
    spoken = _spoken(free, concept, terms, random)
    rare = tuple(word for word in free if word not in spoken and word not in concept.vague)
    held_share = 0.0 if random.random() < UNHEARD_SHARE else float(random.uniform(0.12, 0.36))
    return Naming(terms, spoken, tuple(some(random, rare, 2)), _printable(spoken, concept), held_share)


def _terms(concept: Concept, random: np.random.Generator) -> tuple[str, ...]:
    first = concept.names[0] if random.random() < USUAL_NAME_SHARE else pick(random, concept.names)
    others = [name for name in concept.names if name != first]
    if len(others) > 1 and random.random() < SECOND_TERM_SHARE:
        return (first, pick(random, others))
    return (first,)


def _spoken(
    free: Sequence[str], concept: Concept, terms: tuple[str, ...], random: np.random.Generator
) -> tuple[str, ...]:
    printed = stems(" ".join(terms))
    jitter = random.uniform(0, 2, size=len(free))
    ease = [
        _ease(word, concept, printed) + place / 2 + float(luck)
        for place, (word, luck) in enumerate(zip(free, jitter, strict=True))
    ]
    order = sorted(range(len(free)), key=ease.__getitem__)
    return tuple(free[place] for place in order[: 1 + int(random.random() < TWO_WORDS_SHARE)])


def _printable(spoken: tuple[str, ...], concept: Concept) -> tuple[str, ...]:
    return tuple(word for word in spoken if not nobody_prints(word, concept))


def _ease(word: str, concept: Concept, printed: frozenset[str]) -> float:
    """Rank words by how unlikely people are to say them; the tables list usual words first."""
    if word in concept.vague:
        return 0.0
    slip = 3.0 if word in concept.slips else 0.0
    return 0.5 + slip + len(stems(word) & printed) + len(word.split()) / 2
