"""How deep a rewrite's list counts."""

from collections.abc import Sequence

import pytest

from agent.policy.plan import Plan
from agent.retrieval import Results
from agent.scoring import Snapshot, rewards
from agent.settings import Settings

KNOWN = Snapshot(observations={}, snapshot_id="s", gains={"couch": {"wanted": 1.0}})


class Deep:
    """Has the wanted object at rank 12, and at rank 3 for a rewrite."""

    async def msearch(self, plans: Sequence[Plan], *, size: int = 10, purpose: str) -> list[Results]:
        assert purpose == "learner"
        return [self._page(12 if plan.is_raw else 3, size) for plan in plans]

    @staticmethod
    def _page(rank: int, size: int) -> Results:
        ids = [f"other{i}" for i in range(20)]
        ids[rank - 1] = "wanted"
        return Results(object_ids=tuple(ids[:size]), scores=(1.0,) * size, total=20, took_ms=1)


@pytest.mark.parametrize(
    ("depth", "reward"),
    [
        (10, 0.5),  # 1/log2(4), from nowhere
        (100, 0.5 - 0.270238),  # from 1/log2(13)
        (2, 0.0),
    ],
)
async def test_ranks_past_the_depth_are_worth_nothing(depth: int, reward: float) -> None:
    settings = Settings.model_validate({"learner": {"depth": depth}})
    found = await rewards(Deep(), {"couch": ["sofa", ""]}, KNOWN, settings, purpose="learner")
    assert found["couch"] == [pytest.approx(reward, abs=1e-6), 0.0]
