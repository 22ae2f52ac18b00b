"""The demo shop's queries as evidence that stands still, split by clusters: what learners are compared on.

A query's relevant products are its clicks. Its verified rewrite is the best of what the queries about the
same thing say in other words, by that evidence: such words come from shoppers' reformulations in a live shop.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from agent.demo.shop import Query, asked, make_shop, never_asked, relevance
from agent.evaluate.backtest_answers import RememberedSearch
from agent.evaluate.bootstrap import clusters
from agent.policy.plan import plan
from agent.sections import PlanSettings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.evidence.reward import dcg_difference
from feedback.records import Verified
from feedback.text import bucket, normalise

FOLDS = 5
"""Every seed keeps another fifth of the clusters for judging."""
MIN_GAIN = 0.02
"""Of a verified rewrite, DCG; below it nothing is to be added."""
CANDIDATES = 8
"""Tried for a query."""
DEPTH = 10


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What one learner's process gets to see, and the queries that it is judged on."""

    evidence: dict[str, dict[str, float]]
    verified: dict[str, tuple[str, float]]
    """Rewrite and gain; an empty rewrite: nothing is to be added."""
    judged: list[str]

    def save(self, path: Path) -> Path:
        """Write it for another process."""
        path.write_bytes(msgspec.json.encode(self))
        return path

    @classmethod
    def load(cls, path: Path) -> "World":
        """Read what `save` wrote."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def index(self) -> VerifiedIndex:
        """Return the verdicts as the learner reads them."""
        index = VerifiedIndex()
        for seq, (query, (text, gain)) in enumerate(self.verified.items(), start=1):
            index.put(f"all|{query}", _verdict(query, text, gain, seq))
        return index


def products(shop_seed: int) -> list[bytes]:
    """Return the catalogue's lines."""
    return [json.dumps(product.document()).encode() for product in make_shop(shop_seed).products]


def queries_of(shop_seed: int) -> dict[str, Query]:
    """Return all queries of the shop by text."""
    every = (*asked(shop_seed, 0), *never_asked(shop_seed, 0))
    return {normalise(query.text): query for query in every}


def grades(query: Query) -> dict[str, float]:
    """Return what the query's products are worth."""
    return {product: float(grade) for product, grade in relevance(query).items()}


async def worlds(shop_seed: int, search: RememberedSearch) -> list[World]:
    """Return a world for each fold."""
    queries = queries_of(shop_seed)
    evidence = {text: {p: 2**g - 1 for p, g in grades(query).items()} for text, query in queries.items()}
    fold = dict(zip(queries, folds(list(queries)), strict=True))
    gains = await _gains(queries, evidence, search)
    return [_world(k, fold, evidence, gains) for k in range(FOLDS)]


def folds(queries: Sequence[str]) -> list[int]:
    """Return each query's fold; queries that say the same are in one."""
    groups = clusters(queries)
    return [bucket(queries[group], FOLDS, salt="fold") for group in groups]


def _world(
    k: int,
    fold: Mapping[str, int],
    evidence: Mapping[str, dict[str, float]],
    gains: Mapping[str, Mapping[str, tuple[str, float]]],
) -> World:
    taught = [query for query in evidence if fold[query] != k]
    verified: dict[str, tuple[str, float]] = {}
    for query in taught:
        known = [gains[query][other] for other in gains[query] if fold[other] != k]
        text, gain = max(known, key=lambda one: (one[1], one[0]), default=("", 0.0))
        verified[query] = (text, gain) if gain > MIN_GAIN else ("", 0.0)
    return World(
        evidence={query: evidence[query] for query in taught},
        verified=verified,
        judged=[query for query in evidence if fold[query] == k],
    )


async def _gains(
    queries: Mapping[str, Query], evidence: Mapping[str, Mapping[str, float]], search: RememberedSearch
) -> dict[str, dict[str, tuple[str, float]]]:
    """Return for each query what the words of each query of its concept would gain."""
    pairs = [(text, other) for text, query in queries.items() for other in _others(query, queries)]
    settings = PlanSettings()
    plans = [plan(text, words, settings) for text, other in pairs for words in ("", other)]
    pages = await search(plans, size=DEPTH)
    found: dict[str, dict[str, tuple[str, float]]] = {text: {} for text in queries}
    for (text, other), one, raw, page in zip(pairs, plans[1::2], pages[::2], pages[1::2], strict=True):
        total = sum(evidence[text].values())
        shares = {product: weight / total for product, weight in evidence[text].items()}
        found[text][other] = (one.text, dcg_difference(raw.object_ids, page.object_ids, shares, DEPTH))
    return found


def _others(query: Query, queries: Mapping[str, Query]) -> list[str]:
    same = [text for text, other in queries.items() if other.concept == query.concept and other != query]
    return sorted(same, key=lambda text: (len(text.split()), text))[:CANDIDATES]


def _verdict(query: str, text: str, gain: float, seq: int) -> Verified:
    return Verified(
        query=query,
        text=text,
        gain=gain,
        gain_sd=0.0,
        p_harm=0.0,
        support=1.0,
        fingerprint="",
        changes=bool(text),
        evidence_seq=1,
        made_at_ms=0,
        seq=seq,
    )
