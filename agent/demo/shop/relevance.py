"""The truth about the demo shop: graded relevance, and the rewrite that knows the concepts.

Reports take the gain 2^grade - 1, as NDCG usually does.
"""

from agent.demo.shop.catalogue import products_of
from agent.demo.shop.concepts import concepts
from agent.demo.shop.model import Grades, Product, Query
from agent.demo.shop.naming import covered, namings

EXACT, CLOSE, LOOSE = 3, 2, 1


def relevance(query: Query) -> Grades:
    """Return the grade of every product that has one.

    3: the concept and all that was asked; 2: the concept and some of it; 1: the concept and
    nothing else of it, or a concept near it. What is absent has grade 0.
    """
    grades = {
        product.product_id: LOOSE
        for key in concepts()[query.concept].near
        for product in products_of(key, query.shop_seed)
    }
    for product in products_of(query.concept, query.shop_seed):
        grades[product.product_id] = _grade(query, product)
    return grades


def oracle_rewrite(query: Query) -> str:
    """Return the catalogue's words that the query lacks, in a row; "" where it lacks none."""
    naming = namings(query.shop_seed)[query.concept]
    wanted = list(naming.terms) if query.word not in naming.terms else []
    wanted += [value for _, value in query.attributes]
    if any(covered(term, query.text) for term in naming.terms):
        wanted = [word for word in wanted if word not in naming.terms]
    missing = [words for words in wanted if not covered(words, query.text)]
    return " ".join(dict.fromkeys(" ".join(missing).split()))


def _grade(query: Query, product: Product) -> int:
    met = [product.attributes.get(axis) == value for axis, value in query.attributes]
    if all(met):
        return EXACT
    return CLOSE if any(met) else LOOSE
