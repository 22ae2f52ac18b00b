"""Commands of `unseen` that say why: what a query gets now, what taught a version. They change nothing."""

import asyncio
import json
from typing import Annotated, Any

import typer

from agent.cli_evidence import Config, settings_for
from agent.settings import Settings

Query = Annotated[str, typer.Option("--query-id", metavar="ID", help="A page, as /search named it.")]
EventId = Annotated[str, typer.Option("--event-id", metavar="ID", help="An event, as the shop named it.")]
ObjectId = Annotated[
    str, typer.Option("--object-id", "--object", metavar="ID", help="With --query-id: what was done with it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def explain(
    query: Annotated[str, typer.Argument(help="As shoppers type it.")],
    *,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Leave out what the versions write: no model is loaded.")
    ] = False,
    versions: Annotated[
        str,
        typer.Option(
            help="Whose words are told: numbers, comma between; 0 is the base model. By default those that "
            "serve, are on trial, wait or served."
        ),
    ] = "",
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say what a query gets now, which rung answers and why, and what raw and each version make of it."""
    from rich.console import Console

    from agent.evaluate.explaining_reading import Wanted, read
    from agent.evaluate.explaining_view import explanation

    wanted = Wanted(query=query, versions=_numbers(versions), model=not no_model)
    settings = settings_for(config, "explain")
    with Console(stderr=True).status("reading what is known") as status:
        told = asyncio.run(read(settings, wanted, say=status.update))
    if as_json:
        typer.echo(json.dumps(told))
    else:
        Console().print(*explanation(told), sep="\n")


def _numbers(versions: str) -> list[int] | None:
    """Return the versions that are named; None: none are."""
    names = [name.strip() for name in versions.split(",") if name.strip()]
    if bad := [name for name in names if not name.isdecimal()]:
        raise typer.BadParameter(f"--versions: {bad[0]!r} is no version number")
    return [int(name) for name in names] or None


def lineage(
    query_id: Query = "",
    event_id: EventId = "",
    object_id: ObjectId = "",
    version: Annotated[int, typer.Option(min=0, help="What moved this version.")] = 0,
    *,
    chain: Annotated[bool, typer.Option("--chain", help="What moved its ancestors, too.")] = False,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="Events and queries that are shown.")] = 20,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Follow a page to the events that made it, or an event to the versions that it taught.

    A page: unseen lineage --query-id ID. A version: --version N. An event: --event-id ID, or
    --query-id ID --object-id O.

    What is told is bounded by what is kept: ledger rows for feedback.ledger_days, the learner's steps by
    learner.keep_batches, versions by release.keep_versions. The output says where it came to such an end.
    """
    _refuse_two_questions(query_id, event_id, object_id, version)
    from rich.console import Console

    from agent.evaluate import lineage_view as view
    from agent.evaluate.lineage_telling import Scope, of_event, of_page, of_version, opened

    scope = Scope(chain=chain, most=most)

    async def tell(settings: Settings) -> dict[str, Any]:
        async with opened(settings) as world:
            if version:
                return await of_version(world, version, scope)
            if event_id or object_id:
                return await of_event(world, event_id=event_id, query_id=query_id, object_id=object_id)
            return await of_page(world, query_id, scope)

    settings = settings_for(config, "lineage")
    with Console(stderr=True).status("reading the ledger"):
        told = asyncio.run(tell(settings))
    shows = view.of_version if version else view.of_event if event_id or object_id else view.of_page
    if as_json:
        typer.echo(json.dumps(told))
    else:
        Console().print(*shows(told), sep="\n")


def _refuse_two_questions(query_id: str, event_id: str, object_id: str, version: int) -> None:
    if sum(map(bool, (version, event_id, query_id))) != 1 or (object_id and not query_id):
        raise typer.BadParameter("name one of --query-id, --event-id, --version; --object-id with --query-id")
