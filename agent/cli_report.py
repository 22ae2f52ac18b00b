"""The command `unseen report`, and what all commands that write a report share."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli_evidence import AsJson, Config, settings_for

if TYPE_CHECKING:
    from agent.reporting.files import Places

WEEK = 7
OUT = Path("report/week.html")
Report = Annotated[
    Path | None,
    typer.Option(help="Write the figures there as JSON, and a page to look at beside it (.html)."),
]


def look_where(report: Path | None) -> None:
    """See that a report can be written before the work for it begins; raises Permanent where it cannot."""
    if report is not None:
        from agent.reporting.files import may_write

        may_write(report)


def say_where(places: "Places") -> None:
    """Tell where the report lies."""
    typer.echo(f"The report: {places.page}; its figures as JSON: {places.figures}", err=True)


def report(
    *,
    week: Annotated[
        bool, typer.Option("--week", help="The last seven days: so it is without --days.")
    ] = False,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Looked back instead, today among them.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"The page; its figures as JSON lie beside it. {OUT}, unless --json prints them."),
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Write a week of the live system as a page: searches, lift, harm, versions, rewrites, streams."""
    from rich.console import Console

    from agent.reporting.command import command_line
    from agent.reporting.files import finite, save
    from agent.reporting.of_week import document
    from agent.watching.week import read

    if week and days not in (None, WEEK):
        raise typer.BadParameter(f"--week is {WEEK} days: give one of the two", param_hint="--days")
    where = out or (None if as_json else OUT)
    look_where(where)
    settings = settings_for(config, "report")
    with Console(stderr=True).status("reading the ledger, the verdicts and the versions"):
        figures = asyncio.run(read(settings, days=days or WEEK, command=command_line()))
    if where:
        say_where(save(where, figures, document))
    if as_json:
        typer.echo(json.dumps(finite(figures)))
