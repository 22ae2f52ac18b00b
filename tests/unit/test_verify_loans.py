import string
from collections.abc import Iterable, Mapping, Sequence

import pytest
from msgspec import structs
from serve_fakes import settings_of, verdict
from typing_extensions import override

from agent.errors import SearchFailed
from agent.policy.plan import Plan
from agent.retrieval.results import Results
from agent.verify.loans import A_PASS, PATIENCE, SAMPLE, Loans
from agent.verify.prior import Prior
from agent.verify.store import VerdictWriter
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.reading import EvidenceReader, Fold, ObjectEvidence, QueryEvidence, ShopTotals
from feedback.records import LendingTerms, Verified

RAW = ("r-1", "r-2", "r-3")
COLOURS = [5 * (a + b) for a in string.ascii_lowercase for b in string.ascii_lowercase]
"""Words that have little in common."""
LENDS = LendingTerms(lends=True, similarity=0.15, least_gain=0.1, tried=24)


class Shop:
    """The word sofa finds what all shoppers of couches want."""

    def __init__(self) -> None:
        self.searches = 0
        self.fails = False
        self.brings = "red"

    async def msearch(self, plans: Sequence[Plan], *, size: int, purpose: str) -> list[Results]:
        assert purpose == "verify"
        if self.fails:
            raise SearchFailed("away")
        self.searches += len(plans)
        found = [(self.brings, *RAW) if "sofa" in plan.text else self.raw(plan) for plan in plans]
        return [Results(object_ids=ids[:size], scores=(1.0,) * len(ids), total=3, took_ms=1) for ids in found]

    def raw(self, plan: Plan) -> tuple[str, ...]:
        return (*RAW, plan.user_query)


class Plain(Shop):
    """Every query finds the same."""

    @override
    def raw(self, plan: Plan) -> tuple[str, ...]:
        return RAW


class Evidence(EvidenceReader):
    """What each query's shoppers did; all others together clicked lamps."""

    def __init__(self, fold: Fold, of: Mapping[str, Fold] | None = None) -> None:
        self.everything = clicked(lamp=10_000)
        self.fold = fold
        self.of = of or {}

    @override
    async def read(self, queries: Sequence[str], segment: str = "all") -> list[QueryEvidence]:
        return [QueryEvidence(query=query, folds=(self.of.get(query, self.fold), {})) for query in queries]

    @override
    async def totals(self) -> ShopTotals:
        return ShopTotals(folds=(self.everything, {}), mu=0.1)


class Refined(CandidateReader):
    """What shoppers of a query typed next."""

    def __init__(self, refined: Mapping[str, frozenset[str]] | None = None) -> None:
        self.to = refined or {}

    @override
    async def refined(self, queries: Iterable[str], segment: str = "all") -> dict[str, frozenset[str]]:
        return {query: self.to.get(query, frozenset()) for query in queries}


class Told(VerdictWriter):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[LendingTerms] = []

    @override
    async def write_terms(self, terms: LendingTerms) -> None:
        self.told.append(terms)


def clicked(**clicks: float) -> dict[str, ObjectEvidence]:
    return {d: ObjectEvidence(clicks=n) for d, n in clicks.items()}


def couches(n: int, *, start: int = 0, segment: str = "all") -> list[tuple[str, Verified]]:
    asked = [f"{colour} couch" for colour in COLOURS[start : start + n]]
    return [(f"{segment}|{q}", verdict(q, "sofa", wanted=(("red", 1.0),), segment=segment)) for q in asked]


def moved(n: int, share: float = 0.9) -> list[tuple[str, Verified]]:
    """Return couches whose shoppers want red a little less."""
    return [(name, structs.replace(v, wanted=(("red", share),))) for name, v in couches(n)]


RED = clicked(red=3)


