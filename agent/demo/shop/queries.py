"""What shoppers ask, and what nobody asked: two sets of queries, disjoint by phrasing.

Some fifty concepts are in demand in a run. Where shop and shoppers differ, both the shop's
and the shoppers' words are asked; the never-asked queries put the same words together in other
ways, misspell them, or use words that nobody has used yet.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from agent.demo.shop.catalogue import products_of
from agent.demo.shop.concepts import concepts
from agent.demo.shop.draws import pick, some, stream
from agent.demo.shop.model import Product, Query
from agent.demo.shop.naming import Naming, covered, namings, stems
from agent.demo.shop.values import AXES, BEFORE_THE_NOUN, printed_forms

N_GAP_CONCEPTS = 26
N_AGREED_CONCEPTS = 20
"""In demand in a run: as many as a few thousand searches can teach something about."""
N_NEVER_ASKED = {"known": 82, "form": 9, "spoken": 88, "slip": 12, "rare": 9}
"""The catalogue's word; it with a value in another form; the shoppers' word; a slip; an unused word."""
POPULARITY_EXPONENT = 0.65

# Shares of the queries that could be so.
TWO_ATTRIBUTES = 0.3
BARE = 0.4
KNOWN_TWICE = 0.6
OTHER_FORM = 0.2
PLURAL = 0.12
USE_FIRST = 0.3


@dataclass(frozen=True, slots=True)
class _Run:
    asked: tuple[Query, ...]
    never_asked: tuple[Query, ...]


def asked(shop_seed: int, seed: int) -> list[Query]:
    """Return the queries that shoppers ask in a run, the most popular first."""
    return list(_run(shop_seed, seed).asked)


def never_asked(shop_seed: int, seed: int) -> list[Query]:
    """Return queries that no shopper of the run asks; no text is among the asked ones."""
    return list(_run(shop_seed, seed).never_asked)


def popularity(n_queries: int) -> npt.NDArray[np.float64]:
    """Return the probability of each asked query: Zipf's law, 1 / rank^.65."""
    ranks = np.arange(1, n_queries + 1, dtype=np.float64)
    weights = ranks**-POPULARITY_EXPONENT
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


@cache
def _run(shop_seed: int, seed: int) -> _Run:
    random = stream(shop_seed, "queries", seed)
    gap, agreed = _in_demand(shop_seed, random)
    writer = _Writer(shop_seed, random)
    said = [*writer.asked_of_gap(gap), *writer.asked_of_agreed(agreed)]
    unsaid = writer.never_asked(gap, agreed)
    order = random.permutation(len(said))
    return _Run(tuple(said[int(place)] for place in order), tuple(unsaid))


def _in_demand(shop_seed: int, random: np.random.Generator) -> tuple[list[str], list[str]]:
    words = namings(shop_seed)
    gap = [key for key, naming in words.items() if naming.gap]
    agreed = [key for key, naming in words.items() if not naming.gap]
    vague_first = sorted(some(random, gap, len(gap)), key=lambda key: not _is_vague(key, words[key]))
    n_vague = N_GAP_CONCEPTS // 3
    chosen = vague_first[:n_vague] + some(random, vague_first[n_vague:], N_GAP_CONCEPTS - n_vague)
    return chosen, some(random, agreed, N_AGREED_CONCEPTS)


def _is_vague(key: str, naming: Naming) -> bool:
    return any(word in concepts()[key].vague for word in naming.spoken)


