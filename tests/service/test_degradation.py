"""The degradation table of `agent/serve/README.md`: each row's part is broken while shoppers come.

Of a row hold: what shoppers got and how soon, what was counted, that the shop was whole again by itself in
time, and that no page that was not shown is in the streams. One shop for all rows, each of which leaves it
whole; the rows may come in any order.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.demo.stack import Stack
from tests.faults import replicas
from tests.faults.playing import play
from tests.faults.rows import Row, rows
from tests.faults.shop import Shop, open_shop
from tests.faults.soaking import GATEWAY, REWRITER, Spell, endure

pytestmark = [
    pytest.mark.timeout(150, func_only=True),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, in number
]
SEARCH_TIMEOUT_S = 1.5
DEADLINE_S = 0.5
MARGIN_S = 2.5
"""For a machine that other work keeps busy."""
TABLE = [
    row
    for row in rows(search_timeout_s=SEARCH_TIMEOUT_S, deadline_s=DEADLINE_S, margin_s=MARGIN_S)
    if not row.in_bench_alone
]


@pytest.fixture(scope="module")
def shop(redis_server: Path, fake_opensearch_url: str, stack: Stack) -> Iterator[Shop]:
    changes = {"opensearch": {"timeout_s": SEARCH_TIMEOUT_S}, "serve": {"deadline_s": DEADLINE_S}}
    with open_shop(stack.folder, stack.spawn, fake_opensearch_url, changes) as shop:
        yield shop


async def test_while_one_part_after_the_other_fails_all_that_shoppers_get_is_counted(shop: Shop) -> None:
    """The short form of `tests.bench.soak`; memory is for the long one."""
    names = ("OpenSearch answers 429", "Redis full", "OpenSearch refuses connections")
    some = [row for row in TABLE if row.name in names]
    told = await endure(shop, Spell(rows=some, rate=8.0, lasts_s=13.0, every_s=4.0, is_short=True))
    shop.notes["pages"] = set(await shop.pages())
    assert told.broken == [], told.said
    assert {"search_failed", "not_written"} & set(told.got.errors), told.said
    assert sum(told.faults.values()) == len(names)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
async def test_a_part_that_fails_costs_what_the_table_says_and_no_more(shop: Shop, row: Row) -> None:
    before = [replicas.pids(name) for name in (GATEWAY, REWRITER)]
    told = await play(shop, row)
    assert told.faults == [], told.said
    after = [replicas.pids(name) for name in (GATEWAY, REWRITER)]
    assert [len(pids) for pids in after] == [1, 1]
    assert row.kills or after == before  # who is merely slow, or silent for four seconds, is not replaced
