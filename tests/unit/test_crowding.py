"""Which queries enough clients have asked, worked out by hand."""

from feedback.collecting.crowding import Crowds, asked
from feedback.evidence.ledger import LedgerRow
from feedback.records import Action, Arm


def row(client: str, query: str, **more: object) -> LedgerRow:
    given = {"kind": "page", "fold": 0, "segment": "all", "arm": Arm.STABLE, "at_ms": 0} | more
    return LedgerRow(client=client, query=query, **given)  # type: ignore[arg-type]


def test_pages_and_clicks_of_a_played_log_ask_and_clicks_on_pages_and_refinements_do_not() -> None:
    rows = [
        row("aaaaaaaa11", "couch"),
        row("aaaaaaaa11", "couch"),
        row("bbbbbbbb11", "couch", kind="action", action=Action.CLICK, rank=1),
        row("cccccccc11", "couch", kind="refinement"),
        row("dddddddd11", "sofa", kind="action", action=Action.CLICK, rank=0),
    ]
    assert asked(rows) == {"all|couch": {"aaaaaaaa"}, "all|sofa": {"dddddddd"}}


def test_the_smallest_are_kept_whatever_the_order() -> None:
    one = Crowds(k=2, before={"all|couch": {"cccccccc"}}, added={"all|couch": {"aaaaaaaa", "bbbbbbbb"}})
    other = Crowds(k=2, before={"all|couch": {"aaaaaaaa", "bbbbbbbb"}}, added={"all|couch": {"cccccccc"}})
    assert one.changed() == {"all|couch": "aaaaaaaabbbbbbbb"}
    assert other.changed() == {}  # as it was


def test_a_query_is_told_of_from_the_kth_client_on_and_then_even_without_new_evidence() -> None:
    first = Crowds(k=2, added={"all|couch": {"aaaaaaaa"}})
    second = Crowds(k=2, before={"all|couch": {"aaaaaaaa"}}, added={"all|couch": {"bbbbbbbb"}})
    same = Crowds(k=2, before={"all|couch": {"aaaaaaaa"}}, added={"all|couch": {"aaaaaaaa"}})
    assert first.visible(["all|couch"]) == {}
    assert second.visible([]) == {"all|couch": None}
    assert same.visible(["all|couch"]) == {}


def test_where_one_client_is_enough_nothing_is_stored_and_everything_told() -> None:
    crowds = Crowds(k=1, added={"all|couch": {"aaaaaaaa"}})
    assert crowds.changed() == {}
    assert crowds.visible(["all|sofa"]) == {"all|sofa": None}
