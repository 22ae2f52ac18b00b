"""What the demo shop is made of: concepts, products, queries, visits and reactions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Grades = dict[str, int]
"""Product id to grade: 3 all that was asked, 2 some of it, 1 its concept or one near."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One kind of thing a home, garden and hardware shop sells.

    Attributes:
        key: The concept's own name, unique in the table.
        department: One of the departments, such as "Living room".
        group: The shelf inside the department.
        names: Words a shop may print; one or two become the catalogue's, the rest are spoken.
        talk: Words that only shoppers use; nobody prints them.
        vague: Those of `talk` that stand for other concepts too and need a context.
        slips: Those of `talk` that are misspelt; no description holds them.
        kinds: Variants that stand before the noun ("corner", "cordless").
        axes: Names of the value tables its products vary by.
        uses: Purposes or places ("brick wall"); descriptions and queries name them.
        near: Keys of concepts that serve a shopper a little (grade 1).
        trap: Key of the concept that the word's obvious synonym wrongly leads to, or "".
    """

    key: str
    department: str
    group: str
    names: tuple[str, ...]
    talk: tuple[str, ...]
    vague: frozenset[str]
    slips: frozenset[str]
    kinds: tuple[str, ...]
    axes: tuple[str, ...]
    uses: tuple[str, ...]
    near: tuple[str, ...]
    trap: str


@dataclass(frozen=True, slots=True)
class Product:
    """One product of the catalogue; `price_minor` is in cents."""

    product_id: str
    title: str
    description: str
    brand: str
    category: str
    attributes: Mapping[str, str]
    price_minor: int
    concept: str = field(repr=False)

    def document(self) -> dict[str, object]:
        """The JSON for the index; the concept is the judge's secret and stays out."""
        return {
            "product_id": self.product_id,
            "title": self.title,
            "description": self.description,
            "brand": self.brand,
            "category": self.category,
            "attributes": dict(self.attributes),
            "price_minor": self.price_minor,
        }


@dataclass(frozen=True, slots=True)
class Query:
    """What a shopper types and what is meant by it.

    Attributes:
        text: The words typed.
        concept: Key of the concept that is meant.
        attributes: Axis to value (as the catalogue writes it) that must match for grade 3.
        needs_rewrite_hint: Whether some typed word is not the catalogue's.
        shop_seed: The shop it was asked in.
        word: The typed word for the concept, for reports.
    """

    text: str
    concept: str
    attributes: tuple[tuple[str, str], ...]
    needs_rewrite_hint: bool
    shop_seed: int
    word: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One search by one client; `step` counts the searches of the session from 0."""

    client_id: str
    session_id: str
    query: str
    need: Query
    number: int
    step: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    """One thing done to a shown object; `ordinal` from 1, `value_minor` in cents (0: a click)."""

    object_id: str
    ordinal: int
    action_name: str
    value_minor: int


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a shopper does with one result page, and the search that follows it, if any."""

    actions: tuple[Action, ...]
    next_visit: Visit | None = None

    @property
    def next_query(self) -> str | None:
        """Text of the search that follows in the same session."""
        return None if self.next_visit is None else self.next_visit.query
