"""What a session asked before a search, of what the collector keeps of it."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from feedback.collecting.rows import taken_back
from feedback.collecting.sessions import SessionEntry, Timed
from feedback.evidence.decay import Decay
from feedback.evidence.ledger import Increments, LedgerRow
from feedback.examination.ranks import prior_of
from feedback.history import NO_HISTORY, after_no_click, history_digest, history_of
from feedback.keys import Keys
from feedback.records import Arm, Earlier, History
from feedback.settings import FeedbackSettings

NOW_MS = 1_700_000_000_000
SETTINGS = FeedbackSettings(reformulation_window_s=300, typing_s=2)


def asked(query: str, ago_s: float, segment: str = "all") -> Timed:
    entry = SessionEntry("q", segment, query, Arm.STABLE, unshaped=True, query_id=f"{query}-{ago_s}")
    return entry, round(NOW_MS - ago_s * 1000)


def clicked(query: str, ago_s: float) -> Timed:
    entry = SessionEntry("c", "all", query, Arm.STABLE, unshaped=True, object_id="secret", shown=("secret",))
    return entry, round(NOW_MS - ago_s * 1000)


def before(*entries: Timed, query: str = "settee", most: int = 3) -> History:
    return history_of(entries, query, NOW_MS, segment="all", most=most, settings=SETTINGS)


def test_earlier_queries_stand_oldest_first_with_whether_they_got_a_click() -> None:
    found = before(asked("couch", 20), clicked("couch", 18), asked("lounge", 10))
    assert found == (Earlier("couch", clicked=True), Earlier("lounge", clicked=False))


def test_the_newest_few_are_taken_and_the_query_itself_is_none_of_them() -> None:
    entries = [asked(name, ago) for name, ago in (("a", 40), ("b", 30), ("settee", 20), ("c", 10), ("a", 5))]
    assert before(*entries, most=2) == (Earlier("c"), Earlier("a"))
    assert before(*entries, most=0) == ()


def test_what_is_too_old_or_of_another_segment_is_another_wish() -> None:
    assert before(asked("couch", 301), asked("lamp", 10, segment="garden"), asked("sofa", 300)) == (
        Earlier("sofa"),
    )


def test_typing_is_no_earlier_query_but_a_refinement_is() -> None:
    typing = asked("set", 1), asked("sett", 0.5)
    assert before(*typing) == ()
    assert before(asked("cou", 11), asked("couch", 10)) == (Earlier("couch"),)
    assert before(asked("set", 3)) == (
        Earlier("set"),
    )  # followed by its extension after more than typing takes


def test_an_empty_history_changes_no_key() -> None:
    keys = Keys()
    plain = keys.rewrite("couch", template="default", segment="all")
    assert history_digest(()) == NO_HISTORY
    assert keys.rewrite("couch", template="default", segment="all", history=history_digest(())) == plain


HISTORIES = st.lists(st.builds(Earlier, st.text("ab 01", max_size=3), st.booleans()), max_size=3)


@given(HISTORIES, HISTORIES)
def test_different_histories_have_different_digests(one: list[Earlier], other: list[Earlier]) -> None:
    assert (history_digest(tuple(one)) == history_digest(tuple(other))) == (one == other)


def test_a_query_asked_in_vain_stands_last_and_once() -> None:
    history = (Earlier("couch", clicked=True), Earlier("sofa"))
    assert after_no_click(history, "couch") == (Earlier("sofa"), Earlier("couch", clicked=False))


def test_a_page_that_is_taken_back_takes_its_history_out_of_the_evidence() -> None:
    keys = Keys(partitions=1)
    page = LedgerRow(
        kind="page",
        client="c",
        fold=1,
        segment="all",
        query="settee",
        arm=Arm.STABLE,
        at_ms=NOW_MS,
        object_ids=("A",),
        history=(Earlier("couch"),),
    )
    added = Increments(
        keys=keys,
        settings=SETTINGS,
        partition=0,
        decay=Decay(landmark_ms=NOW_MS, half_life_s=86_400),
        curve=prior_of(SETTINGS),
    )
    told = added.hashes[keys.preceded("settee")]
    added.add(page)
    assert told == {'1s|[["couch",false]]': 1.0}
    added.add(taken_back(page))
    assert told == {'1s|[["couch",false]]': 0.0}
    added.add(msgspec.structs.replace(page, again=("A",)))  # counted before on its day
    assert told == {'1s|[["couch",false]]': 0.0}
