"""Keys and buckets: who opens, and how much each may send."""

import pytest
from pydantic import SecretStr

from agent.sections import AccessSettings
from agent.serve.access import is_exposed
from agent.serve.buckets import Buckets
from agent.serve.keys import matches

KEY, OLD_KEY = "a-secret-key-of-the-server", "the-key-before-this-one"


def test_a_key_is_the_whole_key() -> None:
    assert matches(KEY, [OLD_KEY, KEY])
    assert not any(
        matches(given, [KEY]) for given in ("", KEY[:-1], f"{KEY} ", KEY.upper(), "\u0430", "\udc80")
    )
    assert not matches("", [])


def test_a_gateway_is_exposed_where_others_reach_it_and_no_key_is_set() -> None:
    open_to_all, keyed = AccessSettings(), AccessSettings(server_keys=(SecretStr(KEY),))
    assert is_exposed(open_to_all, "0.0.0.0")  # noqa: S104
    assert not is_exposed(open_to_all, "127.0.0.1")
    assert not is_exposed(keyed, "0.0.0.0")  # noqa: S104


def test_a_bucket_holds_a_minute_s_worth_and_fills_evenly() -> None:
    now = [0.0]
    buckets = Buckets(3, lambda: now[0])
    assert [buckets.take("n") for _ in range(4)] == [0, 0, 0, 20.0]
    assert buckets.take("m") == 0
    now[0] = 15.0
    assert buckets.take("n") == pytest.approx(5.0)
    now[0] = 20.0
    assert buckets.take("n") == 0
    now[0] = 10_000.0
    assert [buckets.take("n") for _ in range(4)] == [0, 0, 0, 20.0]


def test_what_is_owed_comes_in_before_anything_is_taken() -> None:
    now_s = [0.0]
    buckets = Buckets(60, lambda: now_s[0])  # one a second
    assert buckets.take("a") == 0  # 59 are left
    buckets.owe("a", 61)  # -2
    assert buckets.take("a") == pytest.approx(3.0)
    assert buckets.take("b") == 0
    now_s[0] = 3.0
    assert buckets.take("a") == 0


def test_no_more_is_owed_than_comes_in_within_a_minute() -> None:
    now_s = [0.0]
    buckets = Buckets(60, lambda: now_s[0])  # one a second
    for _ in range(8):  # batches that came at once
        buckets.owe("a", 500)
    assert buckets.take("a") == pytest.approx(61.0)  # -60, and one to be taken
    now_s[0] = 61.0
    assert buckets.take("a") == 0


def test_buckets_are_bounded_and_the_one_seen_longest_ago_gives_way() -> None:
    buckets = Buckets(1, lambda: 0.0, most_names=2)
    assert [buckets.take(name) for name in ("a", "b", "a", "c")] == [0, 0, 60.0, 0]
    assert len(buckets) == 2
    assert buckets.take("a") == 60.0  # it stayed: b had been seen longer ago
    assert buckets.take("b") == 0
