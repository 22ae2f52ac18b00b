"""A version says which rows of the ledger it may have learned from: none that it did is left out."""

from pathlib import Path

import msgspec
import pytest
from test_learner_orders import Desk
from toy import toy_settings

from feedback.delivery.streams import FIELD
from feedback.evidence.ledger import LedgerRow, day_of
from feedback.records import Arm
from feedback.version_records import Window

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("default"),  # RLlib warns of its own old names
]
DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS + DAY_MS // 2


async def arrive(desk: Desk, second: int, *, days_ago: int = 0) -> str:
    """Let a row come in at that second of this noon, of a page of today or before; return its id."""
    at_ms = NOW_MS - days_ago * DAY_MS
    row = LedgerRow(kind="page", client="c", fold=0, segment="all", query="q", arm=Arm.STABLE, at_ms=at_ms)
    key, arrived = desk.settings.keys.ledger(0, day_of(at_ms)), f"{NOW_MS + second * 1000}-0"
    await desk.redis.xadd(key, {FIELD: msgspec.json.encode(row)}, id=arrived)
    return arrived


async def test_windows_follow_on_each_other_over_days_restarts_and_kills(
    tmp_path: Path, tenant: str, redis_url: str
) -> None:
    desk = Desk(toy_settings(tmp_path, tenant, redis_url))
    desk.clock.now_ms = NOW_MS
    await desk.start()
    ids = [await arrive(desk, 1), await arrive(desk, 2, days_ago=1)]
    first = await desk.made(1)
    assert first.window == {"0": Window(first=ids[0], last=ids[1], rows=2), "1": Window()}

    await desk.start()  # after a restart, from what it published last
    nothing = await desk.made(1)
    assert nothing.window["0"] == Window(last=ids[1])

    ids.append(await arrive(desk, 3, days_ago=2))
    await desk.session.train(max_updates=1)
    await desk.session.checkpoint()  # and died before it made a version
    await desk.start()
    ids.append(await arrive(desk, 4))
    third = await desk.made(1)
    assert third.window["0"] == Window(first=ids[2], last=ids[3], rows=2)

    await desk.serve(nothing.version)
    await desk.revoke(third.version)
    await desk.session.obey()
    fourth = await desk.made(1)  # from the second: what the third saw is between them, too
    assert (fourth.parent, fourth.window["0"]) == (nothing.version, third.window["0"])
    await desk.close()
