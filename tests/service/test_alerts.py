"""Every alert of `deploy/prometheus`: fired by a fault in a running loop, and gone once it is put right.

A real Prometheus beside a real loop, with the rules as they are but for time (`scaled_rules`). Faults go side
by side where they do not touch each other, while shoppers come.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from watched import rules

from agent.demo.stack import Stack
from tests.alerts.loop import Loop, open_loop
from tests.alerts.playing import Told, calm, play
from tests.alerts.table import LEFT, faults, stages
from tests.faults.shoppers import Shoppers

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, in number
]
RATE = 2.0
"""Searches a second: with all processes beside them two cores answer no more in time."""
CALM_S = 240.0
"""For all processes to be at work on a machine with much to do."""
ALERTS = [rule["alert"] for rule in rules() if "alert" in rule]
CAUSED = [alert for fault in faults() if not fault.by_record for alert in fault.alerts]
RECORDED = [alert for fault in faults() if fault.by_record for alert in fault.alerts]


def test_each_alert_is_fired_by_a_fault_or_by_a_record_or_says_why_not() -> None:
    assert Counter([*CAUSED, *RECORDED, *LEFT]) == Counter(ALERTS)
    assert all(len(why) > 40 for why in LEFT.values())


@pytest.fixture(scope="module")
def told(
    redis_server: object, fake_opensearch_url: str, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    del redis_server  # it is there
    with open_loop(stack, tmp_path_factory.mktemp("alerts"), fake_opensearch_url) as loop:
        yield asyncio.run(_played(loop))


async def _played(loop: Loop) -> Told:
    shoppers = Shoppers(loop.shop.url, RATE)
    coming = asyncio.create_task(shoppers.come())
    try:
        lasting = {alert for fault in faults() if fault.lasts for alert in fault.alerts}
        loud = await calm(loop, lasting, CALM_S)
        assert not loud, "they fire in a loop that is well"
        return await play(loop, stages())
    finally:
        shoppers.stop()
        await coming


@pytest.mark.parametrize("alert", [*CAUSED, *RECORDED])
def test_an_alert_is_fired_by_its_fault_and_resolved_after_it(told: Told, alert: str) -> None:
    assert alert not in told.before
    assert alert in told.fired_s, told.errors
    assert alert in told.resolved_s, told.errors


def test_every_fault_could_be_played(told: Told) -> None:
    assert told.errors == []
