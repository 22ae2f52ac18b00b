"""The rules of `deploy/prometheus` with a minute as a second, so that a test can wait for them.

One transformation, of time alone: a range (``[5m]``), an ``offset``, a ``for``, and a number that an age or
a lag in seconds is compared with become a sixtieth of themselves. All but that number become 10 s at most,
for a test has no hour. What is less than a minute stays: it is no waiting, but how long a search takes.
Rates are per second on both clocks; every other number, and all that an expression says, stays as it is.
"""

import re
from pathlib import Path

MINUTE_S = 60
LONGEST_S = 10
"""Of a range, an ``offset`` or a ``for``."""
UNITS_S = {"s": 1, "m": MINUTE_S, "h": 3600, "d": 86_400, "w": 604_800}
DURATION = r"(\d+)([smhdw])"
_FOR = re.compile(rf"^(\s*for:\s*){DURATION}\s*$", re.MULTILINE)
_RANGE = re.compile(rf"\[{DURATION}\]")
_OFFSET = re.compile(rf"(\boffset ){DURATION}")
_AGE = re.compile(r"(_seconds(?:\{[^}]*\})?\)*\s*[<>]=?\s*)(\d+)\b")


def scaled(rules: str) -> str:
    """Return the text of a file of rules on the test's clock."""
    rules = _FOR.sub(lambda found: f"{found[1]}{_shorter(found[2], found[3])}", rules)
    rules = _RANGE.sub(lambda found: f"[{_shorter(found[1], found[2])}]", rules)
    rules = _OFFSET.sub(lambda found: f"{found[1]}{_shorter(found[2], found[3])}", rules)
    return _AGE.sub(lambda found: f"{found[1]}{_sixtieth(int(found[2])):g}", rules)


def scale(folder: Path) -> None:
    """Rewrite each file of rules in a folder."""
    for path in folder.glob("*.yml"):
        path.write_text(scaled(path.read_text()))


def _shorter(number: str, unit: str) -> str:
    seconds = int(number) * UNITS_S[unit]
    return f"{min(LONGEST_S, _sixtieth(seconds)) if seconds >= MINUTE_S else seconds:g}s"


def _sixtieth(seconds: int) -> float:
    return seconds / MINUTE_S if seconds >= MINUTE_S else seconds
