from serve_fakes import index_of, verdict

from agent.serve.ladder import choose, from_policy, is_stale
from feedback.records import CachedRewrite, Rewrite, Rung


def cached(text: str, version: int = 3, seq: int = 0) -> CachedRewrite:
    return CachedRewrite(rewrite=Rewrite(text=text, version=version), neighbours_seq=seq)


def test_a_query_s_own_verified_rewrite_comes_first() -> None:
    index = index_of(verdict("couch", "sofa"), verdict("couchs", "bench"))
    decision = choose(" COUCH ", index, cached("settee"))
    assert (decision.rung, decision.text, decision.source) == (Rung.VERIFIED, "sofa", "verified")


def test_a_query_judged_to_need_nothing_stays_raw_though_others_have_a_rewrite() -> None:
    index = index_of(verdict("couch", ""), verdict("couchs", "bench"))
    decision = choose("couch", index, cached("settee"))
    assert (decision.rung, decision.source, decision.ask_policy) == (Rung.RAW, "raw:silent", False)


def test_what_others_lend_comes_before_the_policy_s_words() -> None:
    decision = choose("leather couch", index_of(), cached("settee"), lent="sofa leather couches")
    assert (decision.rung, decision.text, decision.source) == (
        Rung.NEAREST,
        "sofa leather couches",
        "nearest",
    )
    judged = choose("couch", index_of(verdict("couch", "")), None, lent="bench")
    assert (judged.rung, judged.source) == (Rung.RAW, "raw:silent")


def test_without_a_near_query_the_cached_rewrite_is_the_policy_s() -> None:
    decision = choose("couch", index_of(verdict("garden hose", "pipe")), cached("settee"))
    assert (decision.rung, decision.text, decision.source) == (Rung.POLICY, "settee", "cache")


def test_the_policy_s_silence_is_raw_and_keeps_the_action() -> None:
    decision = choose("couch", index_of(), cached(""))
    assert (decision.rung, decision.source) == (Rung.RAW, "raw:silent")
    assert decision.rewrite == Rewrite(text="", version=3)
    assert not decision.ask_policy


def test_where_nothing_is_known_the_policy_is_asked_with_the_neighbours_as_examples() -> None:
    index = index_of(verdict("red couch", ""), verdict("blue couch cover", "throw"), verdict("hose", "pipe"))
    decision = choose("green couch", index, None, neighbours=2)
    assert decision.ask_policy
    assert [near.verified.query for near in decision.neighbours] == ["red couch", "blue couch cover"]


def test_a_live_rewrite_is_the_policy_s_rung() -> None:
    assert from_policy(Rewrite(text="sofa"), "model").rung is Rung.POLICY
    assert from_policy(Rewrite(text="  "), "model").source == "raw:silent"


def test_a_cached_rewrite_is_stale_after_a_newer_version_or_a_neighbour_s_verdict() -> None:
    index = index_of(verdict("red couch", "sofa", seq=7))
    near = index.nearest("green couch", k=1)
    assert not is_stale(cached("x", version=3, seq=7), near, stable_version=3)
    assert is_stale(cached("x", version=3, seq=7), near, stable_version=4)
    assert is_stale(cached("x", version=3, seq=6), near, stable_version=3)


def test_a_verdict_that_is_not_settled_leaves_the_query_to_the_rungs_below() -> None:
    index = index_of(verdict("couch", "", settled=False))
    decision = choose("couch", index, cached("settee"))
    assert (decision.rung, decision.text, decision.source) == (Rung.POLICY, "settee", "cache")
