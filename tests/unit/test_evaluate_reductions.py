"""Long requests cut to their own best words, on a catalogue that finds by fixed rules."""

from collections.abc import Sequence

import pytest

from agent.evaluate.reductions import Reducer, long_requests, reduced, tried
from agent.policy.plan import Plan
from agent.retrieval.results import Results
from agent.settings import Settings

SETTINGS = Settings.model_validate({"plan": {"instead_from_words": 3}, "learner": {"depth": 10}})
ASKED = "i want a warm winter hat for my brother"
RANKS = {
    frozenset(): 4,
    frozenset({"hat"}): 3,
    frozenset({"warm"}): 4,
    frozenset({"hat", "winter"}): 1,
    frozenset({"hat", "winter", "warm"}): 1,
}
"""Where the wanted object stands for these words; for others nowhere."""


class Finds:
    """Puts one object where the words say, and counts searches."""

    def __init__(self) -> None:
        self.searches = 0

    async def msearch(self, plans: Sequence[Plan], *, size: int = 10, purpose: str) -> list[Results]:
        assert purpose == "reduction"
        self.searches += len(plans)
        return [self._page(RANKS.get(frozenset(plan.terms)), size) for plan in plans]

    def _page(self, rank: int | None, size: int) -> Results:
        ids = [f"other{i}" for i in range(size)]
        if rank:
            ids[rank - 1] = "wanted"
        return Results(object_ids=tuple(ids), scores=(1.0,) * size, total=size, took_ms=1)


async def test_words_are_taken_by_what_they_gain_until_none_does() -> None:
    found = await Reducer(Finds(), {ASKED: {"wanted": 1.0}}, SETTINGS).reduce([ASKED])
    assert found[ASKED].words == ("hat", "winter")  # warm beside them gains nothing
    assert found[ASKED].gain == pytest.approx(1.0 - 0.430677)  # from rank 4, 1/log2(5), to rank 1


async def test_a_request_that_no_word_helps_is_left_as_it_is() -> None:
    catalogue = Finds()
    found = await Reducer(catalogue, {"a warm brother": {"wanted": 1.0}}, SETTINGS).reduce(["a warm brother"])
    assert found["a warm brother"].words == ()
    assert catalogue.searches == 1 + 2  # the request, and each word alone


async def test_verdicts_are_given_where_something_is_gained() -> None:
    gains = {ASKED: {"wanted": 1.0}, "a warm brother": {"wanted": 1.0}}
    index = await reduced(Finds(), gains, SETTINGS, lambda *_: None)
    verdict = index.get(ASKED)
    assert verdict is not None
    assert verdict.text == "hat winter"
    assert index.get("a warm brother") is None


def test_short_and_empty_words_are_not_tried() -> None:
    assert tried("I'm in: the RED, red (well-made) tv!") == ["i'm", "red", "well-made"]
    assert long_requests(["red hat", ASKED], SETTINGS) == [ASKED]