class World:
    """A verifier's loans with what is behind them."""

    def __init__(
        self,
        n: int = 40,
        *,
        fold: Fold = RED,
        of: Mapping[str, Fold] | None = None,
        refined: Mapping[str, frozenset[str]] | None = None,
        standing: LendingTerms | None = None,
        shop: Shop | None = None,
    ) -> None:
        self.shop = shop or Shop()
        self.writer = Told()
        self.evidence = Evidence(fold, of)
        self.settings = settings_of()
        self.refined = Refined(refined)
        self.restart(n, standing or LendingTerms())

    def restart(self, n: int, standing: LendingTerms) -> None:
        self.loans = Loans(self.evidence, self.refined, self.shop, self.writer, self.settings)
        self.loans.restore(dict(couches(n)), standing)

    async def step(self) -> int:
        return await self.loans.step(Prior())

    async def tried(self) -> int:
        n = 0
        while done := await self.step():
            n += done
        return n


async def test_where_what_others_wanted_is_wanted_they_lend() -> None:
    world = World()
    assert await world.tried() == 40
    assert world.writer.told[-1] == (terms := world.loans.terms)
    assert terms.lends
    assert (terms.tried, terms.loans, terms.worse) == (40, 40, 0)


async def test_where_every_query_wants_something_of_its_own_nothing_is_lent() -> None:
    world = World(of={v.query: {v.query: ObjectEvidence(clicks=3)} for _, v in couches(40)})
    await world.tried()
    assert world.loans.terms.worse == world.loans.terms.tried == 40  # red pushes it down
    assert not world.loans.terms.lends


async def test_what_is_popular_everywhere_is_no_reason_to_lend() -> None:
    names = [v.query for _, v in couches(40)]
    by_luck = {one: clicked(**{("lamp", "hose")[i % 2]: 3}) for i, one in enumerate(names)}
    world = World(of=by_luck, shop=Plain())
    world.evidence.everything = clicked(lamp=10_000, hose=10_000)
    world.shop.brings = "lamp"
    lamp = (("lamp", 0.5),)
    world.loans.follow([(f"all|{one}", verdict(one, "sofa", wanted=lamp)) for one in names])
    await world.tried()
    assert world.loans.terms.loans == 40
    assert world.loans.terms.gain == pytest.approx(0.0, abs=0.01)
    assert not world.loans.terms.lends


async def test_a_newcomer_is_worth_what_newcomers_earn_and_what_nobody_saw_pushed_out_tells_nothing() -> None:
    shown = {d: ObjectEvidence(examinations=10.0) for d in RAW}
    shown["r-3"] = ObjectEvidence(examinations=10.0, clicks=3)
    for newcomer, lends in ((0.0, False), (0.9, True)):
        world = World(fold=shown, shop=Plain())
        while await world.loans.step(Prior(newcomer=newcomer)):
            pass
        assert (world.loans.terms.tried, world.loans.terms.lends) == (40, lends)
    unseen = World(fold={"red": ObjectEvidence(examinations=10.0, clicks=3)})  # the loan's own page alone
    assert await unseen.tried() == 40
    assert unseen.loans.terms.tried == 0


async def test_a_query_that_was_refined_to_another_is_not_judged_by_the_same_click() -> None:
    names = [v.query for _, v in couches(40)]
    world = World(refined=dict.fromkeys(names[1:], frozenset({names[0]})))
    await world.tried()
    assert world.loans.terms.tried == 40
    assert world.loans.terms.loans == 39  # the first one hears nobody, and nobody hears it
    everyone = World(refined={one: frozenset(set(names) - {one}) for one in names})
    await everyone.tried()
    assert everyone.loans.terms.loans == 0


async def test_a_pass_tries_a_few_and_a_query_again_once_enough_has_moved() -> None:
    world = World()
    assert await world.step() == A_PASS
    assert world.shop.searches <= A_PASS * 10
    await world.tried()
    world.loans.follow(couches(40))
    assert await world.tried() == 0  # written again, and the same
    world.loans.follow(moved(3))
    assert await world.tried() == 3  # what their shoppers wanted moved
    world.loans.follow(couches(60, start=100))
    assert await world.tried() == 60 + 40  # others around, and what they offer
    assert await world.tried() == 0


