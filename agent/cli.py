"""The command `unseen`: one sub-command a process, and the two main jobs, demo and backtest.

Heavy imports stand inside the commands, so that `unseen --help` answers at once.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from redis.exceptions import RedisError

from agent import (
    cli_access,
    cli_dead,
    cli_evidence,
    cli_exchange,
    cli_explain,
    cli_forget,
    cli_health,
    cli_learning,
    cli_quarantine,
    cli_release,
    cli_report,
    cli_templates,
)
from agent.cli_evidence import Config
from agent.cli_evidence import settings_for as _settings
from agent.cli_report import Report, look_where, say_where
from agent.demo.stack.errors import StackError
from agent.errors import AgentError, Permanent, SearchFailed, SearchRefused
from agent.exposing import exposed
from agent.reporting.command import command_line
from feedback.errors import FeedbackError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A query rewriter for product search that learns from what shoppers do.",
    epilog=(
        "Exit codes: 0 done; 1 it could not be done, or what was looked at is not well (doctor, templates, "
        "replay); 2 a wrong option; 130 Ctrl-C. --json prints one object to standard output; progress and "
        "errors go to standard error. Completion: unseen --install-completion. When something does not work: "
        "unseen doctor."
    ),
)
NEXT = "`unseen doctor` says what is in the way"
OpenSearchUrl = Annotated[
    str | None,
    typer.Option("--opensearch", metavar="URL", help="Use this OpenSearch instead of starting one."),
]
RedisUrl = Annotated[
    str | None, typer.Option("--redis", metavar="URL", help="Use this Redis instead of starting one.")
]


def _version(asked: bool) -> None:  # noqa: FBT001 - typer's way
    if asked:
        from importlib.metadata import version

        typer.echo(f"unseen {version('unseen')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it and end.")
    ] = False,
) -> None:
    """Take what stands before a command."""
    del version


@app.command()
def demo(
    minutes: Annotated[
        float, typer.Option(min=1.0, help="The whole run, start-up and report included.")
    ] = 5.0,
    seed: Annotated[int, typer.Option(help="Of the shoppers.")] = 0,
    shop_seed: Annotated[int, typer.Option(help="Of the shop: another one is another shop.")] = 0,
    report: Report = None,
    *,
    min_clients: Annotated[
        int, typer.Option(min=1, help="That must have asked a query before it teaches; 3 where shoppers are.")
    ] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON; the view goes to standard error.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Two minutes and 40 judged queries.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    targets: Annotated[
        Path | None, typer.Option(help="Write where Prometheus finds the processes (deploy/README.md).")
    ] = None,
    opensearch: OpenSearchUrl = None,
    redis: RedisUrl = None,
) -> None:
    """Start everything here, show the loop learning from a shop's clicks, end with a report."""
    from rich.console import Console

    from agent.demo.profile import QUICK_JUDGED, QUICK_MINUTES, DemoOptions
    from agent.demo.run import run_demo

    look_where(report)
    options = DemoOptions(
        command=command_line(),
        minutes=QUICK_MINUTES if quick else minutes,
        judged=QUICK_JUDGED if quick else None,
        seed=seed,
        shop_seed=shop_seed,
        report=report,
        keep=keep,
        targets=targets,
        opensearch=opensearch,
        redis=redis,
        min_clients=min_clients,
    )
    said = run_demo(options, Console(stderr=as_json))
    if as_json:
        typer.echo(json.dumps(said))


