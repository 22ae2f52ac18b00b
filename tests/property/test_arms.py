import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sections import ServeSettings
from agent.serve.arms import arm_of, in_raw_share, raw_share
from feedback.exploring.interleaving import team_draft
from feedback.records import Arm

LISTS = st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=12)
SHARES = ServeSettings(holdback_share=0.1)


@given(st.text(min_size=1, max_size=40), st.text(max_size=10))
def test_a_client_keeps_its_arm(client: str, tenant: str) -> None:
    assert arm_of(client, tenant, SHARES) is arm_of(client, tenant, SHARES)
    assert arm_of(client, tenant, SHARES) in {Arm.HOLDBACK, Arm.STABLE}


def test_arms_get_their_shares_and_tenants_are_independent() -> None:
    here = [arm_of(f"c{i}", "here", SHARES) for i in range(10_000)]
    there = [arm_of(f"c{i}", "there", SHARES) for i in range(10_000)]
    counts = Counter(here)
    assert 900 < counts[Arm.HOLDBACK] < 1100  # 1000, standard deviation 30
    both = sum(a is b is Arm.HOLDBACK for a, b in zip(here, there, strict=True))
    assert 60 < both < 140  # 100 of 10,000, standard deviation 10


def test_the_raw_share_is_drawn_anew_for_each_query_and_day() -> None:
    day_ms = 86_400_000
    shown = [in_raw_share("q", f"c{i}", 0, 0.1) for i in range(10_000)]
    other_query = [in_raw_share("r", f"c{i}", 0, 0.1) for i in range(10_000)]
    next_day = [in_raw_share("q", f"c{i}", day_ms, 0.1) for i in range(10_000)]
    assert 900 < sum(shown) < 1100
    assert shown == [in_raw_share("q", f"c{i}", day_ms - 1, 0.1) for i in range(10_000)]
    for other in (other_query, next_day):
        assert sum(a and b for a, b in zip(shown, other, strict=True)) < 150


def test_a_query_keeps_so_many_raw_pages_a_half_life_as_traffic_allows() -> None:
    settings = ServeSettings(holdback_share=0.1, raw_share=0.05, raw_examinations=20, most_raw_share=0.5)
    often, some, rare = (raw_share(n, settings) for n in (1000.0, 100.0, 10.0))
    assert often == 0.05  # holdback alone gives 69
    assert (some + 0.1) * 100 * math.log(2) == pytest.approx(20)
    assert rare == 0.5
    assert raw_share(0.0, settings) == 0.05  # a click log tells nothing of pages


@given(LISTS, LISTS, st.integers(1, 12), st.text(max_size=8))
def test_a_draft_takes_the_next_best_of_either_list(
    raw: list[str], other: list[str], size: int, seed: str
) -> None:
    draft = team_draft(raw, other, size=size, seed=seed)
    assert draft == team_draft(raw, other, size=size, seed=seed)
    assert len(set(draft.object_ids)) == len(draft.object_ids) == min(size, len({*raw, *other}))
    if raw[:size] == other[:size]:
        assert draft.teams == ()
        return
    assert len(draft.teams) == len(draft.object_ids)
    for place, (object_id, team) in enumerate(zip(draft.object_ids, draft.teams, strict=True)):
        before = set(draft.object_ids[:place])
        tops = [next((d for d in objects if d not in before), None) for objects in (raw, other)]
        assert object_id in tops
        if team == "raw":
            assert object_id == tops[0]
        if team == "rewrite":
            assert object_id == tops[1]


@given(LISTS, LISTS, st.text(max_size=8))
def test_no_team_gets_credit_for_what_both_lists_show_within_one_rank(
    raw: list[str], other: list[str], seed: str
) -> None:
    draft = team_draft(raw, other, size=12, seed=seed)
    for object_id, team in zip(draft.object_ids, draft.teams, strict=bool(draft.teams)):
        near = (
            object_id in raw
            and object_id in other
            and abs(raw.index(object_id) - other.index(object_id)) <= 1
        )
        assert (team == "both") == near


def test_a_draft_by_hand() -> None:
    # a is the common prefix; then raw offers b, c, rewrite offers x, y; each round both pick once
    draft = team_draft(["a", "b", "c"], ["a", "x", "y"], size=5, seed="s")
    assert draft.object_ids[0] == "a"
    assert draft.teams[0] == "both"
    assert dict(zip(draft.object_ids, draft.teams, strict=True)) == {
        "a": "both",
        "b": "raw",
        "c": "raw",
        "x": "rewrite",
        "y": "rewrite",
    }


def test_both_lists_lead_equally_often() -> None:
    first = Counter(
        team_draft(["b", "c"], ["x", "y"], size=2, seed=str(i)).object_ids[0] for i in range(1000)
    )
    assert 440 < first["b"] < 560  # 500, standard deviation 16