async def test_no_query_waits_for_ever_while_others_move_in_every_pass() -> None:
    world = World()
    await world.tried()
    asked: set[str] = set()
    attempt = world.loans._judged

    async def seen(queries: Sequence[str], prior: Prior, shop: object) -> object:
        asked.update(queries)
        return await attempt(queries, prior, shop)  # type: ignore[arg-type]

    world.loans._judged = seen  # type: ignore[method-assign,assignment]
    for n in range(10):
        world.loans.follow(moved(20, 0.5 + n / 100))
        await world.step()
    assert {v.query for _, v in couches(20)} <= asked


async def test_the_sample_is_bounded_and_forgets_whom_nobody_knows_any_more() -> None:
    world = World(len(COLOURS))
    world.loans.follow([(f"all|{v.query} {i}", v) for _, v in couches(len(COLOURS)) for i in range(4)])
    assert len(world.loans._sample) == SAMPLE
    world = World()
    await world.tried()
    assert world.loans.terms.lends
    world.loans.follow([(name, None) for name, _ in couches(40)])
    await world.step()
    assert world.loans.terms == LendingTerms()
    assert not world.loans._tried


async def test_other_segments_are_not_served_and_tell_nothing() -> None:
    world = World(0)
    world.loans.follow(couches(40, segment="de"))
    assert await world.tried() == 0


async def test_while_searches_fail_the_terms_stand_and_trials_are_made_good_later() -> None:
    for standing in (None, LENDS):
        world = World(standing=standing)
        world.shop.fails = True
        for _ in range(10):
            assert await world.step() == 0
        assert world.loans.terms == (standing or LendingTerms())
        world.shop.fails = False
        for _ in range(PATIENCE + 40 // A_PASS):
            await world.step()
        assert world.loans.terms.lends
        assert world.loans.terms.tried == 40


async def test_a_query_whose_searches_fail_by_themselves_holds_up_no_other() -> None:
    refused = couches(1)[0][1].query

    class Refuses(Shop):
        @override
        def raw(self, plan: Plan) -> tuple[str, ...]:
            if plan.user_query == refused:
                raise SearchFailed("cannot be parsed")
            return super().raw(plan)

    fresh = World(shop=Refuses())
    assert await fresh.tried() == 39
    assert fresh.loans.terms.tried == 39
    assert fresh.loans.terms.lends
    assert await fresh.step() == 0


async def test_a_verifier_that_starts_anew_keeps_the_terms_until_it_knows_as_much() -> None:
    world = World(standing=LENDS)
    await world.step()
    await world.step()
    assert world.loans.terms == LENDS
    assert world.writer.told == []
    await world.step()
    assert world.loans.terms.tried == 24
    assert world.loans.terms != LENDS


async def test_terms_that_stood_on_more_than_is_known_now_do_not_stand_for_ever() -> None:
    world = World(fold={"red": ObjectEvidence(examinations=10.0, clicks=3)}, standing=LENDS)
    assert await world.tried() == 40
    assert not world.loans.terms.lends


async def test_terms_that_could_not_be_written_are_written_at_the_next_pass() -> None:
    world = World()
    write = world.writer.write_terms

    async def broken(terms: LendingTerms) -> None:
        del terms
        raise ConnectionError("reset")

    world.writer.write_terms = broken  # type: ignore[method-assign]
    for _ in range(5):
        with pytest.raises(ConnectionError):
            await world.step()
    assert not world.loans.terms.lends
    world.writer.write_terms = write  # type: ignore[method-assign]
    assert await world.step() == 0
    assert world.loans.terms.lends


async def test_where_lending_is_turned_off_nothing_is_searched_and_nothing_stands() -> None:
    world = World()
    world.settings = settings_of(lenders=0)
    world.restart(40, LENDS)
    assert await world.step() == 0
    assert world.shop.searches == 0
    assert world.loans.terms == LendingTerms()
