"""How long a caller waits for a live rewrite, by a header: also where the body is OpenSearch's. Pure."""

import re

from starlette.datastructures import Headers

from agent.errors import Refused
from agent.serve.schemas import MAX_WAIT_S

DEADLINE_HEADER = "X-Unseen-Deadline-Ms"
MOST_MS = int(1000 * MAX_WAIT_S)
_MS = re.compile(r"[0-9]{1,9}")


def wait_s(headers: Headers, own_s: float | None) -> float | None:
    """Return the caller's deadline: the smallest of the body's and the headers'; None: it names none.

    Raises:
        Refused: a header is no whole number of milliseconds from 1 to `MOST_MS`.
    """
    told_s = [_seconds(value) for value in headers.getlist(DEADLINE_HEADER)]
    return min(told_s if own_s is None else [*told_s, own_s], default=None)


def _seconds(value: str) -> float:
    if not _MS.fullmatch(value) or not 1 <= int(value) <= MOST_MS:
        raise Refused(f"{DEADLINE_HEADER}: must be a whole number of milliseconds from 1 to {MOST_MS}")
    return int(value) / 1000
