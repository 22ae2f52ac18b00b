"""What several gateways or replicas say, as one."""

from feedback.vitals import Vitals, together


def test_what_two_gateways_counted_is_added_and_their_words_stand_side_by_side() -> None:
    one = {"url": "http://shop", "admin_url": "http://a:8001", "searches": "900000", "rung_raw": "3"}
    two = {"url": "http://shop", "admin_url": "http://a:8002", "searches": "600001", "source_cache": "2"}
    assert together([one, two]) == {
        "url": "http://shop",
        "admin_url": "http://a:8001, http://a:8002",
        "searches": "1500001",
        "rung_raw": "3",
        "source_cache": "2",
    }
    assert together([one]) == one
    assert together([]) == {}


def test_a_version_serves_where_the_last_replica_serves_it() -> None:
    ahead, behind = {"version": "10", "canary": "11"}, {"version": "9", "canary": "0"}
    said = Vitals(of={"rewriter": together([ahead, behind])}, each={"rewriter": {"a": ahead, "b": behind}})
    assert (said.number("rewriter", "version"), said.number("rewriter", "canary")) == (9, 0)
    assert {name: one["version"] for name, one in said.each["rewriter"].items()} == {"a": "10", "b": "9"}
    assert together([ahead, {**behind, "version": "10"}])["version"] == "10"


def test_a_number_that_is_none_ends_nothing() -> None:
    assert together([{"loss": "0.25"}, {"loss": "0.5"}]) == {"loss": "0.75"}
    assert together([{"loss": "nan"}, {"loss": "1"}]) == {"loss": "nan"}
