"""Shoppers: who searches, what they click and buy, and what they ask next.

Every draw belongs to the visit it is made for, so that a visit's outcome depends on the seed
and on the page alone, not on which other visits run beside it. The click models are nobody's
business but the shoppers'; no learner knows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate

import numpy as np

from agent.demo.shop.catalogue import products
from agent.demo.shop.clicks import CLICK_MODELS, ClickModel
from agent.demo.shop.draws import pick, some, stream
from agent.demo.shop.model import Action, Grades, Product, Query, Reaction, Visit
from agent.demo.shop.naming import Naming, namings, stems
from agent.demo.shop.queries import asked, popularity
from agent.demo.shop.relevance import relevance

N_CLIENTS = 700
MAX_SEARCHES = 3
"""Searches of a session, the first one included."""
REFORMULATES = 0.62
"""Share of those who found nothing to click and ask again."""
FINDS_THE_WORD = 0.28
"""Share of those who, asking again, hit on a word of the catalogue's."""
WANTS_MORE = 0.06
"""Share of those who clicked and then look for some other thing in the same session."""
BASKET_BY_GRADE = (0.02, 0.06, 0.18, 0.38)
BUYS_FROM_BASKET = 0.55


@dataclass(frozen=True, slots=True)
class Shop:
    """A stocked shop; the same seed gives the same shop."""

    seed: int
    products: tuple[Product, ...]


@cache
def make_shop(shop_seed: int) -> Shop:
    """Return the shop of a seed."""
    return Shop(shop_seed, products(shop_seed))


class Population:
    """Several hundred clients, each with a click model, asking by Zipf's law."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self._shop = shop
        self._seed = seed
        self._queries = asked(shop.seed, seed)
        self._heard_of = list(accumulate(popularity(len(self._queries))))
        self._prices = {product.product_id: product.price_minor for product in shop.products}
        self._grades: dict[Query, Grades] = {}
        self._n_visits = 0

    def next_visit(self) -> Visit:
        """Return the next shopper's first search."""
        number = self._n_visits
        self._n_visits += 1
        random = self._stream("visit", number)
        client = int(N_CLIENTS * float(random.beta(0.7, 1.2)))  # some come back far more often
        return Visit(
            client_id=f"c{self._seed}-{client:04d}",
            session_id=f"s{self._seed}-{number:06d}",
            query=(need := self._need(random)).text,
            need=need,
            number=number,
        )

    def react(self, visit: Visit, shown: Sequence[str]) -> Reaction:
        """Return what the visit's shopper does with the product ids shown, best first."""
        random = self._stream("react", visit.number, visit.step)
        grades = self._grades_of(visit.need)
        clicked = self._model_of(visit).clicks([grades.get(key, 0) for key in shown], random)
        actions: list[Action] = []
        for rank in clicked:
            actions += self._taken(shown[rank], rank + 1, grades.get(shown[rank], 0), random)
        return Reaction(tuple(actions), self._next(visit, random, pleased=bool(clicked)))

    def _stream(self, *labels: int | str) -> np.random.Generator:
        return stream(self._shop.seed, self._seed, *labels)

    def _need(self, random: np.random.Generator) -> Query:
        place = int(np.searchsorted(self._heard_of, float(random.random())))
        return self._queries[min(place, len(self._queries) - 1)]

    def _grades_of(self, need: Query) -> Grades:
        if need not in self._grades:
            self._grades[need] = relevance(need)
        return self._grades[need]

    def _naming_of(self, need: Query) -> Naming:
        return namings(need.shop_seed)[need.concept]

    def _model_of(self, visit: Visit) -> ClickModel:
        return pick(self._stream("client", visit.client_id), CLICK_MODELS)

    def _taken(self, object_id: str, ordinal: int, grade: int, random: np.random.Generator) -> list[Action]:
        actions = [Action(object_id, ordinal, "click", 0)]
        if random.random() < BASKET_BY_GRADE[grade]:
            price = self._prices.get(object_id, 0)
            actions.append(Action(object_id, ordinal, "add_to_cart", price))
            if random.random() < BUYS_FROM_BASKET:
                actions.append(Action(object_id, ordinal, "purchase", price))
        return actions

    def _next(self, visit: Visit, random: np.random.Generator, *, pleased: bool) -> Visit | None:
        if visit.step + 1 >= MAX_SEARCHES:
            return None
        if pleased:
            if random.random() >= WANTS_MORE:
                return None
            need = self._need(random)
            return replace(visit, query=need.text, need=need, step=visit.step + 1)
        if random.random() >= REFORMULATES:
            return None
        query = reworded(visit.need, visit.query, random, self._naming_of(visit.need))
        return replace(visit, query=query, step=visit.step + 1) if query else None


def reworded(need: Query, query: str, random: np.random.Generator, naming: Naming) -> str:
    """Return what is asked after a page without a click; "" where nothing new comes to mind.

    At most `FINDS_THE_WORD` of the results hold a word of the catalogue's that was not typed.
    """
    term = pick(random, naming.terms)
    if random.random() < FINDS_THE_WORD and not stems(term) <= stems(query):
        return query.replace(need.word, term) if need.word in query else term
    tries = [word for word in (*naming.spoken, *naming.rare) if word not in query]
    wrong = [query.replace(need.word, word) for word in tries if need.word in query]
    wrong += [need.word, *(value for _, value in need.attributes)]
    wrong += [f"{pick(random, _VAIN)} {query}", " ".join(some(random, query.split(), 2))]
    new = stems(" ".join(naming.terms)) - stems(query)
    wrong = [text for text in wrong if text != query and not stems(text) & new]
    return pick(random, wrong) if wrong else ""


_VAIN = ("cheap", "best", "buy", "quality", "new", "sale", "good")
