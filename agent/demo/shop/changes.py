"""How the demo shop changes: it renames things, its shoppers' tastes turn, a department opens.

Pure and seeded. A `Market` is a shop with its shoppers at one time; a change makes the next one of it. What
left and what came is all that a search engine is told (`left`, `came`); nothing tells the loop.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

from typing_extensions import override

from agent.demo.shop.catalogue import renamed as relabelled
from agent.demo.shop.concepts import concepts
from agent.demo.shop.draws import pick, some, stream
from agent.demo.shop.model import Concept, Grades, Product, Query
from agent.demo.shop.naming import Naming, namings, nobody_prints, stems
from agent.demo.shop.queries import asked, never_asked, popularity
from agent.demo.shop.relevance import Wishes, graded, oracle_words
from agent.demo.shop.shoppers import Population, Shop, make_shop

LEAVING_SHARE = 0.3
"""Of the products, those that leave when the shop renames; as many come."""
TURNING_SHARE = 0.6
"""Of the things that have a like in stock, those in whose place the like is wanted when tastes turn."""
HELD = (0.12, 0.36)
"""Share of the new descriptions that hold the old word, where no spoken word stood in them before."""


@dataclass(frozen=True, kw_only=True)
class Market:
    """A shop and its shoppers at one time; the truth about both."""

    seed: int
    """Of the shop."""
    products: tuple[Product, ...]
    names: Mapping[str, Naming]
    """By concept, the words of catalogue and shoppers."""
    asked: tuple[Query, ...]
    popularity: tuple[float, ...]
    """Probability of each asked query."""
    never_asked: tuple[Query, ...]
    likes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By concept, the axis and value that most want without saying so."""
    wants: Mapping[str, str] = field(default_factory=dict)
    """By concept, the one that is wanted now by those who ask for it; where absent, itself."""

    @cached_property
    def shelves(self) -> Mapping[str, Sequence[Product]]:
        """The products of each concept."""
        shelves: defaultdict[str, list[Product]] = defaultdict(list)
        for product in self.products:
            shelves[product.concept].append(product)
        return dict(shelves)

    def relevance(self, query: Query) -> Grades:
        """Return the grades of a query's products now; a liked value counts as if it were asked for."""
        return graded(self.wanted(query), self._wishes(query), lambda key: self.shelves.get(key, ()))

    def oracle_rewrite(self, query: Query) -> str:
        """Return the catalogue's words of now that the query lacks, those for what is liked included."""
        return oracle_words(query, self.names[self.wanted(query)], self._wishes(query))

    def wanted(self, query: Query) -> str:
        """Return the concept that is wanted by those who ask this."""
        return self.wants.get(query.concept, query.concept)

    def _wishes(self, query: Query) -> Wishes:
        """Return what is wanted beside the concept: what was said as far as the concept has it, and liked."""
        concept = self.wanted(query)
        has = {axis for product in self.shelves.get(concept, ())[:1] for axis in product.attributes}
        said = tuple(wish for wish in query.attributes if wish[0] in has)
        liked = self.likes.get(concept)
        return said if liked is None or liked[0] in dict(said) else (*said, liked)


def opened(shop_seed: int, seed: int) -> Market:
    """Return the demo shop as it opens, with the queries of one run."""
    said = asked(shop_seed, seed)
    return Market(
        seed=shop_seed,
        products=make_shop(shop_seed).products,
        names=namings(shop_seed),
        asked=tuple(said),
        popularity=tuple(map(float, popularity(len(said)))),
        never_asked=tuple(never_asked(shop_seed, seed)),
    )


def left(before: Market, after: Market) -> list[str]:
    """Return the ids of the products that are gone."""
    stay = {product.product_id for product in after.products}
    return [product.product_id for product in before.products if product.product_id not in stay]


def came(before: Market, after: Market) -> list[Product]:
    """Return the products that are new."""
    known = {product.product_id for product in before.products}
    return [product for product in after.products if product.product_id not in known]


def renamed(market: Market, seed: int) -> Market:
    """Return the market after the shop gave some things another name: "sofa" becomes "settee".

    All products of the renamed concepts leave, about `LEAVING_SHARE` of the shop, and as many come with the
    same attributes, other ids and texts. Shoppers go on saying what they said, the old name included.
    """
    names = dict(market.names)
    random = stream(market.seed, "renamed", seed)
    n_left = 0
    gone: set[str] = set()
    for key in some(random, list(names), len(names)):
        word = _other_word(concepts()[key], names)
        if not word or n_left >= LEAVING_SHARE * len(market.products):
            continue
        old = names[key]
        said = tuple(dict.fromkeys(w for w in (*old.spoken, *old.terms) if w != word))
        names[key] = Naming(
            terms=(word,),
            spoken=said,
            rare=tuple(w for w in old.rare if w != word),
            printable=tuple(w for w in said if w in old.printable or w in old.terms),
            held_share=old.held_share or float(random.uniform(*HELD)),
        )
        gone.add(key)
        n_left += len(market.shelves[key])
    products = tuple(_relabelled(p, names, seed) if p.concept in gone else p for p in market.products)
    return replace(market, products=products, names=names)


