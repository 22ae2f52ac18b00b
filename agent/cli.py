"""The command `unseen`: one sub-command a process, and the two main jobs, demo and backtest.

Heavy imports stand inside the commands, so that `unseen --help` answers at once.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from redis.exceptions import RedisError

from agent import cli_evidence, cli_explain, cli_forget, cli_learning, cli_release
from agent.cli_evidence import Config
from agent.cli_evidence import settings_for as _settings
from agent.demo.stack.errors import StackError
from agent.errors import AgentError
from feedback.errors import FeedbackError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A query rewriter for product search that learns from what shoppers do.",
)

OpenSearchUrl = Annotated[
    str | None,
    typer.Option("--opensearch", metavar="URL", help="Use this OpenSearch instead of starting one."),
]
RedisUrl = Annotated[
    str | None, typer.Option("--redis", metavar="URL", help="Use this Redis instead of starting one.")
]


@app.command()
def demo(
    minutes: Annotated[
        float, typer.Option(min=1.0, help="The whole run, start-up and report included.")
    ] = 5.0,
    seed: Annotated[int, typer.Option(help="Of the shoppers.")] = 0,
    shop_seed: Annotated[int, typer.Option(help="Of the shop: another one is another shop.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Two minutes and 40 judged queries.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    opensearch: OpenSearchUrl = None,
    redis: RedisUrl = None,
) -> None:
    """Start everything here, show the loop learning from a shop's clicks, end with a report."""
    from rich.console import Console

    from agent.demo.profile import QUICK_JUDGED, QUICK_MINUTES, DemoOptions
    from agent.demo.run import run_demo

    options = DemoOptions(
        minutes=QUICK_MINUTES if quick else minutes,
        judged=QUICK_JUDGED if quick else None,
        seed=seed,
        shop_seed=shop_seed,
        report=report,
        keep=keep,
        opensearch=opensearch,
        redis=redis,
    )
    run_demo(options, Console())


@app.command()
def backtest(
    catalogue: Annotated[Path, typer.Option(help="Products, one JSON object a line; gzip or not.")],
    clicks: Annotated[
        list[Path],
        typer.Option(help="user, query, product_id, query_time, click_time; tab-separated. May be repeated."),
    ],
    report: Annotated[Path | None, typer.Option(help="Write the JSON, and a plot beside it.")] = None,
    judge_from: Annotated[
        float, typer.Option(min=0.1, max=0.99, help="Share of the clicks after which nothing is learned.")
    ] = 0.9,
    learn_s: Annotated[float, typer.Option(min=0, help="Seconds of learning; 0: the base model.")] = 600.0,
    seed: Annotated[int, typer.Option(help="Of the queries that are sampled.")] = 0,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    opensearch: OpenSearchUrl = None,
    redis: RedisUrl = None,
    config: Config = None,
) -> None:
    """Play a click log at its own times and judge each tenth by what was learned before it."""
    from rich.console import Console

    from agent.demo.backtest import play
    from agent.evaluate.backtest import BacktestOptions

    settings = _settings(config, "backtest")
    options = BacktestOptions(
        catalogue=catalogue, clicks=tuple(clicks), judge_from=judge_from, learn_s=learn_s, seed=seed
    )
    played = play(options, settings, Console(stderr=True), opensearch=opensearch, redis=redis)
    if report:
        played.save(report)
    if as_json:
        typer.echo(played.json())
    else:
        Console().print(played.table())


