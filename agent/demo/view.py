"""What a person sees while the demo runs: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from agent.demo.traffic import Tally
from feedback.vitals import Vitals

PLAIN_EVERY_S = 10.0


def figures(tally: Tally, vitals: Vitals) -> dict[str, str]:
    """Return the live view's figures, ready to print, in order."""
    rewritten = sum(n for rung, n in tally.pages.items() if rung != "raw")
    return {
        "requests": f"{tally.requests:,}",
        "clicks": f"{tally.clicks:,}",
        "purchases": f"{tally.purchases:,}",
        "searches rewritten": _share(rewritten / tally.requests if tally.requests else None),
        "click-through, raw": _share(tally.click_through(rewritten=False)),
        "click-through, rewritten": _share(tally.click_through(rewritten=True)),
        "verified rewrites": _number(vitals.number("verifier", "serving")),
        "gain of lent words": _loan(vitals),
        "reward, last rollouts": _number(vitals.number("learner", "reward_mean"), digits=3),
        "versions made": _number(vitals.number("learner", "version")),
        "serving version": _number(vitals.number("release", "stable")),
        "on trial, rolled back": _trials(vitals),
        "click to weights": _seconds(vitals.number("learner", "click_to_weights_s_median")),
    }


def _trials(vitals: Vitals) -> str:
    """Return the version on trial and how many were rolled back."""
    trial = vitals.number("release", "trial")
    return f"{_number(trial or None)}, {_number(vitals.number('release', 'versions_revoked') or 0)}"


def _loan(vitals: Vitals) -> str:
    """Return what a loan gains by the clicks of judged queries; a dash where nothing is lent."""
    if not vitals.number("verifier", "loans_given"):
        return "-"
    mean, low = (
        _number(vitals.number("verifier", name), digits=3) for name in ("loan_gain", "loan_gain_low")
    )
    return f"{mean}, surely {low}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.0f} s"  # noqa: PLR0124 - NaN is not itself


class View:
    """Prints steps and shows the loop; knows whether anybody watches."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._last_plain = 0.0
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began

    @contextmanager
    def step(self, what: str) -> Iterator[list[str]]:
        """Time one step; lines that the caller appends stand behind it."""
        notes: list[str] = []
        began = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(f"{what} ..."):
                yield notes
        else:
            yield notes
        note = f"  {'; '.join(notes)}" if notes else ""
        self.console.print(
            f"[bold]{time.monotonic() - began:5.1f} s[/]  {what}[dim]{note}[/]", highlight=False
        )

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep the live table on the terminal while the loop runs."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, refresh_per_second=4, transient=True) as live:
            self._live = live
            yield
        self._live = None

    def show(self, tally: Tally, vitals: Vitals, *, left_s: float) -> None:
        """Show the newest figures."""
        shown = figures(tally, vitals)
        if self._live is not None:
            self._live.update(_table(shown, left_s))
        elif time.monotonic() - self._last_plain >= PLAIN_EVERY_S:
            self._last_plain = time.monotonic()
            line = "  ".join(f"{name} {value}" for name, value in shown.items())
            self.console.print(f"{self.elapsed_s:5.0f} s  {line}", highlight=False, soft_wrap=True)


def _table(shown: dict[str, str], left_s: float) -> Table:
    table = Table(title=f"The loop runs ({left_s:.0f} s left)", show_header=False, min_width=48)
    table.add_column(style="dim")
    table.add_column(justify="right", style="bold")
    for name, value in shown.items():
        table.add_row(name, value)
    return table
