"""Commands of `unseen` about what was learned, for a person who wants to know why."""

import asyncio
import json
from typing import Annotated

import typer

from agent.cli_evidence import Config, settings_for


def replay(
    start: Annotated[int, typer.Option("--from", min=0, help="A version; 0: the base model.")],
    end: Annotated[int, typer.Option("--to", min=1, help="The version that is made again.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    config: Config = None,
) -> None:
    """Make a version again from recorded batches; exit code 1 where it does not come out equal."""
    from rich.console import Console

    from agent.learner.replaying import replay as made_again

    settings = settings_for(config, "replay")
    with Console(stderr=True).status("making the version again"):
        made = asyncio.run(made_again(settings, start=start, end=end))
    typer.echo(json.dumps(made.as_dict()) if as_json else made.as_text())
    if not made.equal:
        raise typer.Exit(1)
