"""From what the policy wrote to what the search engine is asked: forms and limits.

Guarantees that the model's text is never parsed as query syntax, that length and repetition are bounded
here and nowhere else, and that an empty plan is the shop's own query.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from agent.sections import PlanSettings
from feedback.records import Form
from feedback.text import normalise


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One search: the shopper's query and what is added to it."""

    user_query: str
    terms: tuple[str, ...] = ()
    """Distinct words, in the order written; empty: the raw query."""
    form: Form = Form.ADD
    weight: float = 0.7
    own_weight: float = 0.5

    @property
    def text(self) -> str:
        """The added words as one string."""
        return " ".join(self.terms)

    @property
    def is_raw(self) -> bool:
        """Whether it is the shop's own query, unchanged."""
        return not self.terms


def form_of(user_query: str, settings: PlanSettings) -> Form:
    """Return *instead* for long requests, else *add*."""
    long = len(user_query.split()) >= settings.instead_from_words
    return Form.INSTEAD if long else Form.ADD


def plan(user_query: str, rewrite: str, settings: PlanSettings) -> Plan:
    """Return the plan of a rewrite: distinct words within the limits.

    In the form *add* the query's own words are dropped from the rewrite: they are in the shop's clause.
    """
    form = form_of(user_query, settings)
    own = set(normalise(user_query).split()) if form is Form.ADD else set()
    words = dict.fromkeys(w for w in normalise(rewrite).split() if w not in own)
    terms = _fitting(words, settings)
    return Plan(
        user_query=user_query,
        terms=terms,
        form=form,
        weight=settings.weight,
        own_weight=settings.own_weight,
    )


def _fitting(words: Iterable[str], settings: PlanSettings) -> tuple[str, ...]:
    """Return the first words that are within the limits, none of them cut."""
    terms: list[str] = []
    left = settings.max_chars + 1
    for word in islice(words, settings.max_terms):
        left -= len(word) + 1
        if left < 0:
            break
        terms.append(word)
    return tuple(terms)
