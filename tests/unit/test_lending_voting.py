from msgspec import structs
from serve_fakes import index_of, verdict

from agent.lending.voting import agreed
from feedback.records import Verified


def test_judged_queries_around_agree_on_the_words_that_enough_of_them_add() -> None:
    red, blue, old = (verdict(f"{colour} couch", "sofa bed") for colour in ("red", "blue", "old"))
    alone = verdict("blue couch", "sofa")
    against = [verdict(f"green couch {n}", "") for n in ("one", "two")]

    def said(*judged: Verified, query: str = "green couch") -> str:
        return agreed(index_of(*judged).nearest(query, k=8), query)

    assert said() == ""
    assert said(red) == "bed sofa"
    assert said(red, alone, verdict("old couch", "sofa")) == "sofa"  # one of three is not enough for bed
    assert said(red, blue, verdict("old couch", "sofa")) == "sofa bed"
    assert said(red, *against) == ""  # nor is one far voice against two near ones
    assert said(red, blue, old, query="sofa couch") == "bed"
    unsure = [structs.replace(one, p_harm=0.99) for one in (red, blue, old)]
    assert said(*unsure, against[0]) == ""
    assert said(structs.replace(red, p_harm=1.0)) == ""  # no voice counts
