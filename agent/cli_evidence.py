"""Commands of `unseen` that say what the evidence holds, and the settings that all commands load."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from agent.settings import Settings

Config = Annotated[
    Path | None, typer.Option(help="A TOML file of settings; the environment (UNSEEN_...) stands above it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


def settings_for(config: Path | None, process: str) -> Settings:
    """Load the settings and set up the logs of a process."""
    from agent.logs import configure

    settings = Settings.load(config)
    configure(settings.log, process=process)
    return settings


def exploration(
    days: Annotated[int, typer.Option(min=1, max=3650, help="Looked back, today among them.")] = 7,
    *,
    policies: Annotated[
        str,
        typer.Option(help="Of samples, proposals, likeliest and latest (needs the model); comma between."),
    ] = "samples,proposals,likeliest",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    config: Config = None,
) -> None:
    """Tell what is tried out on shoppers, what it costs them, and what other policies would be worth."""
    from rich.console import Console

    from agent.evaluate.exploration import preferences, read, table

    names = list(dict.fromkeys(name.strip() for name in policies.split(",") if name.strip()))
    figures = asyncio.run(read(settings_for(config, "exploration"), days=days, policies=names))
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        Console().print(table(figures), preferences(figures))


def ranks(
    *,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say how likely each rank is looked at, what that rests on, and whether arms join all ranks."""
    from feedback.examination.ranks import report

    settings = settings_for(config, "ranks")
    said = asyncio.run(report(settings.redis, settings.keys, settings.feedback))
    _tell(said, 16, as_json=as_json)


def purchases(
    *,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say by which rule purchases found their page, what was given back, and which share is still to come."""
    from feedback.collecting.purchases import report

    settings = settings_for(config, "purchases")
    said = asyncio.run(report(settings.redis, settings.keys, settings.feedback))
    _tell(said, 26, as_json=as_json)


def evidence(
    query: Annotated[str, typer.Argument(help="As shoppers type it.")],
    *,
    rewrite: Annotated[str, typer.Option(help="Search it too and say what it gains over the query.")] = "",
    level: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the bounds.")] = 0.95,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say what each object is worth for a query and what a rewrite gains, with their bounds."""
    from agent.verify.telling import tell

    told = asyncio.run(tell(settings_for(config, "evidence"), query, rewrite=rewrite, level=level))
    if as_json:
        typer.echo(json.dumps(told))
        return
    gain = [{"object_id": f"gain of: {rewrite}", **told["gain"]}] if rewrite else []
    if not told["objects"]:
        typer.echo(f"no page or click of {told['query']!r} is known")
    for row in [*told["objects"], *gain]:
        typer.echo(f"{row['object_id']:30} {row['mean']:+.4f}  ({row['low']:+.4f} to {row['high']:+.4f})")


def lending(
    query: Annotated[
        str | None, typer.Argument(help="Say what it is offered, too; as shoppers type it.")
    ] = None,
    *,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say on which terms judged queries lend their words to others, and whether that is known to pay."""
    from agent.lending.telling import as_text, tell

    told = asyncio.run(tell(settings_for(config, "lending"), query))
    typer.echo(json.dumps(told) if as_json else as_text(told))


def shadow(
    days: Annotated[int, typer.Option(min=1, max=3650, help="Looked back, today among them.")] = 7,
    *,
    queries: Annotated[
        int, typer.Option(min=0, max=10_000, help="The most asked ones, whose gain is looked up.")
    ] = 200,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say what shadow (serve.shadow) would have done: rungs, rewrites, and what they gain by raw's clicks."""
    from rich.console import Console

    from agent.evaluate.shadowing import read
    from agent.evaluate.shadowing_view import report

    settings = settings_for(config, "shadow")
    with Console(stderr=True).status("reading the ledger and searching the catalogue"):
        told = asyncio.run(read(settings, days=days, queries=queries))
    if as_json:
        typer.echo(json.dumps(told))
    else:
        Console().print(*report(told), sep="\n")


def half_life(
    *,
    clicks: Annotated[
        list[Path] | None, typer.Option(help="Click logs, as for backtest, in place of the ledger.")
    ] = None,
    first: Annotated[
        float, typer.Option(min=0.1, max=1.0, help="Share of the clicks that is read: leave out what judges.")
    ] = 1.0,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say which half-life of evidence predicts each day's clicks best from the days before."""
    from rich.console import Console

    from agent.evaluate.clicklog import read_clicks
    from feedback.evidence.half_life import Clicked, compare
    from feedback.evidence.ledger_days import read_clicked

    settings = settings_for(config, "half-life")
    if clicks:
        found = [Clicked(c.click_at_ms, c.query, c.object_id) for c in read_clicks(clicks).clicks]
    else:
        with Console(stderr=True).status("reading the ledger"):
            found = asyncio.run(read_clicked(settings.redis, settings.keys, settings.feedback))
    said = compare(sorted(found)[: int(first * len(found))])
    typer.echo(json.dumps(said.as_dict()) if as_json else said.as_text(settings.feedback.half_life_s))


def _tell(said: Mapping[str, object], width: int, *, as_json: bool) -> None:
    """Print figures, a line each, their names so many characters wide."""
    lines = (f"{name:{width}} {value}" for name, value in said.items())
    typer.echo(json.dumps(said) if as_json else "\n".join(lines))
