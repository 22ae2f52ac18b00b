"""The machine's clock goes a day ahead or back: shoppers notice nothing, nothing waits until it is right.

Deadlines, rests and budgets go by the monotonic clock; these are the places of serving that ask the other.
"""

from collections import Counter

import pytest
from serve_client import ask, gateway
from serve_fakes import NOW_MS, World, verdict

from agent.sections import PlanSettings
from agent.serve.lists import Lists, Look
from feedback.records import Choice, Draw

DAY_MS = 86_400_000
JUMPS = [DAY_MS, -DAY_MS]


@pytest.mark.parametrize("jump_ms", JUMPS)
async def test_a_search_is_answered_as_before_with_the_time_of_the_clock(jump_ms: int) -> None:
    world = World(verdict("couch", "sofa"), holdback_share=0.3)
    async with gateway(world) as http:
        before = [await ask(http, client_id=f"c{i}") for i in range(8)]
        world.clock.now_ms += jump_ms
        after = [await ask(http, client_id=f"c{i}") for i in range(8)]
    named = ("arm", "source", "searched", "hits")
    assert [[page[name] for name in named] for page in before] == [
        [page[name] for name in named] for page in after
    ]
    assert {page["arm"] for page in before} == {"stable", "holdback"}
    shown_at_ms = Counter(page.shown_at_ms for page in world.writer.impressions)
    assert shown_at_ms == {NOW_MS: 8, NOW_MS + jump_ms: 8}


@pytest.mark.parametrize("jump_ms", JUMPS)
async def test_a_further_page_is_answered(jump_ms: int) -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        first = await ask(http, size=2)
        world.clock.now_ms += jump_ms
        further = await ask(http, size=2, offset=2, query_id=first["query_id"])
    assert (further["source"], len(further["hits"])) == ("verified", 2)


@pytest.mark.parametrize("jump_ms", JUMPS)
async def test_what_was_found_at_another_time_is_looked_at_anew(jump_ms: int) -> None:
    lists = Lists(PlanSettings(), max_age_s=600)
    look = Look(user_query="couch", size=10, now_ms=NOW_MS)
    draw = Draw(choices=(Choice(text="sofa", version=1, probability=1.0),), taken=0)
    lists.put([(one, ("a",)) for one in lists.missing(draw, look)], look)
    assert lists.missing(draw, look) == []
    later = Look(user_query="couch", size=10, now_ms=NOW_MS + jump_ms)
    assert len(lists.missing(draw, later)) == 2
