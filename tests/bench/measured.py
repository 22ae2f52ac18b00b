"""A benchmark's frame: a stack of services of its own around it, its report as one JSON object."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from agent.demo.stack import Stack

QUICK_STOP_S = 1.0
"""That a process has to end by itself where nothing that it leaves is looked at: Ray takes ten."""
Measure = Callable[[Stack, argparse.Namespace], Awaitable[dict[str, Any]]]


def measured(measure: Measure, given: argparse.Namespace) -> int:
    """Measure and print; on one line with ``--json``. Return the exit status."""

    async def work(stack: Stack) -> dict[str, Any]:
        return await measure(stack, given)

    with Stack(stop_s=QUICK_STOP_S) if given.quick else Stack() as stack:
        report = asyncio.run(work(stack))
    print(json.dumps(report) if given.json else json.dumps(report, indent=2))  # noqa: T201 - its output
    return 0
