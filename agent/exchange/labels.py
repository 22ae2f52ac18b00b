"""Labelled public data sets in their own files, made into ours: ``products.jsonl`` and ``judgments.tsv``.

Guarantees that a row that cannot be used is named by file, row and reason while the others count, that a run
that was killed goes on where it was (the place lies beside the output, in ``.import.json``), and that what it
wrote is whole: rows after the place are cut off and written again.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import Permanent
from agent.evaluate.clicklog import BadLine
from agent.evaluate.judgments import COLUMNS
from agent.exchange.sources import rows_of
from agent.retrieval.lines import MAX_ID_BYTES
from feedback.text import MAX_QUERY_CHARS, bucket, is_too_long, normalise

PRODUCTS, JUDGMENTS = "products.jsonl", "judgments.tsv"
PLACE = ".import.json"
EVERY = 10_000
"""Rows between two notes of the place."""
MOST_NAMED = 100
DEV_SHARE = 10
"""One query in so many is kept for judging, where a data set has no split of its own."""
Row = Mapping[str, Any]
Convert = Callable[[Row], bytes | None]
"""Returns the line to write, or None where there is nothing new in it; raises ValueError."""


class Place(msgspec.Struct, kw_only=True):
    """How far a run came."""

    source: str
    """The data set, its files and options: another one is no continuation."""
    step: int = 0
    rows: int = 0
    """Of the step's file that were read."""
    sizes: dict[str, int] = {}
    """Of the files that are written, in bytes."""
    counts: dict[str, int] = {}
    """Lines written, by file, and ``bad``."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One reading of one file."""

    path: Path
    encoding: str = "utf-8"
    target: str
    convert: Convert


@dataclass(kw_only=True)
class Imported:
    """What became of a data set."""

    products: int = 0
    judgments: int = 0
    bad: int = 0
    named: list[BadLine] = field(default_factory=list)
    """The first of those that were left out in this run."""
    resumed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def import_labels(
    steps: Sequence[Step],
    source: str,
    out: Path,
    *,
    progress: Callable[[str, int], None] = lambda *_: None,
) -> Imported:
    """Write the two files into a folder, going on where an earlier run of the same source ended.

    Raises:
        Permanent: a file cannot be read or written, or the folder holds another source's import.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        place = _begin(out, source)
        found = Imported(resumed=bool(place.step or place.rows))
        for number in range(place.step, len(steps)):
            _run(steps[number], number, place, found, (out, progress))
    except OSError as error:
        raise Permanent(f"{out} cannot be written: {error}") from error
    found.products, found.judgments = place.counts.get(PRODUCTS, 0), place.counts.get(JUDGMENTS, 0)
    found.bad = place.counts.get("bad", 0)
    return found


def _begin(out: Path, source: str) -> Place:
    path = out / PLACE
    if not path.exists():
        if taken := [name for name in (PRODUCTS, JUDGMENTS) if (out / name).exists()]:
            raise Permanent(f"{out / taken[0]} is there already; take another folder")
        (out / JUDGMENTS).write_bytes(b"\t".join(name.encode() for name in COLUMNS) + b"\n")
        (out / PRODUCTS).touch()
        place = Place(source=source)
        _note(out, place)
        return place
    try:
        place = msgspec.json.decode(path.read_bytes(), type=Place)
    except msgspec.MsgspecError as error:
        raise Permanent(f"{path} cannot be read: {error}") from error
    if place.source != source:
        raise Permanent(f"{out} holds an import of other files; take another folder")
    for name, size in place.sizes.items():
        os.truncate(out / name, size)
    return place


def _run(
    step: Step, number: int, place: Place, found: Imported, told: tuple[Path, Callable[[str, int], None]]
) -> None:
    out, progress = told
    done = place.rows
    with (out / step.target).open("ab") as stream:
        for row_no, row in enumerate(rows_of(step.path, step.encoding), start=1):
            line = _converted(step, row, row_no, found, count=row_no > done)
            if row_no <= done:
                continue
            if isinstance(line, bytes):
                stream.write(line)
            key = step.target if line else "bad" if line is None else ""
            if key:
                place.counts[key] = place.counts.get(key, 0) + 1
            place.rows = row_no
            if row_no % EVERY == 0:
                _flush(stream.fileno(), stream.flush)
                _note(out, place)
                progress(step.path.name, row_no)
        _flush(stream.fileno(), stream.flush)
    place.step, place.rows = number + 1, 0
    _note(out, place)


def _converted(step: Step, row: Row | str, row_no: int, found: Imported, *, count: bool) -> bytes | None:
    """Return the line of a row: empty where it says nothing new, None where it cannot be used."""
    try:
        if isinstance(row, str):
            raise ValueError(row)  # noqa: TRY004, TRY301 - the row's own fault
        return step.convert(row) or b""
    except ValueError as error:
        if count and len(found.named) < MOST_NAMED:
            found.named.append(BadLine(file=step.path.name, line=row_no, reason=str(error)))
        return None


def _flush(descriptor: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(descriptor)


def _note(out: Path, place: Place) -> None:
    """Write the place: after what it stands for, whole or not at all."""
    place.sizes = {name: (out / name).stat().st_size for name in (PRODUCTS, JUDGMENTS)}
    temporary = out / f"{PLACE}.tmp"
    temporary.write_bytes(msgspec.json.encode(place))
    temporary.replace(out / PLACE)


class Products:
    """Makes a product's line of a row, each product once."""

    def __init__(self, read: Callable[[Row], dict[str, str]]) -> None:
        self._read = read
        self._seen: set[str] = set()

    def __call__(self, row: Row) -> bytes | None:
        """Return the line; None for a product that was seen."""
        fields = self._read(row)
        object_id = fields["product_id"]
        if not object_id or len(object_id.encode()) > MAX_ID_BYTES:
            raise ValueError("the product's id is empty or too long")
        if object_id in self._seen:
            return None
        self._seen.add(object_id)
        kept = {name: value for name, value in fields.items() if value}
        return json.dumps(kept, ensure_ascii=False).encode() + b"\n"


class Judgments:
    """Makes a judgment's line of a row."""

    def __init__(self, read: Callable[[Row], tuple[str, str, str, float] | None]) -> None:
        self._read = read

    def __call__(self, row: Row) -> bytes | None:
        """Return the line; None where the row is of no concern."""
        judged = self._read(row)
        if judged is None:
            return None
        split, user_query, object_id, relevance = judged
        query = " ".join(user_query.split())
        if not (normalise(query) and object_id):
            raise ValueError("query or product is empty")
        if is_too_long(query):
            raise ValueError(f"a query of more than {MAX_QUERY_CHARS} characters")
        if any(mark in object_id for mark in "\t\r\n"):
            raise ValueError("a product's id with a tab or a line's end")
        own = split or split_of(query)
        return f"{own}\t{query}\t{object_id}\t{relevance:g}\n".encode()


def split_of(query: str) -> str:
    """Return ``train`` or ``dev``, the same for all rows of a query."""
    return "train" if bucket(normalise(query), DEV_SHARE, salt="split") else "dev"


def text_of(row: Row, *names: str) -> str:
    """Return the first of these columns that is not empty; raises ValueError where none is a column."""
    if not any(name in row for name in names):
        raise ValueError(f"no column {names[0]}")
    values: Iterable[Any] = (row.get(name) for name in names)
    return next((str(one).strip() for one in values if one not in (None, "")), "")


def joined(row: Row, names: Sequence[str]) -> str:
    """Return the texts of these columns, one after the other."""
    texts: Iterator[str] = (str(row[name]).strip() for name in names if row.get(name))
    return " ".join(texts)
