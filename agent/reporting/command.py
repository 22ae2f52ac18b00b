"""The command that made a report, as it can be typed again, without what is secret in it."""

import re
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from feedback.clock import wall_clock

_USERINFO = re.compile(r"(?<=://)[^\s?]*@")
"""Up to the last @: a password may hold one, a slash or a colon, and each host of a list may have its own."""
_NAMED = re.compile(r"(?i)(?<=[?&])([^=&\s]*(?:key|password|secret|token|signature|sig)[^=&\s]*)=[^&\s]*")


def command_line(arguments: Sequence[str] | None = None) -> str:
    """Return the command; user and password of a URL, and keys in its query, are left out."""
    given = sys.argv[1:] if arguments is None else arguments
    return shlex.join(["unseen", *map(without_secrets, given)])


def made_by(command: str) -> dict[str, Any]:
    """Return what made a report, and when."""
    return {"at_ms": wall_clock(), "unseen": version("unseen"), "command": command}


def without_secrets(text: str) -> str:
    """Return a text whose URLs name nobody's password."""
    return _NAMED.sub(r"\1=...", _USERINFO.sub("...@", text))
