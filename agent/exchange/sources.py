"""Rows of the files that data sets come in: CSV, JSON lines (gzip or not), Parquet; told by their content."""

import csv
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import Permanent
from agent.evaluate.files import lines

PARQUET = b"PAR1"
BATCH = 10_000
MOST_CHARS = 10_000_000
"""Of one field."""


def rows_of(path: Path, encoding: str) -> Iterator[Mapping[str, Any] | str]:
    """Yield each row by its columns, or what is wrong with it; raises Permanent for a file that is none."""
    try:
        with path.open("rb") as stream:
            head = stream.read(len(PARQUET))
    except OSError as error:
        raise Permanent(f"{path} cannot be read: {error}") from error
    if head == PARQUET:
        yield from _parquet(path)
        return
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    text = (line.decode(codec, "replace") for line in lines(path, "data set"))
    first = next(text, "")
    if first.lstrip().startswith("{"):
        yield from map(_json, (line for line in (first, *text) if line.strip()))
    else:
        yield from _csv(path, chain((first,), text))


def _json(line: str) -> Mapping[str, Any] | str:
    try:
        content = msgspec.json.decode(line)
    except msgspec.MsgspecError as error:
        return f"no JSON: {error}"
    return content if isinstance(content, dict) else "no JSON object"


def _csv(path: Path, text: Iterator[str]) -> Iterator[Mapping[str, Any] | str]:
    csv.field_size_limit(MOST_CHARS)
    reader = csv.reader(text)
    try:
        columns = next(reader, [])
        for values in reader:
            if not values:
                continue
            yield _row(columns, values)
    except csv.Error as error:
        raise Permanent(f"{path} is no CSV from line {reader.line_num}: {error}") from error


def _row(columns: list[str], values: list[str]) -> Mapping[str, Any] | str:
    if len(values) != len(columns):
        return f"{len(values)} columns instead of {len(columns)}"
    if any("\ufffd" in value for value in values):
        return "not in the file's encoding"
    return dict(zip(columns, values, strict=True))


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        from pyarrow import ArrowException  # noqa: PLC0415 - 0.3 s that only Parquet costs
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ImportError as error:
        raise Permanent(f"{path} is Parquet, which needs pyarrow") from error
    try:
        with ParquetFile(path) as stored:
            for batch in stored.iter_batches(batch_size=BATCH):
                yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise Permanent(f"{path} cannot be read: {error}") from error
