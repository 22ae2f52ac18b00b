"""The command that shows a shop's search templates, and holds them against the live index."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import typer

from agent.cli_evidence import AsJson, Config, settings_for
from agent.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

    from agent.retrieval.templates import Template


def templates(*, as_json: AsJson = False, config: Config = None) -> None:
    """Show the search templates and what the live index says of them; exit code 1 where one does not fit."""
    said = asyncio.run(_look(settings_for(config, "templates")))
    if as_json:
        typer.echo(json.dumps(said))
    else:
        from rich.console import Console

        console = Console()
        console.print(_table(said["templates"]))
        for fault in said["faults"]:
            console.print(fault, markup=False, highlight=False, style="red")
        if not said["faults"]:
            console.print(f"They fit the index {said['index']}.")
    if said["faults"]:
        raise typer.Exit(1)


async def _look(settings: Settings) -> dict[str, Any]:
    """Return the templates and their faults; raises SearchFailed."""
    from agent.retrieval import Catalogue

    async with Catalogue(settings.opensearch) as catalogue:
        faults = await catalogue.faults()
        described = [_described(template) for template in catalogue.templates]
    return {"index": settings.opensearch.index, "templates": described, "faults": faults}


def _described(template: "Template") -> dict[str, Any]:
    return {
        "template": template.name,
        "mode": template.mode,
        "min_hits": template.min_hits,
        "interleaved": template.mixes,
        "parameters": {
            name: {"default": one.default, "segment_by": one.segment_by, "replay": one.replay}
            for name, one in template.parameters.described.items()
        },
    }


def _table(described: list[dict[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table("template", "mode", "parameters", "split evidence", title="Search templates")
    for one in described:
        split = [name for name, parameter in one["parameters"].items() if parameter["segment_by"]]
        mode = f"{one['mode']}, below {one['min_hits']} hits recall" if one["min_hits"] else one["mode"]
        table.add_row(one["template"], mode, ", ".join(one["parameters"]) or "-", ", ".join(split) or "-")
    return table
