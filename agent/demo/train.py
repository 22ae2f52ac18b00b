"""`unseen train`: learns from labels or a click log, on an OpenSearch of its own or one given by URL."""

import asyncio
from functools import partial
from typing import Any

from rich.console import Console

from agent.demo.backtest import Shown, bars
from agent.demo.stack import Stack, start_opensearch
from agent.evaluate.training import TrainOptions, run_training
from agent.settings import Settings


def train(
    options: TrainOptions, settings: Settings, console: Console, *, opensearch: str | None = None
) -> dict[str, Any]:
    """Return what was done; progress goes to the console.

    Raises:
        StackError: the search engine did not start. Permanent: a file or an option is not what it must be.
    """
    with Stack() as stack:
        (search,) = stack.start(partial(start_opensearch, stack.folder, opensearch, spawn=stack.spawn))
        console.print(search.note, style="dim", highlight=False)
        own = settings.model_copy(
            update={"opensearch": settings.opensearch.model_copy(update={"url": search.url})}
        )
        with bars(console) as shown:
            return asyncio.run(run_training(options, own, Shown(shown)))
