"""The commands about clients that may not teach: who they are, and what an operator decides.

Guarantees that no output names a client by more than its digest. A collector follows within
``feedback.guard.settle_s``: what the client taught goes out of the evidence, or comes back.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from agent.cli_evidence import AsJson, Config, settings_for
from agent.cli_release import Because, By, me
from agent.settings import Settings
from agent.signing import pseudonym_of
from feedback.clock import wall_clock
from feedback.errors import Permanent
from feedback.records import Quarantined
from feedback.stores import connect
from feedback.text import digest

if TYPE_CHECKING:
    from feedback.guard.quarantine import Quarantine

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, help="Clients whose clicks teach nothing.")
Digests = Annotated[
    list[str] | None, typer.Argument(metavar="DIGEST...", help="As unseen quarantine list shows them.")
]
ClientId = Annotated[
    str | None,
    typer.Option("--client", metavar="ID", help="As the shop sends it (client_id), or a client_token."),
]


@app.command("list")
def list_(
    *,
    every: Annotated[bool, typer.Option("--all", help="Released ones too.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List the clients in quarantine with reason, score, ring and since when."""
    found = _with_store(settings_for(config, "quarantine"), lambda store: store.all())
    shown = {client: one for client, one in found.items() if every or not one.released}
    if as_json:
        typer.echo(json.dumps({"clients": [_as_dict(client, one) for client, one in shown.items()]}))
    elif not shown:
        typer.echo("nobody is in quarantine")
    else:
        for client, one in sorted(shown.items(), key=lambda item: (item[1].ring, item[0])):
            typer.echo(_line(client, one))


@app.command()
def add(
    clients: Digests = None,
    *,
    client: ClientId = None,
    why: Because = "",
    by: By = "",
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Let clients teach nothing from now on, and take out what they taught."""
    settings = settings_for(config, "quarantine")
    chosen = _chosen(settings, clients, client)

    async def put(store: "Quarantine") -> int:
        for one in chosen:
            await store.add(one, by=by or me(), why=why or "an operator's decision")
        return len(chosen)

    n = _with_store(settings, put)
    typer.echo(json.dumps({"quarantined": n}) if as_json else f"{n} quarantined")


@app.command()
def release(
    clients: Digests = None,
    *,
    client: ClientId = None,
    ring: Annotated[str, typer.Option(help="All members of this ring.")] = "",
    why: Because = "",
    by: By = "",
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Let clients teach again, and put back what they taught; they are not found anew."""
    settings = settings_for(config, "quarantine")

    async def free(store: "Quarantine") -> int:
        held = await store.all()
        members = [name for name, one in held.items() if ring and one.ring == ring and not one.released]
        chosen = members or _chosen(settings, clients, client)
        return await store.release(chosen, by=by or me(), why=why or "an operator's decision")

    n = _with_store(settings, free)
    typer.echo(json.dumps({"released": n}) if as_json else f"{n} released")


def _chosen(settings: Settings, clients: list[str] | None, client: str | None) -> list[str]:
    """Return digests, as the ledger names clients: of their pseudonyms, not of the shop's ids."""
    named = [digest(pseudonym_of(settings, client))] if client else []
    chosen = [*(clients or []), *named]
    bad = next((one for one in chosen if not _is_digest(one)), None)
    if bad is not None:
        raise Permanent(f"{bad!r} is no digest: 16 hexadecimal characters, or name the client by --client")
    if not chosen:
        raise Permanent("name a client: digests, or --client ID")
    return chosen


def _is_digest(text: str) -> bool:
    return len(text) == len(digest("")) and all(c in "0123456789abcdef" for c in text)


def _as_dict(client: str, one: Quarantined) -> dict[str, str | float | bool | int]:
    return {
        "client": client,
        "reason": one.reason,
        "score": round(one.score, 2),
        "ring": one.ring,
        "since_ms": one.since_ms,
        "by": one.by,
        "released": one.released,
    }


def _line(client: str, one: Quarantined) -> str:
    since = datetime.fromtimestamp(one.since_ms / 1000, tz=UTC)
    state = "released" if one.released else "held"
    return f"{client}  {state:8}  {one.reason:10} {one.score:7.1f}  {one.ring or '-':16}  {since:%F %T} UTC"


def _with_store(settings: Settings, act: Callable[["Quarantine"], Awaitable[T]]) -> T:
    from feedback.guard.quarantine import Quarantine

    async def run() -> T:
        async with connect(settings.redis.state_url, settings.redis.timeout_s) as redis:
            return await act(Quarantine(redis, settings.keys, wall_clock))

    return asyncio.run(run())
