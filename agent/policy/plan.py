"""From what the policy wrote to what the search engine is asked: forms and limits.

Guarantees that the model's text is never parsed as query syntax, that length and repetition are bounded
here and nowhere else, and that an empty plan is the shop's own query.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from agent.policy.call import DEFAULT_CALL, TemplateCall
from agent.sections import PlanSettings
from feedback.records import Form
from feedback.text import normalise

MOST_CHARS = 4096
"""Of what a model wrote, that are read."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One search: the shopper's query and what is added to it."""

    user_query: str
    terms: tuple[str, ...] = ()
    """Distinct words, in the order written; empty: the raw query."""
    form: Form = Form.ADD
    weight: float = 0.7
    own_weight: float = 0.5
    call: TemplateCall = DEFAULT_CALL
    """Of the template that searches it."""

    @property
    def text(self) -> str:
        """The added words as one string."""
        return " ".join(self.terms)

    @property
    def is_raw(self) -> bool:
        """Whether it is the shop's own query, unchanged."""
        return not self.terms


def is_text(rewrite: str) -> bool:
    """Tell whether what a model wrote can be kept and sent on: no lone surrogates, no more than is read."""
    return len(rewrite) <= MOST_CHARS and rewrite.encode("utf-8", "replace").decode() == rewrite


def form_of(user_query: str, settings: PlanSettings, call: TemplateCall = DEFAULT_CALL) -> Form:
    """Return *instead* for long requests where the template allows it, else *add*."""
    long = len(user_query.split()) >= settings.instead_from_words
    return Form.INSTEAD if long and call.instead else Form.ADD


def plan(user_query: str, rewrite: str, settings: PlanSettings, call: TemplateCall = DEFAULT_CALL) -> Plan:
    """Return the plan of a rewrite: distinct words within the limits.

    In the form *add* the query's own words are dropped from the rewrite: they are in the shop's clause.
    """
    form = form_of(user_query, settings, call)
    own = set(normalise(user_query).split()) if form is Form.ADD else set()
    words = dict.fromkeys(w for w in normalise(_bounded(rewrite)).split() if w not in own)
    terms = _fitting(words, settings)
    return Plan(
        user_query=user_query,
        terms=terms,
        form=form,
        weight=settings.weight,
        own_weight=settings.own_weight,
        call=call,
    )


def _bounded(rewrite: str) -> str:
    """Return as much of a rewrite as is looked at, its last word whole: the limits leave far less."""
    return rewrite if len(rewrite) <= MOST_CHARS else " ".join(rewrite[:MOST_CHARS].split()[:-1])


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
