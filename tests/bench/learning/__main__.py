"""The tables of learning on real data: `python -m tests.bench.learning [TABLE] --data DIR --json`.

TABLE is `bestbuy` (a click log; where none is named), `homedepot` (clicks in place of labels), `amazon` (long
requests) or `limits` (what an untrained policy can find there);
`python -m tests.bench.learning TABLE --help` says what each can be told.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tests.bench.learning import amazon, click_log, homedepot, limits, options

TABLES: Mapping[str, Callable[[Sequence[str]], int]] = {
    "bestbuy": click_log.main,
    "homedepot": partial(options.main, homedepot.run, "homedepot"),
    "amazon": partial(options.main, amazon.run, "amazon"),
    "limits": partial(options.main, limits.run, "limits"),
}


def main(arguments: Sequence[str]) -> int:
    """Print one table as one JSON object."""
    table, *others = arguments if arguments and not arguments[0].startswith("-") else ["bestbuy", *arguments]
    if table not in TABLES:
        print(f"{table}: no such table; known: {', '.join(TABLES)}", file=sys.stderr)  # noqa: T201 - its output
        return 2
    return TABLES[table](others)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
