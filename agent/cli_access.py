"""The command that changes a tenant's secret, and says first what ends with the old one."""

import json
from typing import Annotated

import typer

from agent.cli_evidence import Config, settings_for
from agent.cli_release import Yes
from agent.errors import Permanent
from feedback.access import read_secret, replace_secret

ENDS = (
    "joins: events of pages shown before are refused; purchases still to come of them do not count",
    "arms: each client is a new one, and its arm is drawn anew; let a trial end first (unseen versions)",
    "browsers' client tokens: until the next /search they are anonymous",
    "tracing: rows written before are nobody's: `unseen forget --client` finds none; they go by age",
)


def rotate_secret(
    *,
    yes: Yes = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    config: Config = None,
) -> None:
    """Put a fresh secret in the place of the old one: pages, arms and pseudonyms of before end.

    Gateways take it when they start. Where the secret comes from a setting (access.secret), set another one
    there and start them anew: the same ends.
    """
    settings = settings_for(config, "rotate-secret")
    path = settings.secret_file
    if settings.access.secret is not None:
        raise Permanent("access.secret: the secret comes from this setting; set another one there")
    if read_secret(path) is None:
        raise Permanent(f"secret: {path} does not exist: there is nothing to replace")
    if not yes:
        typer.echo("\n".join(("with the old secret end", *(f"  {end}" for end in ENDS))), err=True)
        typer.confirm(f"Replace {path}?", abort=True, err=True)
    replace_secret(path)
    if as_json:
        typer.echo(json.dumps({"file": str(path), "ended": list(ENDS)}))
    else:
        typer.echo(f"replaced {path}; start every gateway anew: until then it goes on with the old secret")