class _Writer:
    """Writes queries and remembers which phrasings are taken."""

    def __init__(self, shop_seed: int, random: np.random.Generator) -> None:
        self._shop_seed = shop_seed
        self._random = random
        self._names = namings(shop_seed)
        self._taken: set[frozenset[str]] = set()

    def asked_of_gap(self, keys: Iterable[str]) -> Iterator[Query]:
        """Yield four queries or more for each concept: the shop's word and the shoppers'."""
        for key in keys:
            naming = self._names[key]
            yield from self._new(key, naming.terms[0], n_attributes=0)
            if self._random.random() < KNOWN_TWICE:
                yield from self._new(key, naming.terms[0], n_attributes=1)
            for word in naming.spoken:
                for n_attributes in (0, 1, 1):
                    yield from self._new(key, word, n_attributes=n_attributes)

    def asked_of_agreed(self, keys: Iterable[str]) -> Iterator[Query]:
        """Yield two queries for each concept whose word everybody knows."""
        for key in keys:
            for n_attributes in (0, 1):
                yield from self._new(key, self._names[key].terms[0], n_attributes=n_attributes)

    def never_asked(self, gap: list[str], agreed: list[str]) -> list[Query]:
        """Return the never-asked queries, as many of each sort as `N_NEVER_ASKED` says."""
        wanted = dict(N_NEVER_ASKED)
        made: list[Query] = []
        while any(wanted.values()):
            sort = pick(self._random, [sort for sort, count in wanted.items() if count])
            keys = [*gap, *agreed] if sort in {"known", "form"} else gap
            new = list(self._unsaid(sort, pick(self._random, keys)))
            new = [query for query in new if query.needs_rewrite_hint is (sort != "known")]
            made += new
            wanted[sort] -= len(new)
        return made

    def _unsaid(self, sort: str, key: str) -> Iterator[Query]:
        naming = self._names[key]
        words = {
            "known": naming.terms[:1],
            "form": naming.terms[:1],
            "spoken": naming.spoken,
            "slip": (*naming.spoken, *naming.terms[:1]),
            "rare": naming.rare,
        }[sort]
        if sort == "slip":
            words = tuple(word for word in words if self._can_slip(key, word))
        if not words:
            return
        word = pick(self._random, words)
        plain = sort in {"slip", "rare"} and self._random.random() < BARE
        shown = _misspelt(word, self._random) if sort == "slip" else word
        n_attributes = 0 if plain else 1 + int(self._random.random() < TWO_ATTRIBUTES)
        yield from self._new(key, shown, n_attributes=n_attributes)

    def _can_slip(self, key: str, word: str) -> bool:
        vague, misspelt = concepts()[key].vague, concepts()[key].slips
        return len(max(word.split(), key=len)) > 4 and word not in vague | misspelt  # noqa: PLR2004

    def _new(self, key: str, word: str, *, n_attributes: int) -> Iterator[Query]:
        """Yield one query if a few tries find words that are not taken."""
        if word in concepts()[key].vague:
            n_attributes = max(n_attributes, 1)
        for _ in range(6):
            query = self._query(key, word, n_attributes)
            phrasing = stems(query.text)
            if phrasing not in self._taken:
                self._taken.add(phrasing)
                yield query
                return

    def _query(self, key: str, word: str, n_attributes: int) -> Query:
        product = pick(self._random, products_of(key, self._shop_seed))
        attributes = self._attributes(product, n_attributes, vague=word in concepts()[key].vague)
        said = [(axis, self._said(axis, value)) for axis, value in attributes]
        text = _phrase(word, said, self._random)
        terms = self._names[key].terms
        known = any(covered(term, text) for term in terms)
        plain = all(covered(value, text) for _, value in attributes)
        return Query(text, key, attributes, not (known and plain), self._shop_seed, word)

    def _attributes(self, product: Product, count: int, *, vague: bool) -> tuple[tuple[str, str], ...]:
        """Draw what else is asked; a vague word comes with the use, which tells what is meant."""
        names = [name for name in product.attributes if name not in {"brand", "kind"}]
        rarer = [("brand", 0.08), ("kind", 0.2)]
        names += [name for name, share in rarer if self._random.random() < share]
        first = ["use"] if vague else []
        rest = [name for name in names if name not in first]
        chosen = (first + some(self._random, rest, count))[:count]
        return tuple((name, product.attributes[name]) for name in chosen)

    def _said(self, axis: str, value: str) -> str:
        """Return the value as the shopper writes it: now and then not as the shop prints it."""
        if axis not in AXES or self._random.random() >= OTHER_FORM:
            return value
        return pick(self._random, (value, *printed_forms(axis, self._shop_seed)[value]))


def _phrase(word: str, said: list[tuple[str, str]], random: np.random.Generator) -> str:
    before = [value for axis, value in said if axis in BEFORE_THE_NOUN]
    after = [value for axis, value in said if axis not in BEFORE_THE_NOUN and axis != "use"]
    uses = [value for axis, value in said if axis == "use"]
    shown = f"{word}s" if random.random() < PLURAL and word.isalpha() and word[-1] not in "sxyh" else word
    if uses and random.random() < USE_FIRST:
        return " ".join([*uses, *before, shown, *after])
    return " ".join([*before, shown, *after, *(f"for {use}" for use in uses)])


def _misspelt(text: str, random: np.random.Generator) -> str:
    """Return the text with a slip in its longest word, never in that word's first letter."""
    word = max(text.split(), key=len)
    place = int(random.integers(1, max(len(word) - 1, 2)))
    head, letter, rest = word[:place], word[place : place + 1], word[place + 1 :]
    swapped = head + rest[:1] + letter + rest[1:]
    slips = [slip for slip in (head + rest, head + letter * 2 + rest, swapped) if slip != word]
    return text.replace(word, pick(random, slips))
