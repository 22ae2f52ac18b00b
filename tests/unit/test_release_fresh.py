"""Evidence of rows alone, by hand."""

import msgspec

from agent.release.fresh import Arrived, Folding, folded
from feedback.evidence.decay import Decay
from feedback.evidence.ledger import LedgerRow
from feedback.examination.curve import Curve
from feedback.keys import Keys
from feedback.records import Action, Arm
from feedback.settings import FeedbackSettings

BY = Folding(
    keys=Keys(tenant="t"),
    settings=FeedbackSettings(),
    decay=Decay(landmark_ms=0, half_life_s=86_400),
    curve=Curve(by_rank=(1.0,)),
)
BOUGHT = LedgerRow(
    kind="action",
    client="c",
    fold=0,
    segment="all",
    query="couch",
    arm=Arm.STABLE,
    at_ms=0,
    object_ids=("A",),
    action=Action.PURCHASE,
    value_minor=100,
)
BACK = msgspec.structs.replace(BOUGHT, kind="back", of="action")


def purchases(*rows: LedgerRow) -> tuple[float, float]:
    arrived = [Arrived(partition=0, entry_id=f"{i}-0", row=row) for i, row in enumerate(rows)]
    (evidence,) = folded(arrived, ["couch"], BY, 0)
    found = evidence.merged()["A"]
    return found.purchases, found.value


def test_what_is_taken_back_of_what_came_before_counts_as_nothing() -> None:
    assert purchases(BOUGHT) == (1.0, 1.0)
    assert purchases(BOUGHT, BACK) == (0.0, 0.0)
    assert purchases(BACK) == (0.0, 0.0)
