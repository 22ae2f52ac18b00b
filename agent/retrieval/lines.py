"""From a catalogue's lines to documents; pure. Every line that is none is named, and the others go on."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.retrieval.results import Rejected

ID_FIELDS = ("product_id", "object_id", "id")
"""Where a line's id is looked for, in this order."""
MAX_ID_BYTES = 512
"""OpenSearch's bound on `_id`."""

Line = str | bytes | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Document:
    """One object of the catalogue, ready to be indexed."""

    line_no: int
    object_id: str
    fields: dict[str, Any]


def documents(lines: Iterable[Line]) -> Iterator[Document | Rejected]:
    """Yield a document or a rejection for each line that is not blank; line numbers from 1."""
    first_line: dict[str, int] = {}
    for line_no, line in enumerate(lines, start=1):
        if isinstance(line, str | bytes) and not line.strip():
            continue
        read = _read(line_no, line)
        if isinstance(read, Document):
            known = first_line.setdefault(read.object_id, line_no)
            if known != line_no:
                reason = f"repeats the id of line {known}"
                read = Rejected(line_no=line_no, object_id=read.object_id, reason=reason)
        yield read


def _read(line_no: int, line: Line) -> Document | Rejected:
    try:
        fields = dict(line) if isinstance(line, Mapping) else _object(line)
        object_id = _id(fields)
        _check(fields)
    except (ValueError, RecursionError) as error:
        return Rejected(line_no=line_no, object_id="", reason=str(error))
    return Document(line_no=line_no, object_id=object_id, fields={**fields, "object_id": object_id})


def _object(line: str | bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - the line is wrong, not the program
    return value


def _id(fields: dict[str, Any]) -> str:
    for name in ID_FIELDS:
        value = fields.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            text = str(value)
            if len(text.encode(errors="replace")) > MAX_ID_BYTES:
                raise ValueError(f"its id is longer than {MAX_ID_BYTES} bytes")
            return text
    raise ValueError(f"no id under {', '.join(ID_FIELDS)}")


def _check(fields: dict[str, Any]) -> None:
    """Raise ValueError for what would spoil the request it travels in: NaN, lone surrogates, other types."""
    try:
        json.dumps(fields, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"cannot be written as JSON: {error}") from error
