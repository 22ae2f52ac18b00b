"""From a body to its batch: one record, a list, a list under a name, or a line each (NDJSON). Pure.

Guarantees that a line of NDJSON which is no JSON is one bad record among good ones; in JSON it is the whole
body. Anything but NDJSON's content types is read as JSON, ``text/plain`` of a browser's beacon too.
"""

from typing import Any, TypeVar

import msgspec

from agent.serve.ubi.events import Unreadable
from agent.serve.ubi.rules import MAX_EVENTS
from feedback.errors import Permanent

NDJSON = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
)
T = TypeVar("T")
UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeError)
"""What decoding a body may raise."""
NO_BATCH = (*UNREADABLE, Permanent)
"""What `batch_of` may raise."""


def batch_of(body: bytes, content_type: str, *, name: str) -> list[Any]:
    """Return the records of a body; ``name`` is that of the list and of one of them.

    Raises:
        MsgspecError, RecursionError, UnicodeError: the body is no JSON.
        Permanent: it is none of the shapes, or has too many records or none.
    """
    if content_type.partition(";")[0].strip().lower() in NDJSON:
        lines = _few([line for line in body.splitlines() if line.strip()], name)
        return [_line(line) for line in lines]  # each that is none costs an exception
    return _few(_list(msgspec.json.decode(body), name), name)


def _few(found: list[T], name: str) -> list[T]:
    if not 1 <= len(found) <= MAX_EVENTS:
        raise Permanent(_shape(name))
    return found


def _line(line: bytes) -> Any:  # noqa: ANN401 - decoded JSON
    try:
        return msgspec.json.decode(line)
    except UNREADABLE as error:
        return Unreadable(reason=f"line: is no JSON: {error}")


def _list(content: Any, name: str) -> list[Any]:  # noqa: ANN401 - decoded JSON
    if isinstance(content, dict) and name in content:
        unknown = ", ".join(sorted(str(one)[:64] for one in content if one != name))
        if unknown:
            raise Permanent(f"body: unknown fields beside {name}: {unknown}")
        content = content[name]
    elif isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise Permanent(_shape(name))
    return content


def _shape(name: str) -> str:
    return f"body: must be one of {name}, or {name}, a list of 1 to {MAX_EVENTS}, or as many lines of NDJSON"
