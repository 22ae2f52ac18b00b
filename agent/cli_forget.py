"""The command that forgets a client: what it costs first, then, once confirmed, all of it.

Guarantees that nothing is changed before the confirmation, that no output names the client, and that
running it again finishes what was killed. A version that serves or is on trial goes on: the output says how
to take it out. A client is found by the secret that its rows were written under: those of an earlier one are
nobody's, and go when the ledger drops their day.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from redis.asyncio import Redis

from agent.cli_evidence import Config, settings_for
from agent.cli_release import By, me
from agent.settings import Settings
from agent.signing import pseudonym_of
from feedback.clock import wall_clock
from feedback.erasing import Eraser, Erasure, goes_back_to, taught
from feedback.stores import connect

TIMEOUT_S = 60.0
"""Of one command, at least: a partition changes in one transaction, however much that is."""


@dataclass(frozen=True, kw_only=True)
class Versions:
    """What the client taught, and what becomes of it."""

    taught: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    """Of those, the ones that go."""
    serving: int = 0
    """Of those, the one that serves and goes on; 0: none."""
    on_trial: int = 0
    back_to: int = 0
    """Where the learner goes back to, or to a checkpoint after it; 0: the base model."""
    repeats_steps: int = 0
    """Optimiser steps between the two newest points that the versions tell of."""


def forget(
    client: Annotated[
        str,
        typer.Option("--client", metavar="ID", help="As the shop sends it (client_id), or a client_token."),
    ] = "",
    *,
    stored: Annotated[
        str, typer.Option("--pseudonym", metavar="ID", help="In place of --client: as it stands in Redis.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would cost.")] = False,
    by: By = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    config: Config = None,
) -> None:
    """Delete every trace of a client, take its clicks out of the evidence and out of what was learned."""
    settings = settings_for(config, "forget")
    client = stored or pseudonym_of(settings, client)
    planned, versions, pending = asyncio.run(_plan(settings, client))
    does = (planned.any or pending) and not dry_run
    if not as_json or (does and not yes):
        _say(planned, versions, pending=pending, err=as_json)
    if does and not yes:
        typer.confirm("Forget this client?", abort=True, err=True)
    if does:
        planned, versions = asyncio.run(_forget(settings, client, by or me()))
    if as_json:
        typer.echo(json.dumps({**planned.as_dict(), **asdict(versions), "forgotten": does}))
    elif does:
        typer.echo("forgotten")


async def _plan(settings: Settings, client: str) -> tuple[Erasure, Versions, bool]:
    """Return the figures, and whether there is learning to undo, be it an earlier erasure's."""
    async with _redis(settings) as redis:
        eraser = Eraser(redis=redis, keys=settings.keys, settings=settings.feedback, clock=wall_clock)
        planned, first = await eraser.plan(client)
        return planned, await _versions(redis, settings, first), bool(first)


async def _forget(settings: Settings, client: str, by: str) -> tuple[Erasure, Versions]:
    from rich.console import Console

    async with _redis(settings) as redis:
        with Console(stderr=True).status("forgetting") as status:
            eraser = Eraser(
                redis=redis,
                keys=settings.keys,
                settings=settings.feedback,
                clock=wall_clock,
                say=status.update,
            )
            async with eraser.alone() as lease:
                erased, first = await eraser.erase(client)
                status.update("dropping versions")
                versions = await _versions(redis, settings, first)
                await _drop(redis, settings, versions)
                await eraser.finish(lease, by=by, erased=erased.any)
    return erased, versions


async def _versions(redis: Redis, settings: Settings, first: Mapping[str, str]) -> Versions:
    from agent.weights.registry import Registry

    registry = Registry(redis, settings.keys)
    manifests, serving, trial = (
        await registry.versions(),
        await registry.stable_version(),
        await registry.trial(),
    )
    tainted = [one.version for one in taught(manifests, first)]
    going_on = {serving, trial.version if trial else 0}
    back_to, steps = goes_back_to(manifests, first)
    return Versions(
        taught=tuple(tainted),
        dropped=tuple(n for n in tainted if n not in going_on),
        serving=serving if serving in tainted else 0,
        on_trial=trial.version if trial and trial.version in tainted else 0,
        back_to=back_to.version if back_to and tainted else 0,
        repeats_steps=steps if tainted else 0,
    )


async def _drop(redis: Redis, settings: Settings, versions: Versions) -> None:
    """Delete the files, but those that a version which stays has too, then the versions."""
    from agent.weights.registry import Registry
    from agent.weights.store import AdapterStore

    registry = Registry(redis, settings.keys)
    manifests = await registry.versions()
    needed = {one.uri for one in manifests if one.version not in versions.dropped}
    going = [one for one in manifests if one.version in versions.dropped and one.uri not in needed]
    await asyncio.to_thread(AdapterStore(settings.weights_dir).remove, going)
    await registry.drop(versions.dropped)


def _say(planned: Erasure, versions: Versions, *, pending: bool, err: bool) -> None:
    for line in _lines(planned, versions, pending=pending):
        typer.echo(line, err=err)


def _lines(planned: Erasure, versions: Versions, *, pending: bool) -> list[str]:
    if not planned.any and not pending:
        return ["nothing is known of this client: 0 rows"]
    figures = {name.replace("_", " "): n for name, n in planned.as_dict().items() if name != "before_ms"}
    lines = [f"{name:14} {n}" for name, n in figures.items()]
    if not planned.any:
        lines = ["nothing is known of this client; an earlier erasure is to be finished"]
    if planned.before_ms is not None:
        lines.append(f"{'first row':14} {datetime.fromtimestamp(planned.before_ms / 1000, tz=UTC):%F %T} UTC")
    return lines + _lines_of(versions)


def _lines_of(versions: Versions) -> list[str]:
    if not versions.taught:
        return ["no version was taught by it"]
    origin = f"version {versions.back_to}" if versions.back_to else "the base model"
    going_on = {"serves": versions.serving, "is on trial": versions.on_trial}
    return [
        f"versions taught by it: {_named(versions.taught)}; deleted: {_named(versions.dropped)}",
        f"the learner goes back to {origin}, or to a checkpoint since",
        f"optimiser steps done again: {versions.repeats_steps} at most, and those since the newest version",
        *(
            f"version {n}, taught by it too, {does} until one from the learner gone back takes its place; "
            "`unseen rollback` takes it out at once"
            for does, n in going_on.items()
            if n
        ),
    ]


def _named(versions: tuple[int, ...]) -> str:
    return ", ".join(map(str, versions)) or "none"


def _redis(settings: Settings) -> Redis:
    return connect(settings.redis.state_url, max(TIMEOUT_S, settings.redis.timeout_s))
