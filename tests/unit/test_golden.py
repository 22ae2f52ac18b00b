"""Records cross releases: this one reads what others wrote, and others read what this one writes."""

from typing import Any

import msgspec
import pytest
from golden import EARLIER, FOLDER, all_records, fields_of, full, kept, least, lines, path_of, without

from feedback.delivery.entries import decode
from feedback.records import Event, Impression, Refinement

RECORDS = list(all_records())
MAPS = [one for one in RECORDS if not one.__struct_config__.array_like]
ARRAYS = [one for one in RECORDS if one.__struct_config__.array_like]
AGAIN = "a record changed: python -m tests.checks.golden --write, and look at the difference"


def holds(read: Any, then: Any) -> bool:  # noqa: ANN401 - of any type
    """Return whether what was read has all that was written."""
    if isinstance(read, msgspec.Struct):
        if isinstance(then, list):
            return all(map(holds, msgspec.structs.astuple(read), then))
        return all(hasattr(read, name) and holds(getattr(read, name), value) for name, value in then.items())
    if isinstance(read, dict):
        return read.keys() == then.keys() and all(holds(read[name], then[name]) for name in read)
    if isinstance(read, tuple):
        return len(read) == len(then) and all(map(holds, read, then))
    return bool(read == then)


@pytest.mark.parametrize("record", RECORDS)
def test_this_release_reads_the_golden_bytes_and_writes_them(record: type[msgspec.Struct]) -> None:
    stored = kept(path_of(record))
    assert [msgspec.json.decode(line, type=record) for line in stored] == [full(record), least(record)], AGAIN
    assert stored == lines(record), AGAIN


def test_no_golden_bytes_are_left_of_a_record_that_is_gone() -> None:
    names = {path.stem for path in FOLDER.glob("*.jsonl")}
    assert names == {record.__name__ for record in RECORDS}
    assert {path.stem for path in EARLIER.glob("*.jsonl")} <= names


@pytest.mark.parametrize("record", RECORDS)
def test_what_earlier_releases_wrote_is_read_with_every_value_that_it_had(
    record: type[msgspec.Struct],
) -> None:
    for line in kept(path_of(record, EARLIER)):
        assert holds(msgspec.json.decode(line, type=record), msgspec.json.decode(line)), line


@pytest.mark.parametrize("record", MAPS)
def test_fields_of_a_later_release_are_passed_over(record: type[msgspec.Struct]) -> None:
    later = msgspec.json.decode(lines(record)[0]) | {"of_a_later_release": {"deep": [1]}}
    assert msgspec.json.decode(msgspec.json.encode(later), type=record) == full(record)


@pytest.mark.parametrize("record", MAPS)
def test_a_field_that_an_earlier_release_did_not_know_has_its_default(record: type[msgspec.Struct]) -> None:
    for field in fields_of(record):
        line = without(lines(record)[0], field.encode_name)
        if field.required:
            with pytest.raises(msgspec.ValidationError, match=f"missing required field `{field.name}`"):
                msgspec.json.decode(line, type=record)
        else:
            read = msgspec.json.decode(line, type=record)
            assert read == msgspec.structs.replace(
                full(record), **{field.name: _default_of(record, field.name)}
            )


@pytest.mark.parametrize("record", ARRAYS)
def test_an_array_takes_more_or_fewer_values_at_its_end(record: type[msgspec.Struct]) -> None:
    whole, short = (msgspec.json.decode(line) for line in lines(record))
    n = sum(field.required for field in fields_of(record)) + (record.__struct_config__.tag is not None)
    assert msgspec.json.decode(msgspec.json.encode([*whole, "later"]), type=record) == full(record)
    assert msgspec.json.decode(msgspec.json.encode(short[:n]), type=record) == least(record)


def test_a_collector_takes_the_golden_bytes_of_its_streams() -> None:
    of: dict[str, type[msgspec.Struct]] = {
        "impressions": Impression,
        "events": Event,
        "refinements": Refinement,
    }
    stored = {kind: [(b"1-0", {b"r": line}) for line in kept(path_of(one))] for kind, one in of.items()}
    read = {kind: (kind, some) for kind, some in stored.items()}
    entries = decode(read, lambda _: None)
    assert entries.dead == []
    batch = entries.batch
    assert [len(some) for some in (batch.impressions, batch.events, batch.refinements)] == [2, 2, 2]


def _default_of(record: type[msgspec.Struct], name: str) -> Any:  # noqa: ANN401 - of any type
    return getattr(least(record), name)
