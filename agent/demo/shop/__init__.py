"""The demo shop: catalogue, graded relevance, queries and shoppers, all seeded, no I/O.

A shop seed decides what is stocked, by which brands, what the catalogue calls things and what
shoppers say instead; a run's seed decides what is asked and by whom.
"""

from agent.demo.shop.catalogue import make_catalogue
from agent.demo.shop.model import Action, Concept, Grades, Product, Query, Reaction, Visit
from agent.demo.shop.queries import asked, never_asked, popularity
from agent.demo.shop.relevance import oracle_rewrite, relevance
from agent.demo.shop.shoppers import Population, Shop, make_shop

__all__ = [
    "Action",
    "Concept",
    "Grades",
    "Population",
    "Product",
    "Query",
    "Reaction",
    "Shop",
    "Visit",
    "asked",
    "make_catalogue",
    "make_shop",
    "never_asked",
    "oracle_rewrite",
    "popularity",
    "relevance",
]
