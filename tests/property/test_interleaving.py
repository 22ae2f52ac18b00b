"""Credit of interleaved pages, against brute force over all drafts and all clicks of small lists."""

from collections import Counter
from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback.errors import Permanent
from feedback.exploring.interleaving import RAW, REWRITE, _round, credit, preference, team_draft

LISTS = st.lists(st.sampled_from("abcdefg"), unique=True, max_size=5)
CLICKS = st.lists(st.floats(0, 1), min_size=8, max_size=8)


def drafts(raw: Sequence[str], rewritten: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    """Return every page with how many of the 2 ** size runs of coins give it."""
    lists = {RAW: raw, REWRITE: rewritten}
    pages: Counter[tuple[str, ...]] = Counter()
    for coins in product((RAW, REWRITE), repeat=size):
        page: list[str] = []
        for first in coins:
            page += [d for d, _ in _round(lists, page, first, size - len(page))]
        pages[tuple(page)] += 1
    return pages


@given(LISTS, LISTS, st.integers(1, 6), st.text(max_size=5), st.sets(st.sampled_from("abcdefg")))
def test_swapping_the_lists_turns_the_sign(
    raw: list[str], other: list[str], size: int, seed: str, clicked: set[str]
) -> None:
    shown = team_draft(raw, other, size=size, seed=seed).object_ids
    there = preference(raw, other, shown, clicked)
    assert there == pytest.approx(-preference(other, raw, shown, clicked))
    assert -1 <= there <= 1


@given(LISTS, st.sets(st.sampled_from("abcdefg")))
def test_equal_lists_get_no_preference(ranked: list[str], clicked: set[str]) -> None:
    assert preference(ranked, ranked, ranked, clicked) == 0


@settings(deadline=None)
@given(LISTS, LISTS, st.integers(1, 5), CLICKS)
def test_clicks_that_depend_on_the_rank_alone_prefer_neither_list(
    raw: list[str], other: list[str], size: int, chance: list[float]
) -> None:
    size = min(size, len(raw), len(other))
    total = 0.0
    for page, n in drafts(raw, other, size).items():
        for clicks in product((False, True), repeat=len(page)):
            likely = n / 2**size
            for rank, is_clicked in enumerate(clicks):
                likely *= chance[rank] if is_clicked else 1 - chance[rank]
            clicked = {d for d, is_clicked in zip(page, clicks, strict=True) if is_clicked}
            total += likely * preference(raw, other, page, clicked) if likely else 0.0
    assert total == pytest.approx(0, abs=1e-9)


@given(LISTS, LISTS, st.integers(1, 6), st.text(max_size=5))
def test_the_common_prefix_gets_no_credit(raw: list[str], other: list[str], size: int, seed: str) -> None:
    shown = team_draft(raw, other, size=size, seed=seed).object_ids
    pairs = enumerate(zip(raw, other, strict=False))
    prefix = next((i for i, (a, b) in pairs if a != b), min(len(raw), len(other)))
    assert credit(raw, other, shown)[:prefix] == [0.0] * len(shown[:prefix])


def test_credit_by_hand() -> None:
    # a is the common prefix. Round 1: a, then x where raw came first, else b. Then c and y, either first.
    assert credit("abc", "axy", "axby") == [0.0, 1.0, -1.0, 1.0]
    assert preference("abc", "axy", "axby", {"a", "x"}) == 0.5
    assert preference("abc", "axy", "axby", {"b"}) == -1.0
    assert preference("abc", "axy", "axby", set()) == 0.0


def test_an_object_before_an_unchanged_list_counts_half_and_so_does_what_stands_in_its_place() -> None:
    # n is the rewrite's own; a and b are one rank apart in the two lists, so they belong to neither team.
    assert credit("ab", "na", "na") == [0.5, -0.5]
    assert credit("ab", "na", "an") == [-0.5, 0.5]


def test_an_object_where_the_other_list_has_run_out_counts_half() -> None:
    assert credit("", "xy", "xy") == [0.5, 0.5]
    assert credit("ab", "abxy", "abxy") == [0.0, 0.0, 0.5, 0.5]
    # x came from either list, and y from the longer one whatever the coins
    assert credit("x", "xy", "xy") == [0.0, 0.5]
    assert preference("ab", "", "ab", {"b"}) == -0.5


def test_a_page_that_no_draft_gives_is_refused() -> None:
    with pytest.raises(Permanent, match="no draft"):
        credit("ab", "cd", "bd")
