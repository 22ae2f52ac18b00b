"""Each attack on a small shop, through the real collector: what it buys without the guard and with it."""

import pytest

from tests.service.attacked_loop import Outcome, Scenario, play
from tests.service.attackers import ATTACKS

SMALL = Scenario(seed=0, clients=300, days=1, client_share=0.03)
"""Nine attackers, each with some forty clicks."""


async def played(attack: str, redis_url: str, *, guard: bool, tenant: str) -> Outcome:
    del tenant  # the scenario's own name is one of a test's: tests of one server run one after the other
    return await play(
        Scenario(
            seed=SMALL.seed,
            clients=SMALL.clients,
            days=SMALL.days,
            client_share=SMALL.client_share,
            doing=ATTACKS.get(attack),
            guard=guard,
            redis_url=redis_url,
        )
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("attack", list(ATTACKS))
async def test_what_an_attack_buys_is_a_small_part_of_what_it_buys_unguarded(
    attack: str, redis_url: str, tenant: str
) -> None:
    unguarded = await played(attack, redis_url, guard=False, tenant=tenant)
    guarded = await played(attack, redis_url, guard=True, tenant=tenant)
    assert guarded.attack_clicks == unguarded.attack_clicks > 100
    assert unguarded.attack_clicks_counted > 0.3
    assert guarded.attack_clicks_counted < 0.15
    if attack != "down":  # which promotes nothing
        assert guarded.unearned < max(0.1, unguarded.unearned / 2)
    assert guarded.honest_clients_dropped == 0
    assert guarded.honest_clicks_dropped < 0.01
    assert guarded.honest_pages_dropped < 0.01


@pytest.mark.timeout(60)
async def test_nobody_is_left_out_of_an_honest_shop(redis_url: str, tenant: str) -> None:
    clean = await played("clean", redis_url, guard=True, tenant=tenant)
    assert clean.honest_clients_dropped == 0
    assert clean.honest_clicks_dropped < 0.01
    assert clean.honest_pages_dropped < 0.01
    assert set(clean.dropped) <= {"again", "duplicate", "network", "clicks_an_hour", "whole_page"}
