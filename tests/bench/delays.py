"""Purchases still to come, from simulated shops with known truth: `python -m tests.bench.delays --json`.

Delays have a mean of seven days and three shapes, none told to the estimator. The error is that of the faded
sum of purchases that the evidence holds, relative to those that come within the attribution window of thirty
days, before and after the correction. Shops older than twice the window, younger than it, and growing. Needs
no service.
"""

import argparse
import json
import sys
from statistics import fmean
from typing import Any

from tests.bench._delay_worlds import KINDS, tell
from tests.bench._intervals import half_width
from tests.bench.quick import parse

SHOPS = {
    "120 days": (120.0, 1.0),
    "60 days": (60.0, 1.0),
    "60 days, growing": (60.0, 2.0),
    "20 days": (20.0, 1.0),
    "10 days": (10.0, 1.0),
}
"""Days since it opened, and growth."""


def main() -> int:
    """Print the figures as one JSON object, or a line a shop."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.delays", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--pages", type=int, default=200_000, help="shown in a shop; 5 % of them sell")
    given = parse(parser, seeds=[0], pages=10_000)
    shops = [shop(kind, name, given.seeds, given.pages) for kind in KINDS for name in SHOPS]
    if given.json:
        print(json.dumps({"shops": shops, "seeds": len(given.seeds), "pages": given.pages}))  # noqa: T201 - its output
    return 0


def shop(kind: str, name: str, seeds: list[int], pages: int) -> dict[str, Any]:
    """Return the errors of one shop over seeds, with 95 % intervals."""
    days, growth = SHOPS[name]
    told = [tell(kind, seed, days=days, pages=pages, growth=growth) for seed in seeds]
    figures = {
        "delays": kind,
        "shop": name,
        "models": sorted({one.model for one in told}),
        "naive": interval([one.naive for one in told]),
        "corrected": interval([one.corrected for one in told]),
        "beyond_window": fmean(one.beyond for one in told),
    }
    print(line(figures), file=sys.stderr)  # noqa: T201 - progress
    return figures


def interval(errors: list[float]) -> dict[str, float | None]:
    """Return the mean error and half the width of its interval; None of one seed."""
    return {"bias": fmean(errors), "half_width": half_width(errors)}


def line(figures: dict[str, Any]) -> str:
    """Return one shop for people."""
    naive, corrected = figures["naive"], figures["corrected"]
    width = "" if corrected["half_width"] is None else f" ± {corrected['half_width']:.2%}"
    return (
        f"{figures['delays']:12} {figures['shop']:17} {'/'.join(figures['models']):14} "
        f"as observed {naive['bias']:+.1%}, corrected {corrected['bias']:+.2%}{width}"
    )


if __name__ == "__main__":
    sys.exit(main())
