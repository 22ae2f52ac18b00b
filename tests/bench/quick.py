"""The short form of every benchmark: a look whether it runs from beginning to end, never a measurement."""

import argparse
from collections.abc import Sequence


def parse(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None, /, **small: object
) -> argparse.Namespace:
    """Read the options, `--quick` among them: with it those that are not given by hand are small.

    Raises:
        ValueError: a small value is of no option.
    """
    parser.add_argument("--quick", action="store_true", help="smallest sizes: a look whether it runs")
    given = parser.parse_args(argv)
    if unknown := small.keys() - vars(given).keys():
        raise ValueError(f"no option is called {', '.join(sorted(unknown))}")
    if not given.quick:
        return given
    parser.set_defaults(**small)
    return parser.parse_args(argv)
