"""Rings: what is found, and which honest crowds are not."""

import random
from collections.abc import Iterator

from feedback.evidence.ledger import LedgerRow
from feedback.guard.rings import Seen, rings
from feedback.records import Action, Arm
from feedback.settings import GuardSettings

SETTINGS = GuardSettings()
NOW_MS = 1_700_000_000_000
OBJECTS = tuple("ABCDEFGH")
CHANCES = (0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.04)
"""That the object at a rank is clicked."""


def visit(client: str, query: str, clicked: set[str]) -> Iterator[LedgerRow]:
    common = {
        "client": client,
        "fold": 0,
        "segment": "all",
        "query": query,
        "arm": Arm.STABLE,
        "at_ms": NOW_MS,
    }
    yield LedgerRow(kind="page", object_ids=OBJECTS, **common)  # type: ignore[arg-type]
    for object_id in sorted(clicked):
        yield LedgerRow(
            kind="action",
            action=Action.CLICK,
            object_ids=(object_id,),
            rank=OBJECTS.index(object_id) + 1,
            **common,  # type: ignore[arg-type]
        )


def crowd(seed: int, *, clients: int = 400, queries: int = 60, visits: int = 6) -> list[LedgerRow]:
    rng = random.Random(seed)
    rows: list[LedgerRow] = []
    for n in range(clients):
        for _ in range(visits):
            query = f"q{int(queries * rng.random() ** 2)}"
            liked = {d for d, chance in zip(OBJECTS, CHANCES, strict=True) if rng.random() < chance}
            rows += visit(f"honest{n}", query, liked)
    return rows


def band(clients: int, targets: int, *, each: int | None = None) -> list[LedgerRow]:
    rng = random.Random(9)
    return [
        row
        for n in range(clients)
        for target in rng.sample(range(targets), each or targets)
        for row in visit(f"bad{n}", f"q{10 + target}", {"G"})
    ]


def found(rows: list[LedgerRow]) -> set[str]:
    return {one.client for one in rings(Seen.of(rows), SETTINGS)}


def test_clients_that_click_the_same_far_down_things_are_a_ring_and_nobody_else() -> None:
    assert found(crowd(1) + band(12, 12)) == {f"bad{n}" for n in range(12)}


def test_a_ring_whose_members_click_half_of_its_things_each_is_found_too() -> None:
    caught = found(crowd(2) + band(20, 24, each=12))
    assert len(caught) >= 18
    assert all(client.startswith("bad") for client in caught)


def test_honest_crowds_hold_no_ring() -> None:
    assert [found(crowd(seed)) for seed in range(3, 8)] == [set()] * 5


def test_fans_of_rare_things_that_click_what_stands_first_are_no_ring() -> None:
    rng = random.Random(4)
    fans = [
        row
        for n in range(15)
        for query in range(8)
        for row in visit(f"fan{n}", f"niche{query}", {"A"} if rng.random() < 0.5 else {"B"})
    ]
    assert found(crowd(4) + fans) == set()


def test_a_thing_far_down_that_everybody_likes_makes_no_ring() -> None:
    rng = random.Random(5)
    rows = crowd(5)
    for n in range(400):
        for query in ("sale1", "sale2", "sale3", "sale4"):
            rows += visit(f"honest{n}", query, {"H"} if rng.random() < 0.8 else set())
    assert found(rows) == set()


def test_fewer_than_a_ring_s_clients_are_friends() -> None:
    assert found(crowd(6) + band(4, 12)) == set()


def test_an_empty_ledger_and_a_log_without_pages_hold_no_ring() -> None:
    assert found([]) == set()
    logged = [row for row in band(12, 12) if row.kind == "action"]
    assert found(logged) == set()
