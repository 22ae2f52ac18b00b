"""Toy click logs: where clicks follow popularity alone, nothing is lent; where they mean it, some is."""

import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from serve_fakes import index_of, settings_of, verdict

from agent.lending import Judged, attempt, terms_of
from agent.lending.offers import heard
from agent.policy.plan import Plan
from agent.retrieval.results import Results
from agent.verify.prior import fit
from agent.verify.shop import Observed, Shop
from agent.verify.wanted import wanted, worth_of
from feedback.evidence.reading import Fold, ObjectEvidence, QueryEvidence, ShopTotals, merge
from feedback.records import LendingTerms

QUERIES, THINGS = 600, 60
SETTINGS = settings_of()
SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


class Log:
    """Things of three names each, one of which stands in titles; queries of two words, few clicks each."""

    def __init__(self, seed: int, *, popular: bool) -> None:
        self.draw = random.Random(seed)
        self.popular = popular
        self.names = [["".join(self.draw.sample(SYLLABLES, 4)) for _ in range(3)] for _ in range(THINGS)]
        self.marks = ["".join(self.draw.sample(SYLLABLES, 2)) for _ in range(40)]
        self.titles = {
            f"p{i:03}": {self.names[i % THINGS][0], *self.draw.sample(self.marks, 2)}
            for i in range(4 * THINGS)
        }
        self.weights = 1 / np.arange(1, len(self.titles) + 1)
        self.rng = np.random.default_rng(seed)
        self.folds = {query: self.clicks(thing) for query, thing in self.asked()}

    def asked(self) -> Sequence[tuple[str, int]]:
        drawn = [(self.draw.randrange(THINGS), self.draw.choice(self.marks)) for _ in range(QUERIES)]
        return [(f"{self.draw.choice(self.names[thing])} {mark}", thing) for thing, mark in drawn]

    def clicks(self, thing: int) -> tuple[Fold, Fold]:
        folds: tuple[dict[str, ObjectEvidence], ...] = ({}, {})
        meant = [d for d, title in self.titles.items() if self.names[thing][0] in title]
        for _ in range(self.draw.randint(2, 6)):
            shares = self.weights / self.weights.sum()
            d = str(self.rng.choice(list(self.titles), p=shares)) if self.popular else self.draw.choice(meant)
            fold = self.draw.choice(folds)
            fold[d] = fold.get(d, ObjectEvidence()) + ObjectEvidence(clicks=1)
        return folds[0], folds[1]

    def page(self, plan: Plan) -> tuple[str, ...]:
        found: defaultdict[str, float] = defaultdict(float)
        for weight, words in ((1.0, plan.user_query.split()), (0.7, plan.terms)):
            for d, title in self.titles.items():
                found[d] += weight * len(title.intersection(words))
        ranked = sorted((d for d, score in found.items() if score), key=lambda d: (-found[d], d))
        return tuple(ranked[:10])

    async def look(self, plans: list[Plan], *, size: int) -> list[Results]:
        pages = [self.page(plan)[:size] for plan in plans]
        return [Results(object_ids=p, scores=(1.0,) * len(p), total=len(p), took_ms=1) for p in pages]

    async def terms(self) -> LendingTerms:
        """Let every query be judged, and try what the others would lend it."""
        both = [merge([folds[i] for folds in self.folds.values()]) for i in (0, 1)]
        shop = Shop(totals=ShopTotals(folds=(both[0], both[1]), mu=0.0), settings=SETTINGS.feedback)
        evidence = [QueryEvidence(query=query, folds=folds) for query, folds in self.folds.items()]
        prior = fit(
            (Observed(evidence=e, raw_ids=self.page(Plan(user_query=e.query))) for e in evidence),
            shop,
            alpha=4.0,
        )
        index = index_of(*(verdict(e.query, "", wanted=wanted(e, shop, prior)) for e in evidence))
        judged = [
            Judged(query=e.query, near=heard(e.query, index), worth=worth_of(e, shop, prior))
            for e in evidence
        ]
        return terms_of(await attempt(judged, self.look, SETTINGS))


@pytest.mark.parametrize("seed", range(4))
async def test_clicks_on_what_is_popular_anywhere_lend_nothing(seed: int) -> None:
    terms = await Log(seed, popular=True).terms()
    assert terms.tried > 300
    assert not terms.lends


@pytest.mark.parametrize("seed", range(2))
async def test_clicks_on_what_was_meant_lend(seed: int) -> None:
    terms = await Log(seed, popular=False).terms()
    assert terms.lends
    assert terms.gain > 0.05
