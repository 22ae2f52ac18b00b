import msgspec

from agent.verify.admission import admit
from agent.verify.standing import Standing, Standings, due
from feedback.records import Verified


def test_as_many_claims_as_keep_the_mean_chance_of_harm_within_the_limit() -> None:
    assert admit({"a": 0.0, "b": 0.0, "c": 0.06}, set(), 0.02) == {"a", "b", "c"}
    assert admit({"a": 0.0, "c": 0.06}, set(), 0.02) == {"a"}
    assert admit({"c": 0.03}, set(), 0.02) == set()
    assert admit({}, set(), 0.02) == set()


def test_a_served_claim_stays_until_twice_the_limit() -> None:
    assert admit({"a": 0.0, "c": 0.06}, {"c"}, 0.02) == {"a", "c"}
    assert admit({"a": 0.0, "c": 0.09}, {"c"}, 0.02) == {"a"}


def verdict(query: str, **changes: object) -> Verified:
    plain = Verified(
        query=query,
        text="sofa",
        gain=0.5,
        gain_sd=0.1,
        p_harm=0.0,
        support=3.0,
        fingerprint="f",
        changes=True,
        evidence_seq=1,
        made_at_ms=0,
    )
    return msgspec.structs.replace(plain, **changes)


def standing(best: Verified, at_ms: int = 0) -> Standing:
    return Standing(best=best, amount=best.support, judged_at_ms=at_ms)


def applied(standings: Standings, judged: list[str]) -> tuple[list[Verified], list[str]]:
    verdicts, withdrawn = standings.changes(judged, 0.02)
    standings.written([(f"all|{v.query}", v) for v in verdicts], withdrawn)
    return verdicts, withdrawn


def test_evidence_is_judged_again_once_it_moved_by_a_tenth() -> None:
    old = standing(verdict("a", support=10.0))
    assert due(None, 0.0, growth=0.1)
    assert not due(old, 10.9, growth=0.1)
    assert due(old, 11.0, growth=0.1)
    assert due(old, 9.0, growth=0.1)


def test_a_claim_is_written_and_a_refused_one_says_that_nothing_is_to_be_added() -> None:
    standings = Standings()
    standings.put("all|a", standing(verdict("a")))
    standings.put("all|b", standing(verdict("b", p_harm=0.4)))
    standings.put("all|c", standing(verdict("c", text="", support=1.9)))
    verdicts, withdrawn = applied(standings, ["all|a", "all|b", "all|c"])
    assert [(v.query, v.text) for v in verdicts] == [("a", "sofa"), ("b", "")]
    assert (verdicts[1].p_harm, verdicts[1].changes, withdrawn) == (0.0, False, [])
    assert standings.serving == 1
    assert applied(standings, []) == ([], [])


def test_a_claim_that_became_unsure_goes_back_to_raw_and_a_thin_one_is_withdrawn() -> None:
    standings = Standings()
    for name, support in (("a", 5.0), ("b", 1.0)):
        standings.put(f"all|{name}", standing(verdict(name, support=support)))
    applied(standings, ["all|a", "all|b"])
    for name, support in (("a", 5.0), ("b", 1.0)):
        standings.put(f"all|{name}", standing(verdict(name, support=support, p_harm=0.3)))
    verdicts, withdrawn = applied(standings, ["all|a", "all|b"])
    assert [(v.query, v.text) for v in verdicts] == [("a", "")]
    assert withdrawn == ["all|b"]
    assert standings.serving == 0


def test_one_claim_can_make_room_for_another_that_was_not_judged_again() -> None:
    standings = Standings()
    standings.put("all|edge", standing(verdict("edge", p_harm=0.03)))
    assert applied(standings, ["all|edge"])[0][0].text == ""
    standings.put("all|sure", standing(verdict("sure")))
    verdicts, _ = applied(standings, ["all|sure"])
    assert sorted((v.query, v.text) for v in verdicts) == [("edge", "sofa"), ("sure", "sofa")]


def test_the_longest_unchecked_queries_come_first_and_served_ones_sooner() -> None:
    standings = Standings()
    for name, at_ms in (("a", 30), ("b", 10), ("c", 20), ("d", 5)):
        text = "" if name == "d" else "sofa"
        standings.put(f"all|{name}", standing(verdict(name, text=text), at_ms))
    applied(standings, ["all|a", "all|b", "all|c", "all|d"])
    assert standings.stalest(30, 0, limit=10) == ["all|b", "all|c"]
    assert standings.stalest(99, 0, limit=1) == ["all|b"]
    assert standings.stalest(11, 6, limit=10) == ["all|d", "all|b"]  # nothing to add to d: its own time


def test_a_new_verifier_starts_from_what_stands_and_judges_it_again() -> None:
    standings = Standings()
    standings.restore({"all|a": verdict("a")})
    assert standings.serving == 1
    assert due(standings.get("all|a"), 3.0, growth=0.1)
    assert standings.changes([], 0.02) == ([], [])


def test_what_is_wanted_is_told_before_anything_can_be_said_about_a_rewrite() -> None:
    standings = Standings()
    standings.put("all|a", standing(verdict("a", text="", support=1.0, wanted=(("d", 0.9),))))
    standings.put("all|b", standing(verdict("b", text="", support=1.0)))
    (told,), withdrawn = applied(standings, ["all|a", "all|b"])
    assert (told.query, told.settled, told.wanted, withdrawn) == ("a", False, (("d", 0.9),), [])


def test_what_nobody_can_search_any_more_is_withdrawn_once_and_gives_way() -> None:
    standings = Standings()
    standings.put("sale|couch", standing(verdict("couch", segment="sale")))
    standings.put("all|couch", standing(verdict("couch"), at_ms=5))
    standings.written([("sale|couch", verdict("couch", segment="sale"))], [])
    standings.withdraw("sale|couch", 100)
    standings.withdraw("sale|unknown", 100)
    assert standings.changes([], 0.5)[1] == ["sale|couch"]
    standings.written([], ["sale|couch"])
    assert standings.stalest(50, 50, 9) == ["all|couch"]
    assert standings.changes([], 0.5)[1] == []
