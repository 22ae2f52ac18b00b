from msgspec import structs
from serve_fakes import index_of, verdict

from agent.sections import ServeSettings
from agent.serve.ladder import choose, from_policy, is_stale
from feedback.records import CachedRewrite, Rewrite, Rung, Verified

SETTINGS = ServeSettings(nearest_similarity=0.6)


def cached(text: str, version: int = 3, seq: int = 0) -> CachedRewrite:
    return CachedRewrite(rewrite=Rewrite(text=text, version=version), neighbours_seq=seq)


def test_a_query_s_own_verified_rewrite_comes_first() -> None:
    index = index_of(verdict("couch", "sofa"), verdict("couchs", "bench"))
    decision = choose(" COUCH ", index, cached("settee"), SETTINGS)
    assert (decision.rung, decision.text, decision.source) == (Rung.VERIFIED, "sofa", "verified")


def test_a_query_judged_to_need_nothing_stays_raw_though_others_have_a_rewrite() -> None:
    index = index_of(verdict("couch", ""), verdict("couchs", "bench"))
    decision = choose("couch", index, cached("settee"), SETTINGS)
    assert (decision.rung, decision.source, decision.ask_policy) == (Rung.RAW, "raw:silent", False)


def test_the_nearest_asked_query_lends_its_words_and_its_rewrite_from_the_similarity_on() -> None:
    # "leather couch" has 16 padded trigrams, "leather couches" 18; 13 in common of 21: .62
    index = index_of(verdict("leather couches", "sofa"))
    decision = choose("leather couch", index, cached("settee"), SETTINGS)
    assert (decision.rung, decision.text, decision.source) == (
        Rung.NEAREST,
        "sofa leather couches",
        "nearest",
    )
    assert choose("leather couch", index, None, ServeSettings(nearest_similarity=0.7)).ask_policy


def test_judged_queries_around_lend_the_words_on_which_they_agree() -> None:
    lending = ServeSettings(nearest_similarity=1.0, lent_similarity=0.1)
    red, blue, old = (verdict(f"{colour} couch", "sofa bed") for colour in ("red", "blue", "old"))
    alone = verdict("blue couch", "sofa")
    against = [verdict(f"green couch {n}", "") for n in ("one", "two")]

    def said(*judged: Verified, query: str = "green couch") -> str:
        return choose(query, index_of(*judged), None, lending).text

    assert said(red) == "bed sofa"
    assert said(red, alone, verdict("old couch", "sofa")) == "sofa"  # one of three is not enough for bed
    assert said(red, blue, verdict("old couch", "sofa")) == "sofa bed"
    assert said(red, *against) == ""  # nor is one far voice against two near ones
    assert said(red, blue, old, query="sofa couch") == "bed"
    unsure = [structs.replace(one, p_harm=0.99) for one in (red, blue, old)]
    assert said(*unsure, against[0]) == ""
    assert said(structs.replace(red, p_harm=1.0)) == ""  # no voice counts


def test_a_query_further_off_lends_its_rewrite_alone() -> None:
    index = index_of(verdict("leather couches", "sofa"))
    far = ServeSettings(nearest_similarity=0.7, lent_similarity=0.5)
    assert choose("leather couch", index, None, far).text == "sofa"
    assert choose("leather couch", index_of(verdict("leather couches", "")), None, far).ask_policy


def test_without_a_near_query_the_cached_rewrite_is_the_policy_s() -> None:
    decision = choose("couch", index_of(verdict("garden hose", "pipe")), cached("settee"), SETTINGS)
    assert (decision.rung, decision.text, decision.source) == (Rung.POLICY, "settee", "cache")


def test_the_policy_s_silence_is_raw_and_keeps_the_action() -> None:
    decision = choose("couch", index_of(), cached(""), SETTINGS)
    assert (decision.rung, decision.source) == (Rung.RAW, "raw:silent")
    assert decision.rewrite == Rewrite(text="", version=3)
    assert not decision.ask_policy


def test_where_nothing_is_known_the_policy_is_asked_with_the_neighbours_as_examples() -> None:
    index = index_of(verdict("red couch", ""), verdict("blue couch cover", "throw"), verdict("hose", "pipe"))
    decision = choose("green couch", index, None, SETTINGS, neighbours=2)
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
    decision = choose("couch", index, cached("settee"), SETTINGS)
    assert (decision.rung, decision.text, decision.source) == (Rung.POLICY, "settee", "cache")
