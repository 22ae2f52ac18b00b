"""The truth about the demo shop: graded relevance, and the rewrite that knows the concepts.

Reports take the gain 2^grade - 1, as NDCG usually does.
"""

from collections.abc import Callable, Sequence

from agent.demo.shop.catalogue import products_of
from agent.demo.shop.concepts import concepts
from agent.demo.shop.model import Grades, Product, Query
from agent.demo.shop.naming import Naming, covered, namings

EXACT, CLOSE, LOOSE = 3, 2, 1
Wishes = Sequence[tuple[str, str]]
"""Axis and value, as the catalogue writes it, of what is wanted beside the concept."""


def relevance(query: Query) -> Grades:
    """Return the grade of every product that has one.

    3: the concept and all that was asked; 2: the concept and some of it; 1: the concept and
    nothing else of it, or a concept near it. What is absent has grade 0.
    """
    return graded(query.concept, query.attributes, lambda key: products_of(key, query.shop_seed))


def graded(concept: str, wishes: Wishes, shelf: Callable[[str], Sequence[Product]]) -> Grades:
    """Return the grades of a wish, given the products of each concept."""
    grades = {product.product_id: LOOSE for key in concepts()[concept].near for product in shelf(key)}
    for product in shelf(concept):
        grades[product.product_id] = _grade(wishes, product)
    return grades


def oracle_rewrite(query: Query) -> str:
    """Return the catalogue's words that the query lacks, in a row; "" where it lacks none."""
    return oracle_words(query, namings(query.shop_seed)[query.concept], query.attributes)


def oracle_words(query: Query, naming: Naming, wishes: Wishes) -> str:
    """Return what the query lacks of a wish, in the catalogue's words."""
    wanted = list(naming.terms) if query.word not in naming.terms else []
    wanted += [value for _, value in wishes]
    if any(covered(term, query.text) for term in naming.terms):
        wanted = [word for word in wanted if word not in naming.terms]
    missing = [words for words in wanted if not covered(words, query.text)]
    return " ".join(dict.fromkeys(" ".join(missing).split()))


def _grade(wishes: Wishes, product: Product) -> int:
    met = [product.attributes.get(axis) == value for axis, value in wishes]
    if all(met):
        return EXACT
    return CLOSE if any(met) else LOOSE