def _other_word(concept: Concept, names: Mapping[str, Naming]) -> str:
    """Return the likeliest word that could replace the shop's, one that nobody says first; "" if none."""
    naming = names[concept.key]
    printed = stems(" ".join(term for other in names.values() for term in other.terms))
    words = [
        word
        for word in (*concept.names, *concept.talk)
        if not nobody_prints(word, concept) and word not in concept.vague and not stems(word) <= printed
        if not stems(word) & stems(" ".join(naming.terms))
    ]
    return min(words, key=lambda word: word in naming.spoken, default="")


def _relabelled(product: Product, names: Mapping[str, Naming], seed: int) -> Product:
    random = stream(seed, "relabelled", product.product_id)
    department = concepts()[product.concept].department
    others = [
        n for key, n in names.items() if key != product.concept and concepts()[key].department == department
    ]
    new = relabelled(product, names[product.concept], others, random)
    return replace(new, product_id=f"N{product.product_id[1:]}")


def liking(market: Market, seed: int) -> Market:
    """Return the market with tastes: of each concept most want one value of its first axis."""
    random = stream(market.seed, "likes", seed)
    likes = {
        key: (axis, pick(random, values))
        for key in market.names
        for axis, values in [_first_axis(market, key)]
        if values
    }
    return replace(market, likes=likes)


def turned(market: Market, seed: int) -> Market:
    """Return the market after tastes turned.

    Each liked value gave way to the next one on the shelf, and of `TURNING_SHARE` of the things that have a
    like in stock, those who ask for them want that one now: who says "couch" means an armchair.
    """
    likes = {}
    for key, (axis, value) in market.likes.items():
        values = _first_axis(market, key)[1]
        likes[key] = (axis, values[(values.index(value) + 1) % len(values)])
    random = stream(market.seed, "turned", seed)
    near = {key: [n for n in concepts()[key].near if n in market.names] for key in market.names}
    may = [key for key, others in near.items() if others]
    turning = some(random, may, round(TURNING_SHARE * len(may)))
    return replace(market, likes=likes, wants={key: pick(random, near[key]) for key in turning})


def _first_axis(market: Market, key: str) -> tuple[str, list[str]]:
    axis = concepts()[key].axes[0]
    return axis, sorted({product.attributes[axis] for product in market.shelves.get(key, ())})


def without_department(market: Market, department: str) -> Market:
    """Return the market before a department opened: its products are not there and nobody asks for them."""
    there = [i for i, query in enumerate(market.asked) if _department(query.concept) != department]
    share = sum(market.popularity[i] for i in there)
    return replace(
        market,
        products=tuple(p for p in market.products if _department(p.concept) != department),
        names={key: naming for key, naming in market.names.items() if _department(key) != department},
        asked=tuple(market.asked[i] for i in there),
        popularity=tuple(market.popularity[i] / share for i in there),
        never_asked=tuple(q for q in market.never_asked if _department(q.concept) != department),
        likes={key: liked for key, liked in market.likes.items() if _department(key) != department},
    )


def busiest_department(market: Market) -> str:
    """Return the department that is asked for most; ties by name."""
    asked_for: defaultdict[str, float] = defaultdict(float)
    for query, share in zip(market.asked, market.popularity, strict=True):
        asked_for[_department(query.concept)] += share
    return max(sorted(asked_for), key=asked_for.__getitem__)


def _department(concept: str) -> str:
    return concepts()[concept].department


class MarketPopulation(Population):
    """Shoppers who live in a market and notice at once when it changes."""

    def __init__(self, market: Market, seed: int) -> None:
        super().__init__(Shop(market.seed, market.products), seed)
        self.turn(market)

    def turn(self, market: Market) -> None:
        """Let the shoppers be those of another market from now on."""
        self.market = market
        self._queries = list(market.asked)
        self._heard_of = list(accumulate(market.popularity))
        self._prices = {product.product_id: product.price_minor for product in market.products}
        self._grades.clear()

    @override
    def _grades_of(self, need: Query) -> Grades:
        if need not in self._grades:
            self._grades[need] = self.market.relevance(need)
        return self._grades[need]

    @override
    def _naming_of(self, need: Query) -> Naming:
        return self.market.names[self.market.wanted(need)]
