"""Click logs: what is used, what is named and left out."""

import gzip
from pathlib import Path

import pytest

from agent.errors import Permanent
from agent.evaluate.clicklog import BadLine, read_clicks

HEADER = "user\tquery\tproduct_id\tquery_time\tclick_time"
EARLY = "u1\tRed  Sofa\tA\t2011-08-11 03:59:04.27\t2011-08-11 04:00:17.021"
LATE = "u2\tlamp\tB\t2011-08-12 00:00:00\t2011-08-12 00:00:05"


def written(folder: Path, *lines: str, name: str = "clicks.tsv") -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_line_becomes_a_click_with_times_in_utc(tmp_path: Path) -> None:
    [click] = read_clicks([written(tmp_path, HEADER, EARLY)]).clicks
    assert (click.client_id, click.user_query, click.query, click.object_id) == (
        "u1",
        "Red  Sofa",
        "red sofa",
        "A",
    )
    assert click.query_at_ms == 1_313_035_144_270
    assert click.click_at_ms - click.query_at_ms == 72_751


def test_packed_or_not_is_told_by_the_content(tmp_path: Path) -> None:
    path = tmp_path / "no-suffix"
    path.write_bytes(gzip.compress(f"{HEADER}\n{EARLY}\n".encode()))
    assert len(read_clicks([path]).clicks) == 1


def test_several_files_are_joined_in_time(tmp_path: Path) -> None:
    second, first = written(tmp_path, HEADER, LATE, name="b"), written(tmp_path, HEADER, EARLY, name="a")
    assert [c.client_id for c in read_clicks([second, first]).clicks] == ["u1", "u2"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("u\tq\tA\t2011-08-11 00:00:00", "4 columns instead of 5"),
        (EARLY + "\tmore", "6 columns instead of 5"),
        ("u\tq\tA\tyesterday\t2011-08-11 00:00:00", "query_time is no time: ISO 8601 is expected"),
        ("u\tq\tA\t2011-08-11 00:00:00\t", "click_time is no time: ISO 8601 is expected"),
        ("u\tq\tA\t2011-08-11 00:00:01\t2011-08-11 00:00:00", "clicked before it was asked"),
        ("u\t \tA\t2011-08-11 00:00:00\t2011-08-11 00:00:00", "user, query or product_id is empty"),
        (EARLY, "repeats an earlier line"),
        (EARLY.replace("Red", "r" * 513), "a query of more than 512 characters"),
        ("", "1 columns instead of 5"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_the_others_count(
    tmp_path: Path, line: str, reason: str
) -> None:
    log = read_clicks([written(tmp_path, HEADER, EARLY, line, LATE)])
    assert log.bad == [BadLine(file="clicks.tsv", line=3, reason=reason)]
    assert [c.client_id for c in log.clicks] == ["u1", "u2"]


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("text", ["john doe, garden street", "2999-01-01", "1900-01-01T00:00:00"])
def test_what_is_said_of_a_bad_line_repeats_nothing_of_it(tmp_path: Path, at: int, text: str) -> None:
    parts = EARLY.split("\t")
    moved = "\t".join([*parts[:at], text, *parts[at:]][:5])
    for bad in read_clicks([written(tmp_path, HEADER, moved, f"{moved}\t{text}", LATE)]).bad:
        assert text not in bad.reason


def test_bytes_that_are_no_text_are_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "clicks.tsv"
    path.write_bytes(f"{EARLY}\n".encode() + b"\xff\xfe\n" + f"{LATE}\n".encode())
    log = read_clicks([path])
    assert (len(log.clicks), [(b.line, b.reason) for b in log.bad]) == (2, [(2, "not UTF-8")])


def test_a_click_on_an_unknown_object_is_kept_and_counted(tmp_path: Path) -> None:
    log = read_clicks([written(tmp_path, HEADER, EARLY, LATE)], known_ids={"A"})
    assert (len(log.clicks), log.unknown_objects, log.bad) == (2, 1, [])


def test_a_log_without_a_usable_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=r"no usable click in clicks\.tsv"):
        read_clicks([written(tmp_path, HEADER, "nonsense")])


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="absent"):
        read_clicks([tmp_path / "absent"])


def test_a_file_that_ends_within_its_packing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{EARLY}\n".encode())[:-6])
    with pytest.raises(Permanent, match=r"cut\.gz cannot be read"):
        read_clicks([path])


def test_a_log_whose_packing_is_damaged_is_named(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"user\tquery\n" * 200))
    packed[10:14] = b"\xff\xff\xff\xff"
    (tmp_path / "clicks.tsv.gz").write_bytes(packed)
    with pytest.raises(Permanent, match=r"clicks\.tsv\.gz cannot be read"):
        read_clicks([tmp_path / "clicks.tsv.gz"])


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    path = tmp_path / "clicks.tsv"
    path.write_text(f"{HEADER}\n{EARLY}\n", encoding="utf-8-sig")
    assert not read_clicks([path]).bad


@pytest.mark.parametrize("year", ["1900", "9999"])
def test_a_time_that_no_shop_logged_is_a_bad_line(tmp_path: Path, year: str) -> None:
    path = tmp_path / "clicks.tsv"
    path.write_text(f"{EARLY}\n" + f"u9\tcouch\tp1\t{year}-01-01 10:00:00\t{year}-01-01 10:00:01\n")
    assert read_clicks([path]).bad[0].reason == "query_time lies before 1990 or in the future"