@app.command()
def evaluate(
    catalogue: Annotated[Path, typer.Option(help="Products, one JSON object a line; gzip or not.")],
    judgments: Annotated[Path, typer.Option(help="split, query, product_id, relevance; tab-separated.")],
    *,
    split: Annotated[str, typer.Option(help="Whose queries are judged.")] = "dev",
    store: Annotated[str | None, typer.Option(help="Folder or URL of versions, for latest.")] = None,
    policies: Annotated[
        str, typer.Option(help="Of raw, rm3, spelling, base (the model untrained) and latest; comma between.")
    ] = "raw,rm3,spelling",
    relevant_from: Annotated[float, typer.Option(help="Relevance from which an object counts.")] = 1.0,
    report: Annotated[Path | None, typer.Option(help="Write the JSON.")] = None,
    seed: Annotated[int, typer.Option(help="Of the intervals' draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    opensearch: OpenSearchUrl = None,
    config: Config = None,
) -> None:
    """Judge rankings on labelled queries: no clicks, no Redis."""
    from rich.console import Console

    from agent.demo.labels import judge
    from agent.evaluate.labelled import EvaluateOptions

    settings = _settings(config, "evaluate")
    options = EvaluateOptions(
        catalogue=catalogue,
        judgments=judgments,
        split=split,
        relevant_from=relevant_from,
        policies=tuple(dict.fromkeys(name.strip() for name in policies.split(",") if name.strip())),
        store=store,
        seed=seed,
    )
    judged = judge(options, settings, Console(stderr=True), opensearch=opensearch)
    if report:
        judged.save(report)
    if as_json:
        typer.echo(judged.json())
    else:
        Console().print(judged.table())


@app.command()
def train(
    catalogue: Annotated[Path, typer.Option(help="Products, one JSON object a line; gzip or not.")],
    store: Annotated[Path, typer.Option(help="Folder of versions and checkpoints; goes on from there.")],
    *,
    judgments: Annotated[
        Path | None, typer.Option(help="split, query, product_id, relevance; tab-separated.")
    ] = None,
    clicks: Annotated[list[Path] | None, typer.Option(help="Click logs in place of labels.")] = None,
    split: Annotated[str, typer.Option(help="Whose labels teach.")] = "train",
    relevant_from: Annotated[float, typer.Option(help="Relevance from which an object counts.")] = 1.0,
    minutes: Annotated[float, typer.Option(min=0.1, help="Of learning.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Of draws and samples.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="Of the model; 0: one a processor.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    opensearch: OpenSearchUrl = None,
    config: Config = None,
) -> None:
    """Learn from labels or a click log before there are shoppers: no Redis."""
    import json

    from rich.console import Console

    from agent.demo.labels import train as learn
    from agent.evaluate.training import TrainOptions

    settings = _settings(config, "train")
    options = TrainOptions(
        catalogue=catalogue,
        store=store,
        judgments=judgments,
        clicks=tuple(clicks or ()),
        split=split,
        relevant_from=relevant_from,
        minutes=minutes,
        seed=seed,
        threads=threads,
    )
    done = learn(options, settings, Console(stderr=True), opensearch=opensearch)
    if as_json:
        typer.echo(json.dumps(done))
    else:
        typer.echo(
            f"{done['updates']} updates ({done['updates_in_all']} in all), {done['rollouts']} rollouts, mean "
            f"reward {done['reward_first']:+.4f} -> {done['reward_last']:+.4f}; version "
            f"{done['version']}: {store / done['file']}"
        )


@app.command()
def serve(config: Config = None) -> None:
    """Put the gateway and the rewriter in front of OpenSearch (Ray Serve)."""
    from agent.serve.app import run

    run(_settings(config, "serve"))


@app.command()
def collector(config: Config = None) -> None:
    """Join clicks with pages and fold them into evidence."""
    from feedback.process import run

    settings = _settings(config, "collector")
    _until_told(lambda stop: run(settings.redis, settings.feedback, settings.keys, stop))


@app.command()
def verifier(config: Config = None) -> None:
    """Judge candidate rewrites on the live catalogue and serve those that hold."""
    from agent.verify.process import run

    settings = _settings(config, "verifier")
    _until_told(lambda stop: run(settings, stop))


@app.command()
def learner(config: Config = None) -> None:
    """Learn from the evidence and publish new weights (Ray RLlib)."""
    from agent.learner.loop import run

    settings = _settings(config, "learner")
    _until_told(lambda stop: run(settings, stop))


@app.command()
def release(config: Config = None) -> None:
    """Judge new versions, try them on some shoppers, promote those that hold, roll back those that do not."""
    from agent.release.process import run

    settings = _settings(config, "release")
    _until_told(lambda stop: run(settings, stop))


app.command()(cli_release.versions)
app.command()(cli_release.show)
app.command()(cli_release.promote)
app.command()(cli_release.rollback)
app.command()(cli_release.pause)
app.command()(cli_release.resume)
app.command()(cli_release.audit)
app.command()(cli_evidence.exploration)
app.command()(cli_evidence.ranks)
app.command()(cli_evidence.evidence)
app.command()(cli_evidence.lending)
app.command()(cli_forget.forget)
app.command("half-life")(cli_evidence.half_life)
app.command()(cli_learning.replay)
app.command()(cli_explain.explain)
app.command()(cli_explain.lineage)


def _until_told(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run until SIGTERM or Ctrl-C, which let the work in hand be finished."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await work(stop)

    asyncio.run(main())


def main() -> None:
    """Run the command; an error that we know becomes one line and exit status 1."""
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background jobs start with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        app(standalone_mode=True)
    except (AgentError, FeedbackError, StackError) as error:
        _fail(str(error))
    except RedisError as error:
        _fail(f"redis: {error}")
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        sys.exit(130)


def _fail(why: str) -> NoReturn:
    typer.echo(f"unseen: {why}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