@app.command()
def backtest(
    catalogue: Annotated[Path, typer.Option(help="Products, one JSON object a line; gzip or not.")],
    clicks: Annotated[
        list[Path],
        typer.Option(help="user, query, product_id, query_time, click_time; tab-separated. May be repeated."),
    ],
    report: Report = None,
    judge_from: Annotated[
        float, typer.Option(min=0.1, max=0.99, help="Share of the clicks after which nothing is learned.")
    ] = 0.9,
    learn_s: Annotated[float, typer.Option(min=0, help="Seconds of learning; 0: the base model.")] = 600.0,
    seed: Annotated[int, typer.Option(help="Of the queries that are sampled.")] = 0,
    *,
    min_clients: Annotated[
        int, typer.Option(min=1, help="That must have asked a query before it teaches; 3 where shoppers are.")
    ] = 1,
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
    _look_at(catalogue, *clicks)
    look_where(report)
    options = BacktestOptions(
        command=command_line(),
        catalogue=catalogue,
        clicks=tuple(clicks),
        judge_from=judge_from,
        learn_s=learn_s,
        seed=seed,
        min_clients=min_clients,
    )
    played = play(options, settings, Console(stderr=True), opensearch=opensearch, redis=redis)
    if report:
        say_where(played.save(report))
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
    report: Report = None,
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
    _look_at(catalogue, judgments)
    look_where(report)
    options = EvaluateOptions(
        command=command_line(),
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
        say_where(judged.save(report))
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
    min_clients: Annotated[
        int, typer.Option(min=1, help="Of a click log: that must have asked a query before it teaches.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    opensearch: OpenSearchUrl = None,
    config: Config = None,
) -> None:
    """Learn from labels or a click log before there are shoppers: no Redis."""
    from rich.console import Console

    from agent.demo.labels import train as learn
    from agent.evaluate.training import TrainOptions

    settings = _settings(config, "train")
    _look_at(catalogue, *([judgments] if judgments else []), *(clicks or []))
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
        min_clients=min_clients,
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
def serve(
    config: Annotated[
        list[Path] | None,
        typer.Option(
            help="A TOML file of settings; the environment (UNSEEN_...) stands above it. Several: a tenant "
            "each, under /TENANT."
        ),
    ] = None,
    ray_address: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Of a Ray cluster (auto, HOST:PORT) in place of one here.")
    ] = "",
) -> None:
    """Put the gateway and the rewriter in front of OpenSearch (Ray Serve)."""
    files: list[Path | None] = [*config] if config else [None]
    tenants = [_settings(one, "serve") for one in files]
    if ray_address:
        os.environ["RAY_ADDRESS"] = ray_address
    from agent.console import add_console
    from agent.serve.app import run

    run(*tenants, more=add_console)


@app.command()
def collector(config: Config = None) -> None:
    """Join clicks with pages and fold them into evidence."""
    from feedback.process import run

    settings = _settings(config, "collector")
    with exposed(settings.metrics, settings.metrics.collector_port):
        _until_told(lambda stop: run(settings.redis, settings.feedback, settings.keys, stop))


@app.command()
def verifier(config: Config = None) -> None:
    """Judge candidate rewrites on the live catalogue and serve those that hold."""
    from agent.niceness import VERIFIER, give_way
    from agent.verify.process import run

    settings = _settings(config, "verifier")
    give_way(VERIFIER)
    with exposed(settings.metrics, settings.metrics.verifier_port):
        _until_told(lambda stop: run(settings, stop))


@app.command()
def learner(config: Config = None) -> None:
    """Learn from the evidence and publish new weights (Ray RLlib)."""
    from agent.learner.loop import run

    settings = _settings(config, "learner")
    with exposed(settings.metrics, settings.metrics.learner_port):
        _until_told(lambda stop: run(settings, stop))


@app.command()
def release(config: Config = None) -> None:
    """Judge new versions, try them on some shoppers, promote those that hold, roll back those that do not."""
    from agent.release.process import run

    settings = _settings(config, "release")
    with exposed(settings.metrics, settings.metrics.release_port):
        _until_told(lambda stop: run(settings, stop))


@app.command()
def exporter(config: Config = None) -> None:
    """Show Prometheus what the store holds: lag, versions, lift, alarms, and what rewriters say."""
    from agent.watching.process import run

    settings = _settings(config, "exporter")
    _until_told(lambda stop: run(settings, stop))


app.command()(cli_health.doctor)
app.command()(cli_health.status)
app.command()(cli_release.versions)
app.command()(cli_release.show)
app.command()(cli_release.promote)
app.command()(cli_release.rollback)
app.command()(cli_release.pause)
app.command()(cli_release.resume)
app.command()(cli_release.audit)
app.command()(cli_evidence.exploration)
app.command()(cli_evidence.ranks)
app.command()(cli_evidence.purchases)
app.command()(cli_evidence.evidence)
app.command()(cli_evidence.lending)
app.command()(cli_evidence.shadow)
app.command()(cli_report.report)
app.command()(cli_forget.forget)
app.command()(cli_templates.templates)
app.command("rotate-secret")(cli_access.rotate_secret)
app.add_typer(cli_dead.app, name="dead")
app.add_typer(cli_quarantine.app, name="quarantine")
app.command("half-life")(cli_evidence.half_life)
app.command()(cli_learning.replay)
app.command()(cli_explain.explain)
app.command()(cli_explain.lineage)
app.add_typer(cli_exchange.exporting, name="export")
app.add_typer(cli_exchange.importing, name="import")


def _look_at(*paths: Path) -> None:
    """Open each file before servers are started for it; raises Permanent where one cannot be read."""
    for path in paths:
        try:
            path.open("rb").close()
        except OSError as error:
            raise Permanent(
                f"{path} cannot be read: {error.strerror}; see whether its name is right"
            ) from error


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
    except SearchRefused as error:
        _fail(f"{error}; `unseen templates` says what does not fit")
    except SearchFailed as error:
        _fail(f"{error}; {NEXT}")
    except (AgentError, FeedbackError, StackError, OSError) as error:
        _fail(str(error))
    except RedisError as error:
        _fail(f"redis: {error}; {NEXT}")
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        sys.exit(130)


def _fail(why: str) -> NoReturn:
    typer.echo(f"unseen: {why}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
