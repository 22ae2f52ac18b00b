"""The verdicts' copy in the process."""

import random
import time

import pytest

from feedback.evidence.neighbours import SORTED, VerifiedIndex
from feedback.records import Verified
from feedback.text import similarity, trigrams


def verdict(query: str, text: str = "x", segment: str = "all") -> Verified:
    return Verified(
        query=query,
        segment=segment,
        text=text,
        gain=0.1,
        gain_sd=0.1,
        p_harm=0.01,
        support=3.0,
        fingerprint="f",
        changes=True,
        evidence_seq=1,
        made_at_ms=0,
    )


def index_of(*verdicts: Verified) -> VerifiedIndex:
    index = VerifiedIndex()
    for one in verdicts:
        index.put(f"{one.segment}|{one.query}", one)
    return index


def test_the_nearest_are_ordered_by_trigrams_in_common_and_ties_by_text() -> None:
    index = index_of(verdict("abd"), verdict("abc"), verdict("abcx"), verdict("qqq"))
    near = index.nearest("ABCXY", k=3)
    # "  abcxy  " has 7 trigrams, "  abcx  " 6, 4 in common: 4 / 9; abc: 3 / 9; abd: 2 / 10
    assert [(n.verified.query, round(n.similarity, 3)) for n in near] == [
        ("abcx", 0.444),
        ("abc", 0.333),
        ("abd", 0.2),
    ]
    tied = index_of(verdict("b x"), verdict("b z"), verdict("b y"))
    assert [n.verified.query for n in tied.nearest("b w", k=2)] == ["b x", "b y"]


def test_the_query_itself_a_withdrawn_one_and_another_segment_are_no_neighbours() -> None:
    index = index_of(verdict("sofa"), verdict("sofas"), verdict("sofa1", segment="de"), verdict("sofa2"))
    index.put("all|sofa2", None)
    assert [n.verified.query for n in index.nearest("sofa", k=9)] == ["sofas"]
    assert index.get("Sofa ") is not None
    assert index.get("sofa2") is None
    assert len(index) == 3


def test_similarity_must_be_above_the_least_and_empty_verdicts_can_be_left_out() -> None:
    index = index_of(verdict("abcx", text=""), verdict("abc"))
    assert [n.verified.query for n in index.nearest("abcxy", k=2, min_similarity=0.34)] == ["abcx"]
    assert [n.verified.query for n in index.nearest("abcxy", k=2, with_text=True)] == ["abc"]
    assert index.nearest("zzz", k=2) == []


def test_the_index_finds_what_comparing_with_every_query_finds() -> None:
    rng = random.Random(7)
    queries = {" ".join(rng.choices(["ab", "abc", "bca", "cab", "xy", "yab"], k=3)) for _ in range(80)}
    index = index_of(*map(verdict, sorted(queries)))
    for asked in sorted(queries)[:20]:
        own = trigrams(asked)
        scored = [(-similarity(own, trigrams(q)), q) for q in queries if q != asked]
        brute = [q for s, q in sorted(scored) if s < 0][:5]
        assert [n.verified.query for n in index.nearest(asked, k=5)] == brute


def test_twenty_thousand_queries_are_searched_within_milliseconds() -> None:
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefghijklmnoprstuw", k=rng.randrange(3, 9))) for _ in range(2000)]
    index = index_of(*(verdict(f"{' '.join(rng.choices(words, k=3))} {i}") for i in range(20_000)))
    index.nearest("warm up", k=4)
    asked = [" ".join(rng.choices(words, k=3)) for _ in range(20)]
    for query in asked:
        index.nearest(query, k=4)
    best_s = min(timed(index, query) for query in asked)
    assert best_s == pytest.approx(0.0, abs=0.005)


def timed(index: VerifiedIndex, query: str) -> float:
    began = time.perf_counter()
    index.nearest(query, k=4, min_similarity=0.2)
    return time.perf_counter() - began


def test_of_more_alike_than_are_sorted_at_once_the_nearest_come_first_whoever_counts() -> None:
    draw, index = random.Random(0), VerifiedIndex()
    asked = ["couch " + "".join(draw.choices("abcdef", k=draw.randint(2, 9))) for _ in range(4 * SORTED)]
    for i, query in enumerate(dict.fromkeys(asked)):
        index.put(f"all|{query}", verdict(query, "x" if i % 50 == 0 else ""))
    grams = trigrams("couch abc")
    for with_text in (False, True):
        near = index.nearest("couch abc", k=12, with_text=with_text)
        kept = [q for i, q in enumerate(dict.fromkeys(asked)) if i % 50 == 0 or not with_text]
        ranked = sorted(set(kept) - {"couch abc"}, key=lambda q: (-similarity(grams, trigrams(q)), q))
        assert [n.verified.query for n in near] == ranked[:12]
