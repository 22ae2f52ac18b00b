"""Figures and times as people read them; what is not known is a dash."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

UNKNOWN = "\u2013"
MINUS = "\u2212"
PER_CENT = "\u00a0%"
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


def known(value: Any) -> float | None:  # noqa: ANN401 - of a JSON file
    """Return a number that is one; None: it is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def decimal(value: Any, digits: int = 4) -> str:  # noqa: ANN401 - of a JSON file
    """Return a number with so many digits after the point."""
    found = known(value)
    return UNKNOWN if found is None else _minus(f"{found:,.{digits}f}")


def signed(value: Any, digits: int = 4) -> str:  # noqa: ANN401 - of a JSON file
    """Return a difference with its sign."""
    found = known(value)
    return UNKNOWN if found is None else _minus(_sign(found, digits) + f"{abs(found):,.{digits}f}")


def whole(value: Any) -> str:  # noqa: ANN401 - of a JSON file
    """Return a count."""
    return decimal(value, 0)


def number(n: int, one: str, many: str) -> str:
    """Return a count with the word for what is counted."""
    return f"{n:,} {one if n == 1 else many}"


def share(value: Any, digits: int = 1) -> str:  # noqa: ANN401 - of a JSON file
    """Return a share as per cent."""
    found = known(value)
    return UNKNOWN if found is None else _minus(f"{100 * found:,.{digits}f}{PER_CENT}")


def signed_share(value: Any, digits: int = 1) -> str:  # noqa: ANN401 - of a JSON file
    """Return a relative difference as per cent, with its sign."""
    found = known(value)
    if found is None:
        return UNKNOWN
    return _minus(_sign(100 * found, digits) + f"{abs(100 * found):,.{digits}f}{PER_CENT}")


def span(low: Any, high: Any, digits: int = 4) -> str:  # noqa: ANN401 - of a JSON file
    """Return an interval of differences."""
    if known(low) is None or known(high) is None:
        return UNKNOWN
    return f"{signed(low, digits)} to {signed(high, digits)}"


def lift(found: Mapping[str, Any] | None) -> str:
    """Return a relative difference with its interval; without one, that it is not known."""
    if found is None:
        return "not known"
    return f"{signed_share(found['mean'])} ({signed_share(found['low'])} to {signed_share(found['high'])})"


def moment(at_ms: int | None) -> str:
    """Return a time, UTC: ``29 Nov 2026, 15:04``."""
    if not at_ms:
        return UNKNOWN
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%-d %b %Y, %H:%M")


def lasting(seconds: Any) -> str:  # noqa: ANN401 - of a JSON file
    """Return a duration: ``3 min``, ``5 h``, ``2 d``."""
    found = known(seconds)
    if found is None:
        return UNKNOWN
    for name, unit in (("d", DAY_S), ("h", HOUR_S), ("min", MINUTE_S)):
        if found >= unit:
            return f"{found / unit:.0f} {name}"
    return f"{found:.0f} s"


def figure(value: Any) -> str:  # noqa: ANN401 - of a JSON file
    """Return any number, in as many digits as tell it."""
    found = known(value)
    return "no number" if found is None else _minus(f"{found:.4g}")


def _sign(value: float, digits: int) -> str:
    """Return the sign of what is shown: nothing has none."""
    shown = round(value, digits)
    return "+" if shown > 0 else "-" if shown < 0 else ""


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
