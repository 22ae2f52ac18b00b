from hypothesis import given
from hypothesis import strategies as st

from feedback.collecting.sharing import shares, surplus

NAMES = st.sets(st.sampled_from("abcdefg"), min_size=1)


def test_one_collector_has_all_and_three_differ_by_one_at_most() -> None:
    assert shares(["a"], {}, 8) == {"a": 8}
    assert shares(["c", "a", "b"], {}, 8) == {"a": 3, "b": 3, "c": 2}  # none holds any: by name
    assert shares([], {"a": 8}, 8) == {}


def test_the_larger_shares_go_to_those_that_hold_the_most_so_that_the_least_moves() -> None:
    assert shares("ab", {"b": 9}, 9) == {"a": 4, "b": 5}
    assert shares("abc", {"a": 2, "b": 3, "c": 3}, 8) == {"a": 2, "b": 3, "c": 3}


def test_more_collectors_than_partitions_leave_some_without() -> None:
    assert shares("abc", {"c": 1}, 2) == {"c": 1, "a": 1, "b": 0}


def test_the_last_partitions_beyond_the_share_are_let_go() -> None:
    assert surplus({7, 1, 4}, 1) == [4, 7]
    assert surplus({7, 1, 4}, 3) == []


@given(NAMES, st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 30)), st.integers(1, 99))
def test_shares_sum_to_all_differ_by_one_and_stay_once_reached(
    members: set[str], held: dict[str, int], partitions: int
) -> None:
    found = shares(members, held, partitions)
    assert set(found) == members
    assert sum(found.values()) == partitions
    assert max(found.values()) - min(found.values()) <= 1
    assert shares(members, found, partitions) == found
