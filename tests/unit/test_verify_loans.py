import re
from collections.abc import Sequence

import pytest
from serve_fakes import settings_of, verdict
from typing_extensions import override

from agent.errors import SearchFailed
from agent.policy.plan import Plan
from agent.retrieval.results import Results
from agent.verify.loans import A_PASS, SAMPLE, Loans
from agent.verify.store import VerdictWriter
from feedback.evidence import EvidenceReader, ObjectEvidence, QueryEvidence
from feedback.records import LendingTerms, Verified

RAW = ("r-1", "r-2", "r-3")


class Shop:
    """The word sofa finds what all shoppers of couches want."""

    def __init__(self) -> None:
        self.searches = 0
        self.fails = False

    async def msearch(self, plans: Sequence[Plan], *, size: int, purpose: str) -> list[Results]:
        assert purpose == "verify"
        if self.fails:
            raise SearchFailed("away")
        self.searches += len(plans)
        found = [("red", *RAW) if "sofa" in plan.text else RAW for plan in plans]
        return [Results(object_ids=ids[:size], scores=(1.0,) * len(ids), total=3, took_ms=1) for ids in found]


class Seen(EvidenceReader):
    """Pages were not logged, or showed these objects, whatever was asked."""

    def __init__(self, *object_ids: str) -> None:
        self._shown = {object_id: ObjectEvidence(examinations=1.0) for object_id in object_ids}

    @override
    async def read(self, queries: Sequence[str], segment: str = "all") -> list[QueryEvidence]:
        return [QueryEvidence(query=query, segment=segment, folds=(self._shown, {})) for query in queries]


class Told(VerdictWriter):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[LendingTerms] = []

    @override
    async def write_terms(self, terms: LendingTerms) -> None:
        self.told.append(terms)


def couches(n: int, *, wanted: str = "red", start: int = 0) -> list[tuple[str, Verified]]:
    asked = [f"couch {i:03}" for i in range(start, start + n)]
    return [(f"all|{q}", verdict(q, "sofa", wanted=((wanted, 1.0),))) for q in asked]


async def tried(loans: Loans) -> int:
    n = 0
    while done := await loans.step():
        n += done
    return n


async def test_where_what_others_wanted_is_wanted_they_lend() -> None:
    loans = Loans(Seen(), Shop(), told := Told(), settings_of())
    loans.restore(dict(couches(40)), LendingTerms())
    assert await tried(loans) == 40
    assert told.told[-1] == loans.terms
    assert loans.terms.lends
    assert (loans.terms.tried, loans.terms.loans, loans.terms.worse) == (40, 40, 0)


class Numbered(Shop):
    """A query finds the object of its number, a loan that of the lender's."""

    @override
    async def msearch(self, plans: Sequence[Plan], *, size: int, purpose: str) -> list[Results]:
        numbers = [re.findall(r"\d+", f"{plan.text} {plan.user_query}")[0] for plan in plans]
        return [Results(object_ids=(f"o-{n}", *RAW), scores=(1.0,) * 4, total=4, took_ms=1) for n in numbers]


async def test_where_every_query_wants_something_of_its_own_nothing_is_lent() -> None:
    known = [(f"all|couch {i:03}", couches(1, wanted=f"o-{i:03}", start=i)[0][1]) for i in range(40)]
    loans = Loans(Seen(), Numbered(), told := Told(), settings_of())
    loans.restore(dict(known), LendingTerms())
    await tried(loans)
    assert told.told[-1].tried == 40
    assert told.told[-1].worse >= 30
    assert not loans.terms.lends


async def test_pages_that_show_what_nobody_saw_tell_nothing() -> None:
    for seen, told_of in ((("red", "r-1"), 40), (("r-1",), 0)):
        loans = Loans(Seen(*seen), Shop(), told := Told(), settings_of())
        loans.restore(dict(couches(40)), LendingTerms())
        assert await tried(loans) == 40
        assert loans.terms.tried == told_of
        assert loans.terms.lends == bool(told_of)
        assert bool(told.told) == bool(told_of)


async def test_a_pass_tries_a_few_and_a_query_again_once_enough_has_moved() -> None:
    loans = Loans(Seen(), shop := Shop(), Told(), settings_of())
    loans.restore(dict(couches(40)), LendingTerms())
    assert await loans.step() == A_PASS
    assert shop.searches <= A_PASS * 10
    await tried(loans)
    loans.follow(couches(3))
    assert await tried(loans) == 3  # their own clicks moved
    loans.follow(couches(60, start=100))
    assert await tried(loans) == 60 + 40  # others around, and what they offer
    assert await tried(loans) == 0


async def test_the_sample_is_bounded_and_forgets_whom_nobody_knows_any_more() -> None:
    loans = Loans(Seen(), Shop(), Told(), settings_of())
    loans.restore(dict(couches(SAMPLE + 50)), LendingTerms())
    assert await tried(loans) == SAMPLE
    loans.follow([(name, None) for name, _ in couches(SAMPLE + 20)])
    await tried(loans)
    assert loans.terms.tried <= 30


async def test_a_search_that_fails_leaves_the_terms_and_the_trial_is_due_still() -> None:
    loans = Loans(Seen(), shop := Shop(), told := Told(), settings_of())
    loans.restore(dict(couches(40)), LendingTerms())
    shop.fails = True
    with pytest.raises(SearchFailed):
        await loans.step()
    assert told.told == []
    shop.fails = False
    assert await tried(loans) == 40


async def test_a_query_whose_searches_fail_by_themselves_holds_up_no_other() -> None:
    class Refuses(Shop):
        @override
        async def msearch(self, plans: Sequence[Plan], *, size: int, purpose: str) -> list[Results]:
            if any(plan.user_query == "couch 007" for plan in plans):
                raise SearchFailed("cannot be parsed")
            return await super().msearch(plans, size=size, purpose=purpose)

    loans = Loans(Seen(), Refuses(), Told(), settings_of())
    loans.restore(dict(couches(40)), LendingTerms())
    assert await tried(loans) == 40
    assert loans.terms.tried == 39
    assert loans.terms.lends


async def test_a_verifier_that_starts_anew_keeps_the_terms_until_it_knows_as_much() -> None:
    before = LendingTerms(lends=True, similarity=0.3, least_gain=0.1, tried=24)
    loans = Loans(Seen(), Shop(), told := Told(), settings_of())
    loans.restore(dict(couches(40)), before)
    await loans.step()
    await loans.step()
    assert loans.terms == before
    assert told.told == []
    await loans.step()
    assert loans.terms.tried == 24
    assert loans.terms != before


async def test_terms_that_stood_on_more_than_is_known_now_do_not_stand_for_ever() -> None:
    loans = Loans(Seen("r-1"), Shop(), Told(), settings_of())
    loans.restore(dict(couches(40)), LendingTerms(lends=True, similarity=0.3, least_gain=0.1, tried=24))
    assert await tried(loans) == 40
    assert not loans.terms.lends


async def test_where_lending_is_turned_off_nothing_is_searched() -> None:
    loans = Loans(Seen(), shop := Shop(), Told(), settings_of(lenders=0))
    loans.restore(dict(couches(40)), LendingTerms())
    assert await loans.step() == 0
    assert shop.searches == 0
