"""`unseen backtest`: plays a click log on a stack of its own, or on servers given by URL."""

import asyncio
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from agent.demo.stack import Service, Stack, start_opensearch, start_redis
from agent.evaluate.backtest import BacktestOptions, run_backtest
from agent.evaluate.report import Report
from agent.settings import Settings


def play(
    options: BacktestOptions,
    settings: Settings,
    console: Console,
    *,
    opensearch: str | None = None,
    redis: str | None = None,
) -> Report:
    """Return the report; progress goes to the console.

    Raises:
        StackError: a server did not start. Permanent: a file is not what it must be.
    """
    with Stack() as stack:
        store, search = stack.start(
            partial(start_redis, stack.folder, redis, spawn=stack.spawn),
            partial(start_opensearch, stack.folder, opensearch, spawn=stack.spawn),
        )
        console.print(f"{search.note}; {store.note}", style="dim", highlight=False)
        with bars(console) as shown:
            return asyncio.run(run_backtest(options, _placed(settings, store, search), Shown(shown)))


def _placed(settings: Settings, redis: Service, opensearch: Service) -> Settings:
    return settings.model_copy(
        update={
            "redis": settings.redis.model_copy(update={"state_url": redis.url, "cache_url": ""}),
            "opensearch": settings.opensearch.model_copy(update={"url": opensearch.url}),
        }
    )


def bars(console: Console) -> Progress:
    """Return progress bars that go when they are done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


class Shown:
    """Shows how far the backtest is: a bar a stage on a terminal, a line a stage elsewhere."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, of: int) -> None:
        """Take one stage's progress; ``of`` is 0 where the end is not known."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=of or None)
            if not self._bars.console.is_terminal:
                self._bars.console.print(what, highlight=False)
        self._bars.update(self._tasks[what], completed=done, total=of or None)
