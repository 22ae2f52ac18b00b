"""`unseen evaluate` and `unseen train`: on labels or a log, with an OpenSearch of their own or one by URL."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from rich.console import Console

from agent.demo.backtest import Shown, bars
from agent.demo.stack import Stack, start_opensearch
from agent.evaluate.labelled import EvaluateOptions, Evaluation, run_evaluation
from agent.evaluate.products import OnProgress
from agent.evaluate.training import TrainOptions, run_training
from agent.settings import Settings

Options = TypeVar("Options")
Done = TypeVar("Done")


def judge(
    options: EvaluateOptions, settings: Settings, console: Console, *, opensearch: str | None = None
) -> Evaluation:
    """Return the figures; progress goes to the console.

    Raises:
        StackError: the search engine did not start. Permanent: a file or an option is not what it must be.
    """
    return _run(run_evaluation, options, settings, console, opensearch)


def train(
    options: TrainOptions, settings: Settings, console: Console, *, opensearch: str | None = None
) -> dict[str, Any]:
    """Return what was done; progress goes to the console.

    Raises:
        StackError: the search engine did not start. Permanent: a file or an option is not what it must be.
    """
    return _run(run_training, options, settings, console, opensearch)


def _run(
    work: Callable[[Options, Settings, OnProgress], Awaitable[Done]],
    options: Options,
    settings: Settings,
    console: Console,
    url: str | None,
) -> Done:
    async def done(own: Settings, shown: Shown) -> Done:
        return await work(options, own, shown)

    with Stack() as stack:
        (search,) = stack.start(partial(start_opensearch, stack.folder, url, spawn=stack.spawn))
        console.print(search.note, style="dim", highlight=False)
        placed = settings.opensearch.model_copy(update={"url": search.url})
        with bars(console) as shown:
            return asyncio.run(done(settings.model_copy(update={"opensearch": placed}), Shown(shown)))
