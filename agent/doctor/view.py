"""The examination for people."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from agent.doctor.check import Check, State
from agent.doctor.examining import report

STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def table(checks: Sequence[Check]) -> Table:
    """Return a row a check; what is found may hold anything, and is shown as it is."""
    shown = Table("", "what", "found", "to do", title="unseen doctor")
    for check in checks:
        style = STYLES[check.state]
        words = (check.name, check.found, check.do)
        shown.add_row(Text(check.state, style=style), *(Text(word) for word in words))
    return shown


def verdict(checks: Sequence[Check]) -> str:
    """Return what it comes to, in a line."""
    counts = report(checks)["counts"]
    named = ", ".join(f"{n} {state}" for state, n in counts.items() if n)
    return f"{named}."
