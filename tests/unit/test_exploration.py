"""The cost of exploring, by hand and against the known truth of simulated traffic."""

import random
from typing import Any

import pytest

from feedback.evidence.ledger import LedgerRow
from feedback.exploring.exploration import Seen, costs, seen_in
from feedback.records import Action, Arm, Band


def seen(clicks: int, *, explored: bool, chance: float, client: str = "c", band: Band = Band.TAIL) -> Seen:
    return Seen(band=band, client=client, explored=explored, chance=chance, clicks=clicks)


def test_the_stable_pages_are_weighed_like_the_explored_ones() -> None:
    # A head query explores one time in ten and gets a click, a tail query half the time and gets none.
    pages = [seen(1, explored=i == 0, chance=0.1, band=Band.HEAD) for i in range(10)]
    pages += [seen(0, explored=i == 0, chance=0.5) for i in range(2)]
    whole, head, tail = costs(pages)
    assert (whole.band, head.band, tail.band) == ("all", "head", "tail")
    assert whole.clicks == 0.5  # one click, two explored searches
    assert whole.clicks_otherwise == pytest.approx(0.5)  # 9 at 1/9, 1 at 1; without weights it would be .9
    assert whole.cost == pytest.approx(0)
    assert (whole.searches, whole.explored, head.explored) == (12, 2, 1)
    assert whole.interval is None  # one client
    assert (tail.clicks, tail.clicks_otherwise) == (0, 0)


def test_a_band_without_both_arms_has_no_cost() -> None:
    assert costs([seen(1, explored=True, chance=0.5)]) == []
    assert costs([]) == []


def test_the_interval_holds_the_true_cost_nineteen_times_of_twenty() -> None:
    rng = random.Random(0)
    held = 0
    for _ in range(200):
        (cost, _) = costs(traffic(rng, cost=0.1))
        assert cost.interval is not None
        held += cost.interval[0] <= 0.1 <= cost.interval[1]
    assert 180 <= held <= 198  # 190 expected, standard deviation 3.1


def traffic(rng: random.Random, cost: float) -> list[Seen]:
    """Return pages of 60 shoppers, some eager; the queries that explore more are clicked less."""
    pages = []
    for client in range(60):
        eager = rng.gammavariate(4, 0.25)
        for _ in range(10):
            chance = rng.choice([0.05, 0.4])
            explored = rng.random() < chance
            rate = eager * ((0.6 if chance < 0.1 else 0.3) - cost * explored)
            clicks = sum(rng.random() < rate / 4 for _ in range(4))
            pages.append(seen(clicks, explored=explored, chance=chance, client=f"c{client}"))
    return pages


def row(arm: Arm, client: str, **more: Any) -> LedgerRow:  # noqa: ANN401
    fields: dict[str, Any] = {
        "kind": "page",
        "fold": 0,
        "segment": "all",
        "query": "q",
        "at_ms": 1,
        "object_ids": ("a", "b"),
    }
    return LedgerRow(**{"arm": arm, "client": client, **fields, **more})


def test_pages_are_read_from_the_ledger_with_their_clicked_objects_once_each() -> None:
    drawn = {"band": Band.TAIL, "chance": 0.25}
    clicked = {"kind": "action", "action": Action.CLICK, "object_ids": ("a",)}
    rows = [
        row(Arm.EXPLORE, "ann", **drawn),
        row(Arm.EXPLORE, "ann", **clicked),
        row(Arm.EXPLORE, "ann", **clicked),
        row(Arm.STABLE, "bob", **drawn),
        row(Arm.STABLE, "bob", **{**clicked, "action": Action.PURCHASE}),
        row(Arm.HOLDBACK, "cid", **drawn),
        row(Arm.STABLE, "dan"),
    ]
    assert seen_in(rows) == [
        seen(1, explored=True, chance=0.25, client="ann"),
        seen(0, explored=False, chance=0.25, client="bob"),
    ]
