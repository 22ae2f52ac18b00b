import asyncio
from collections.abc import Sequence

import pytest
from serve_fakes import index_of, settings_of, verdict

from agent.errors import SearchFailed
from agent.lending import held, lend, offers
from agent.policy.plan import Plan
from agent.retrieval.results import Results
from agent.serve.lender import MOST_LOOKING, MOST_TRYING, Lender
from feedback.records import LendingTerms, Verified

RAW = ("r-1", "r-2", "r-3")
RED = (("red", 1.0),)


class Shop:
    """Finds by the words added; counts what it was asked."""

    def __init__(self, **pages: tuple[str, ...]) -> None:
        self.pages = {text.replace("_", " "): ids for text, ids in pages.items()}
        self.plans: list[Plan] = []
        self.fails = False
        self.takes_s = 0.0

    async def __call__(self, plans: Sequence[Plan], *, size: int, purpose: str = "search") -> list[Results]:
        assert purpose == "search"
        await asyncio.sleep(self.takes_s)
        if self.fails:
            raise SearchFailed("away")
        self.plans += plans
        found = [self.pages.get(plan.text, RAW)[:size] for plan in plans]
        return [Results(object_ids=ids, scores=(1.0,) * len(ids), total=len(ids), took_ms=1) for ids in found]


def asked(query: str, text: str, wanted: tuple[tuple[str, float], ...], **more: bool) -> Verified:
    return verdict(query, text, wanted=wanted, **more)


def test_those_most_like_a_query_offer_their_words_and_say_what_is_wanted() -> None:
    index = index_of(
        asked("red couch", "sofa", RED), asked("red couches", "settee", RED), asked("redd couch", "", RED)
    )
    offered = offers("red  Couchh", index, 8)
    assert set(offered.texts) == {"sofa red couch", "settee red couches", "redd couch", "sofa"}
    assert offered.wanted == {"red": pytest.approx(1.0)}


async def test_nothing_is_lent_that_the_clicks_around_do_not_speak_for() -> None:
    index = index_of(asked("red couch", "sofa", RED))
    settings = settings_of()
    better, same, worse = Shop(sofa_couch=("red", *RAW)), Shop(), Shop(sofa_couch=("new", *RAW))
    assert await lend(["red couchh"], index, better, settings) == ["sofa red couch"]
    assert await lend(["red couchh"], index, same, settings) == [""]
    assert await lend(["red couchh"], index, worse, settings) == [""]


async def test_nothing_is_lent_but_on_terms_that_are_known_to_pay() -> None:
    shop, near = Shop(sofa_couch=("red", *RAW)), asked("red couch", "sofa", RED)

    async def lent(*, lends: bool = True, similarity: float = 0.3, least_gain: float = 0.1) -> str:
        terms = LendingTerms(lends=lends, similarity=similarity, least_gain=least_gain)
        index = index_of(near, terms=terms)
        (text,) = await lend(["red couchh"], index, shop, settings_of())
        lender = Lender(index, shop, settings_of())
        assert await lender.lend("red couchh", purpose="search", now_ms=0, within_s=1.0) == text
        return text

    assert await lent() == "sofa red couch"
    assert await lent(lends=False) == ""
    assert await lent(similarity=0.9) == ""
    assert await lent(least_gain=1.1) == ""
    assert await lend(["red couchh"], index_of(near, terms=LendingTerms()), shop, settings_of()) == [""]


async def test_of_several_offers_the_one_is_lent_whose_page_shows_best_what_was_wanted() -> None:
    index = index_of(asked("red couch", "sofa", RED), asked("red couches", "settee", RED))
    shop = Shop(sofa_couch=(*RAW, "red"), settee_couches=("red", *RAW))
    assert await lend(["red couchh"], index, shop, settings_of()) == ["settee red couches"]


async def test_a_judged_query_and_one_that_is_like_none_are_lent_nothing_and_not_searched() -> None:
    index = index_of(asked("red couch", "sofa", RED), asked("red couchh", "", RED))
    shop = Shop(sofa_couch=("red", *RAW))
    assert await lend(["red couchh", "hose"], index, shop, settings_of()) == ["", ""]
    assert await lend(["red couch s"], index, shop, settings_of(lenders=0)) == [""]
    assert not shop.plans


async def test_the_query_s_own_few_clicks_speak_loudest() -> None:
    shop = Shop(sofa_couch=("red", "r-2", "r-3"))
    near = asked("red couch", "sofa", RED)
    own = asked("red couchh", "", (("r-1", 1.0),), settled=False)
    assert await lend(["red couchh"], index_of(near), shop, settings_of()) == ["sofa red couch"]
    assert await lend(["red couchh"], index_of(near, own), shop, settings_of()) == [""]


async def test_a_loan_is_remembered_until_a_verdict_around_moves_or_it_is_old() -> None:
    index, shop = index_of(asked("red couch", "sofa", RED)), Shop(sofa_couch=("red", *RAW))
    lender = Lender(index, shop, settings_of(lists_max_age_s=10))

    async def lent(now_ms: int) -> tuple[str, int]:
        before = len(shop.plans)
        return await lender.lend("red couchh", purpose="search", now_ms=now_ms, within_s=1.0), len(
            shop.plans
        ) - before

    assert await lent(0) == ("sofa red couch", 3)
    assert await lent(10_000) == ("sofa red couch", 0)
    assert await lent(10_001) == ("sofa red couch", 3)
    index.put("all|red couch", asked("red couch", "", (("r-1", 1.0),)))
    assert await lent(10_002) == ("", 2)


