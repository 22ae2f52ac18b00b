"""Commands of `unseen` that carry pages and events to others' formats and back."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli_evidence import Config, settings_for
from agent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.evaluate.clicklog import BadLine
    from agent.exchange.labels import Step
    from agent.exchange.playing import Played

exporting = typer.Typer(no_args_is_help=True, help="Write pages and events where others read them.")
importing = typer.Typer(no_args_is_help=True, help="Read others' logs into the evidence, labels into files.")
Out = Annotated[
    Path, typer.Option("--out", help="Folder of products.jsonl and judgments.tsv; an import goes on there.")
]
MOST_SAID = 20
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]
EVERY_S = 2.0


@exporting.callback()
def _formats() -> None:
    """Keep the format's name a sub-command while there is but one."""


@exporting.command("ubi")
def export_ubi(
    *,
    queries: Annotated[str, typer.Option(help="Index of the pages.")] = "ubi_queries",
    events: Annotated[str, typer.Option(help="Index of the events.")] = "ubi_events",
    follow: Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C.")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Write everything again, not what is new.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Write pages and events to the UBI indices of OpenSearch, going on where the last export ended.

    Arm, version and propensity (the chance that the page would explore) stand in query_attributes, arm and
    version in event_attributes too. Clients are digests. Writing twice is harmless.
    """
    from rich.console import Console

    settings = settings_for(config, "export")
    with Console(stderr=True).status("exporting") as status:

        def progress(done: Any) -> None:  # noqa: ANN401 - Exported, imported late
            status.update(f"exporting: {done.queries} queries, {done.events} events")

        done = asyncio.run(_export(settings, (queries, events), progress, follow=follow, anew=anew))
    if as_json:
        typer.echo(json.dumps(done))
        return
    typer.echo(f"{done['queries']} queries, {done['events']} events exported to {queries}, {events}")
    for reason in done["reasons"]:
        typer.echo(f"refused: {reason}", err=True)


async def _export(
    settings: Settings, names: tuple[str, str], progress: Callable[[Any], None], *, follow: bool, anew: bool
) -> dict[str, Any]:
    import signal

    from agent.exchange.exporting import Exporter
    from agent.retrieval.ubi_indices import UbiIndices
    from feedback.clock import wall_clock
    from feedback.periodic import rest
    from feedback.stores import connect

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT) if follow else ():
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        connect(settings.redis.state_url, settings.redis.timeout_s) as redis,
        UbiIndices(settings.opensearch, queries=names[0], events=names[1]) as indices,
    ):
        made = await indices.ensure()
        exporter = Exporter(redis, settings.keys, settings.feedback, indices, wall_clock)
        if anew:
            await exporter.begin_anew()
        await exporter.run(progress)
        while follow and not stop.is_set():
            await rest(stop, EVERY_S)
            await exporter.run(progress)
        return {**exporter.done.as_dict(), "templates": list(made)}


@importing.command("clicks")
def import_clicks(
    logs: Annotated[
        list[Path], typer.Argument(help="user, query, product_id, query_time, click_time; tab-separated.")
    ],
    *,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Play click logs into the evidence at their own times; a log that was begun goes on. Stop collectors."""
    from agent.evaluate.backtest_world import event_of
    from agent.evaluate.clicklog import read_clicks

    settings = settings_for(config, "import")
    log = read_clicks(logs)
    clicks = sorted(log.clicks, key=lambda click: click.click_at_ms)
    records = [event_of(click, settings.tenant) for click in clicks]
    _played(settings, records, logs, log.bad, {}, as_json=as_json)


@importing.command("ubi")
def import_ubi(
    *,
    queries: Annotated[Path | None, typer.Option(help="UBI queries, one JSON object a line.")] = None,
    events: Annotated[Path | None, typer.Option(help="UBI events, one JSON object a line.")] = None,
    size: Annotated[int, typer.Option(min=1, max=100, help="Of a query's hits, how many were shown.")] = 10,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Play a UBI log into the evidence at its own times; one that was begun goes on. Stop collectors."""
    from agent.exchange.ubi_log import UbiReader

    files = [path for path in (queries, events) if path is not None]
    if not files:
        raise typer.BadParameter("name --queries, --events or both")
    settings = settings_for(config, "import")
    log = UbiReader(settings, size=size).read(queries, events)
    _played(settings, log.records, files, log.bad, {"ignored": log.ignored}, as_json=as_json)


@importing.command("esci")
def import_esci(
    examples: Annotated[Path, typer.Option(help="shopping_queries_dataset_examples, Parquet or CSV.")],
    out: Out,
    *,
    products: Annotated[Path | None, typer.Option(help="shopping_queries_dataset_products.")] = None,
    locale: Annotated[str, typer.Option(help="us, es or jp.")] = "us",
    small: Annotated[bool, typer.Option("--small", help="The small version alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make labels and a catalogue of the Shopping Queries Data Set: exact 1, substitute .1, else less."""
    from agent.exchange.datasets import esci

    steps = esci(examples, products, locale=locale, small=small)
    _labelled(steps, f"esci {locale} {small}", out, as_json=as_json)


@importing.command("homedepot")
def import_homedepot(
    train: Annotated[Path, typer.Option(help="train.csv of the competition.")],
    out: Out,
    *,
    descriptions: Annotated[Path | None, typer.Option(help="product_descriptions.csv.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make labels (1 to 3) and a catalogue of Home Depot Product Search Relevance."""
    from agent.exchange.datasets import homedepot

    _labelled(homedepot(train, descriptions), "homedepot", out, as_json=as_json)


@importing.command("amazon-c4")
def import_amazon_c4(
    test: Annotated[Path, typer.Option(help="test.csv.")],
    out: Out,
    *,
    metadata: Annotated[Path | None, typer.Option(help="sampled_item_metadata_1M.jsonl.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make labels (the item that was bought) and a catalogue of Amazon-C4's long requests."""
    from agent.exchange.datasets import amazon_c4

    _labelled(amazon_c4(test, metadata), "amazon-c4", out, as_json=as_json)


def _labelled(steps: "Sequence[Step]", source: str, out: Path, *, as_json: bool) -> None:
    from rich.console import Console

    from agent.exchange.labels import import_labels

    named = "|".join([source, *(f"{one.path.name}:{_size(one.path)}:{one.target}" for one in steps)])
    with Console(stderr=True).status("importing") as status:
        done = import_labels(
            steps, named, out, progress=lambda name, n: status.update(f"importing: {name}, {n} rows")
        )
    _name_bad(done.named, done.bad)
    if as_json:
        typer.echo(json.dumps(done.as_dict()))
    else:
        typer.echo(f"{done.products} products, {done.judgments} judgments in {out}; {done.bad} rows left out")


def _played(
    settings: Settings,
    records: "Sequence[Played]",
    files: "Sequence[Path]",
    bad: "Sequence[BadLine]",
    more: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    from rich.console import Console

    from feedback.text import digest

    log = digest("|".join(f"{path.name}:{_size(path)}" for path in files))
    with Console(stderr=True).status("importing") as status:

        def progress(n: int) -> None:
            status.update(f"importing: {n} of {len(records)}")

        reached, played = asyncio.run(_play(settings, records, log, progress))
    _name_bad(bad, len(bad))
    done = {"records": len(records), "before": reached, "played": played, "bad": len(bad), **more}
    if as_json:
        typer.echo(json.dumps(done))
    else:
        typer.echo(
            f"{played} of {len(records)} records played, {reached} were before; {len(bad)} lines left out"
        )


async def _play(
    settings: Settings, records: "Sequence[Played]", log: str, progress: Callable[[int], None]
) -> tuple[int, int]:
    from agent.exchange.playing import Player
    from feedback.stores import connect

    async with connect(settings.redis.state_url, settings.redis.timeout_s) as redis:
        return await Player(redis, settings.keys, settings.feedback).play(records, log, progress)


def _name_bad(bad: "Sequence[BadLine]", n: int) -> None:
    for one in bad[:MOST_SAID]:
        typer.echo(f"{one.file}, line {one.line}: {one.reason}", err=True)
    if n > MOST_SAID:
        typer.echo(f"{n} lines were left out in all", err=True)


def _size(path: Path) -> int:
    from agent.errors import Permanent

    try:
        return path.stat().st_size
    except OSError as error:
        raise Permanent(f"{path} cannot be read: {error}") from error
