"""The demo shop's products, made from the concepts and the shop's own words for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from agent.demo.shop.concepts import concepts
from agent.demo.shop.draws import pick, some, stream
from agent.demo.shop.model import Concept, Product
from agent.demo.shop.naming import Naming, namings
from agent.demo.shop.values import BEFORE_THE_NOUN, brands, printed_forms

SECOND_TERM_SHARE = 0.3
COMPANION_SHARE = 0.36
"""Share of titles and of descriptions that name some other thing of the same department."""
TITLE_SHARE = 0.36
"""Share of a product's properties that its title names."""
TOLD_SHARE = 0.3
"""Share of a product's properties that its description names; merchants forget much."""

_PLAIN = (
    "Easy to look after and made to last.",
    "Delivered flat with all you need.",
    "Ready to use out of the pack.",
    "Tested for everyday use and covered for two years.",
    "A solid choice at a fair price.",
    "Popular with professionals and beginners alike.",
    "Made with care from quality materials.",
    "Comes with clear instructions.",
)
_SPOKEN = (
    "A {word} you can count on.",
    "Looking for a {value} {word}? This one does well in the {use}.",
    "Our most popular {word} in {value}, good for the {use}.",
    "If you need a good {word}, start here.",
    "The {word} that people buy again.",
)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a product's texts are written from."""

    naming: Naming
    term: str
    companion: Naming
    attributes: dict[str, str]
    also: str
    """The shoppers' word that stands in the title too, or ""."""
    random: np.random.Generator


def make_catalogue(shop_seed: int) -> list[Product]:
    """Return the shop's products in the order of their ids; the same seed gives the same ones."""
    return list(products(shop_seed))


@cache
def products(shop_seed: int) -> tuple[Product, ...]:
    """Return the shop's products; the shared, immutable form of `make_catalogue`."""
    made: list[Product] = []
    for key, naming in namings(shop_seed).items():
        random = stream(shop_seed, "products", key)
        made += _shelf(concepts()[key], naming, random, shop_seed)
    order = stream(shop_seed, "ids").permutation(len(made))
    return tuple(
        _numbered(made[int(place)], f"P{shop_seed % 100:02d}{number:05d}")
        for number, place in enumerate(order)
    )


@cache
def products_of(concept: str, shop_seed: int) -> tuple[Product, ...]:
    """Return the products of one concept."""
    return tuple(product for product in products(shop_seed) if product.concept == concept)


def renamed(
    product: Product, naming: Naming, companions: Sequence[Naming], random: np.random.Generator
) -> Product:
    """Return another product with the same attributes and price whose texts use these words."""
    also = pick(random, naming.printable) if random.random() < naming.also_share else ""
    term, companion = _term(naming, random), pick(random, companions)
    draft = _Draft(naming, term, companion, dict(product.attributes), also, random)
    axes = concepts()[product.concept].axes
    return replace(product, title=_title(draft, axes), description=_description(draft, axes))


def _numbered(product: Product, product_id: str) -> Product:
    return replace(product, product_id=product_id)


def _shelf(concept: Concept, naming: Naming, random: np.random.Generator, shop_seed: int) -> list[Product]:
    offered = {axis: some(random, list(printed_forms(axis, shop_seed)), 4) for axis in concept.axes}
    offered["kind"] = list(concept.kinds)
    offered["use"] = list(concept.uses)
    offered["brand"] = some(random, brands(concept.department, shop_seed), 4)
    others = _companions(concept, shop_seed)
    usual_price = float(random.lognormal(7.8, 0.9))
    shelf: list[Product] = []
    for _ in range(int(random.integers(9, 21))):
        attributes = {axis: pick(random, values) for axis, values in offered.items() if values}
        also = pick(random, naming.printable) if random.random() < naming.also_share else ""
        term, companion = _term(naming, random), pick(random, others)
        draft = _Draft(naming, term, companion, attributes, also, random)
        shelf.append(_product(concept, draft, usual_price))
    return shelf


@cache
def _companions(concept: Concept, shop_seed: int) -> tuple[Naming, ...]:
    """Return the words of the things on the same floor, which products are said to go with."""
    return tuple(
        naming
        for key, naming in namings(shop_seed).items()
        if key != concept.key and concepts()[key].department == concept.department
    )


def _term(naming: Naming, random: np.random.Generator) -> str:
    second = len(naming.terms) > 1 and random.random() < SECOND_TERM_SHARE
    return naming.terms[1 if second else 0]


def _product(concept: Concept, draft: _Draft, usual_price: float) -> Product:
    price = usual_price * float(draft.random.uniform(0.6, 1.7))
    return Product(
        product_id="",
        title=_title(draft, concept.axes),
        description=_description(draft, concept.axes),
        brand=draft.attributes["brand"].capitalize(),
        category=f"{concept.department} > {concept.group}",
        attributes=draft.attributes,
        price_minor=max(99, round(price / 10) * 10 + 9),
        concept=concept.key,
    )


def _title(draft: _Draft, axes: tuple[str, ...]) -> str:
    attributes, random = draft.attributes, draft.random
    model = f"{pick(random, 'ABCDEFGHKLMNRTVX')}{int(random.integers(10, 990))}"
    if draft.also:
        return f"{attributes['brand'].capitalize()} {model} {draft.term} ({draft.also})"
    shown = [axis for axis in (*axes, "kind") if random.random() < TITLE_SHARE]
    before = [attributes[axis] for axis in shown if axis in BEFORE_THE_NOUN]
    after = [attributes[axis] for axis in shown if axis not in BEFORE_THE_NOUN]
    words = [attributes["brand"].capitalize(), model, *before, draft.term, *after]
    if random.random() < COMPANION_SHARE:
        words += ["for", draft.companion.terms[0]]
    return " ".join(words)


def _description(draft: _Draft, axes: tuple[str, ...]) -> str:
    attributes, random = draft.attributes, draft.random
    told_share = 1.0 if draft.also else TOLD_SHARE
    told = [attributes[axis] for axis in (*axes, "kind") if random.random() < told_share]
    name = draft.term.capitalize()
    sentences = [f"{name} in {', '.join(told)}." if told else f"{name}."]
    if random.random() < draft.naming.held_share:
        sentences += _spoken_of(draft, pick(random, axes))
    if random.random() < told_share:
        sentences.append(f"Suits the {attributes['use']}.")
    if random.random() < COMPANION_SHARE:
        words = draft.companion.printable or draft.companion.terms
        sentences.append(f"Goes well with a {pick(random, words)}.")
    return " ".join([*sentences, *some(random, _PLAIN, 2)])


def _spoken_of(draft: _Draft, axis: str) -> list[str]:
    slots = {
        "use": draft.attributes["use"],
        "value": draft.attributes[axis],
    }
    return [pick(draft.random, _SPOKEN).format(word=word, **slots) for word in draft.naming.printable]