async def test_where_looking_fails_nothing_is_lent_nor_remembered() -> None:
    index, shop = index_of(asked("red couch", "sofa", RED)), Shop(sofa_couch=("red", *RAW))
    lender = Lender(index, shop, settings_of())
    shop.fails = True
    assert await lender.lend("red couchh", purpose="search", now_ms=0, within_s=1.0) == ""
    shop.fails = False
    assert await lender.lend("red couchh", purpose="search", now_ms=0, within_s=1.0) == "sofa red couch"


async def test_what_comes_too_late_is_looked_up_once_and_there_for_the_next_search() -> None:
    index, shop = index_of(asked("red couch", "sofa", RED)), Shop(sofa_couch=("red", *RAW))
    lender = Lender(index, shop, settings_of())
    shop.takes_s = 0.05
    late = [lender.lend("red couchh", purpose="search", now_ms=0, within_s=0.001) for _ in range(20)]
    assert set(await asyncio.gather(*late)) == {""}
    await asyncio.sleep(0.1)
    assert await lender.lend("red couchh", purpose="search", now_ms=0, within_s=0.0) == "sofa red couch"
    assert len(shop.plans) == 3
    shop.takes_s = 5.0
    assert await lender.lend("red couchhh", purpose="search", now_ms=0, within_s=0.001) == ""
    await lender.close()


async def test_more_questions_than_can_be_looked_up_at_a_time_are_answered_as_if_nobody_knew() -> None:
    index, shop = index_of(asked("red couch", "sofa", RED)), Shop(sofa_couch=("red", *RAW))
    lender = Lender(index, shop, settings_of())
    shop.takes_s = 0.05
    many = [lender.lend(f"red couchh {i}", purpose="search", now_ms=0, within_s=1.0) for i in range(40)]
    lent = await asyncio.gather(*many)
    assert lent.count("") == 40 - MOST_LOOKING


async def test_what_is_tried_out_leaves_room_for_those_who_are_lent_something() -> None:
    index = index_of(asked("red couch", "sofa", RED))
    shop = Shop(sofa_couch=("red", *RAW))
    lender = Lender(index, shop, settings_of())
    shop.takes_s = 0.05
    trying = [lender.offer(f"red couchh {i}", purpose="search", now_ms=0, within_s=1.0) for i in range(40)]
    *tried, lent = await asyncio.gather(
        *trying, lender.lend("red couchh", purpose="search", now_ms=0, within_s=1.0)
    )
    assert lent == "sofa red couch"
    assert sum(bool(text) for text in tried) == MOST_TRYING


async def test_what_to_try_out_is_known_to_further_pages_only_if_it_was_to_the_first() -> None:
    index = index_of(asked("red couch", "sofa", RED), asked("red couchh", "", RED), terms=LendingTerms())
    lender = Lender(index, shop := Shop(sofa_couch=("red", *RAW)), settings_of())

    async def offered(within_s: float | None) -> str:
        return await lender.offer("red couchh", purpose="search", now_ms=0, within_s=within_s)

    assert await offered(None) == ""
    assert not shop.plans
    assert await offered(1.0) == "sofa red couch"  # on no terms, and though it is judged itself
    assert await offered(None) == "sofa red couch"


async def test_the_policy_s_words_are_held_against_the_same_clicks() -> None:
    index = index_of(asked("red couch", "", RED))
    shop = Shop(settee=("red", *RAW), bench=("new", *RAW))

    async def holds(text: str, query: str = "red couchh") -> bool:
        (found,) = await held([query], [text], index, shop, settings_of())
        lender = Lender(index, shop, settings_of())
        assert await lender.holds(query, text, purpose="search", now_ms=0, within_s=1.0) is found
        return found

    assert await holds("settee")
    assert not await holds("bench")
    assert await holds("bench", "hose")  # nothing is known around it
    assert await holds("bench", "rad tin")  # a trigram in common says nothing
    shop.pages[""] = ()
    assert await holds("bench")  # nothing is better than an empty page


async def test_words_that_cannot_be_held_against_anything_in_time_are_not_said() -> None:
    lender = Lender(index_of(asked("red couch", "", RED)), shop := Shop(settee=("red", *RAW)), settings_of())
    shop.fails = True
    assert not await lender.holds("red couchh", "settee", purpose="search", now_ms=0, within_s=1.0)
    shop.fails = False
    assert await lender.holds("red couchh", "settee", purpose="search", now_ms=0, within_s=1.0)


@pytest.mark.parametrize("jump_ms", [86_400_000, -86_400_000])
async def test_what_was_found_before_the_clock_jumped_is_looked_at_anew(jump_ms: int) -> None:
    shop = Shop(sofa_couch=("red", *RAW))
    lender = Lender(index_of(asked("red couch", "sofa", RED)), shop, settings_of())
    looked: list[int] = []
    for now_ms in (100_000_000, 100_001_000, 100_000_000 + jump_ms):
        assert await lender.lend("red couchh", now_ms=now_ms, within_s=5, purpose="search")
        looked.append(len(shop.plans))
    assert looked[0] == looked[1] < looked[2]
