"""What is pure in forgetting a client: whose a record is, what a sum becomes, which versions were taught."""

import msgspec
import pytest
from made_versions import MANIFEST

from feedback.delivery.stream_reading import arrival
from feedback.erasing import goes_back_to, taught
from feedback.erasing.finishing import merged
from feedback.erasing.refold import as_stored, refolded
from feedback.erasing.who import Who
from feedback.text import digest
from feedback.version_records import Manifest, Window


def manifest(version: int, *, made_at_ms: int = 0, of: int = 0, last: str = "", steps: int = 0) -> Manifest:
    return msgspec.structs.replace(
        MANIFEST,
        version=version,
        parent=version - 1,
        of=of,
        made_at_ms=made_at_ms,
        steps=steps,
        window={"0": Window(last=last)} if last else {},
    )


def numbers(found: list[Manifest]) -> list[int]:
    return [one.version for one in found]


def test_what_the_others_did_is_left_and_what_nobody_else_did_goes() -> None:
    assert refolded({"0|c|A": 5.0, "0|c|B": 2.0}, {"0|c|A": 3.0, "0|c|B": 2.0}, {"0|c|A": 2.0}) == {
        "0|c|A": 2.0,
        "0|c|B": 0.0,
    }


def test_a_rounding_error_keeps_no_field() -> None:
    assert refolded({"x": 0.1 + 0.2}, {"x": 0.3}, {}) == {"x": 0.0}
    assert refolded({"x": 1e-17}, {"x": 1e-20}, {}) == {"x": 0.0}


def test_what_a_sum_holds_beyond_the_ledger_is_older_and_stays() -> None:
    assert refolded({"0h|couch": 6.0}, {"0h|couch": 1.0}, {"0h|couch": 2.0}) == {"0h|couch": 5.0}


def test_examinations_of_another_curve_are_no_older_ones() -> None:
    client, others = {"0|i|A": 1.0, "0|e|A": 0.5, "0|t|A": 0.1}, {"0|i|A": 1.0, "0|e|A": 0.5}
    stored = {"0|i|A": 2.0, "0|e|A": 1.9, "0|t|A": 0.4}  # counted when the rank was thought better of
    assert refolded(stored, client, others) == {"0|i|A": 1.0, "0|e|A": 0.5, "0|t|A": 0.0}


def test_older_examinations_are_at_most_the_older_showings() -> None:
    stored = {"0|i|A": 2.5, "0|e|A": 2.4}
    assert refolded(stored, {"0|i|A": 1.0, "0|e|A": 0.5}, {"0|i|A": 1.0, "0|e|A": 0.5}) == {
        "0|i|A": 1.5,
        "0|e|A": 1.0,
    }


def test_a_sum_below_what_its_rows_say_becomes_what_the_others_rows_say() -> None:
    assert refolded({}, {"0|c|A": 1.0}, {"0|c|A": 2.0}) == {"0|c|A": 2.0}  # pruned: it was the lightest


@pytest.mark.parametrize(("value", "stored"), [(3.0, "3"), (0.25, "0.25"), (1e300, "1e+300")])
def test_counters_are_stored_as_whole_numbers(value: float, stored: str) -> None:
    assert as_stored(value) == stored


def test_a_record_is_the_clients_by_its_id_or_digest_alone() -> None:
    who = Who("ann")
    assert who.owns(b'{"client_id":"ann","query_id":"00-1"}') is not None
    assert who.owns(msgspec.json.encode({"client": digest("ann"), "event_id": "e"})) is not None
    assert who.owns(b'{"client_id":"anna"}') is None
    assert who.owns(b'{"client_id":"bob","user_query":"ann"}') is None


def test_what_cannot_be_read_is_the_clients_where_its_id_stands_as_a_word() -> None:
    who = Who('a"\u00e9')
    assert who.owns(b'{"client_id": "a\\"\xc3\xa9", broken') is not None
    assert who.owns(b'{"client_id": "a\\"\\u00e9", broken') is not None
    assert Who("7").owns(b"17, 71 and x7") is None
    assert Who("7").owns(b"order-7_x") is not None


def test_a_version_is_taught_if_its_window_ends_with_the_first_row_or_later() -> None:
    first = {"0": "100-3"}
    versions = [manifest(1, last="100-2"), manifest(2, last="100-3"), manifest(3, last="99-9")]
    assert numbers(taught(versions, first)) == [2]
    assert taught(versions, {"1": "100-3"}) == []  # of another partition's rows


def test_a_version_without_a_window_is_taught_if_it_was_made_afterwards() -> None:
    versions = [manifest(1, made_at_ms=99), manifest(2, made_at_ms=100)]
    assert numbers(taught(versions, {"0": "100-0", "1": "200-0"})) == [2]
    assert taught(versions, {}) == []


def test_an_older_version_under_a_new_number_is_as_taught_as_the_older_one() -> None:
    versions = [manifest(1, made_at_ms=50), manifest(2, made_at_ms=150), manifest(3, made_at_ms=200, of=1)]
    assert numbers(taught(versions, {"0": "100-0"})) == [2]
    assert numbers(taught([manifest(3, made_at_ms=200, of=1)], {"0": "100-0"})) == [3]  # not known: it may be


def test_learning_begins_again_at_the_newest_version_without_the_client() -> None:
    versions = [
        manifest(1, made_at_ms=50, steps=10),
        manifest(2, made_at_ms=60, steps=15),
        manifest(3, made_at_ms=150, steps=40),
        manifest(4, made_at_ms=200, of=1, steps=10),
    ]
    assert goes_back_to(versions, {"0": "100-0"}) == (versions[1], 25)
    assert goes_back_to(versions, {"0": "10-0"}) == (None, 40)


def test_the_earlier_row_of_each_partition_counts() -> None:
    assert merged({"0": "9-1", "1": "5-0"}, {"0": "10-0", "2": "7-0"}) == {"0": "9-1", "1": "5-0", "2": "7-0"}
    assert arrival("9-1") < arrival("10-0")
