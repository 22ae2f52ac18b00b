"""Commands of `unseen` that say how it is: all that it stands on, and what the loop does."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli_evidence import AsJson, Config, settings_for
from agent.settings import Settings

if TYPE_CHECKING:
    from agent.watching.status import StatusReader

RATE_S = 2.0
"""A gateway says its totals every second."""


def doctor(*, as_json: AsJson = False, config: Config = None) -> None:
    """Look at all that Unseen stands on and say what to do; exit code 1 where a check failed.

    Settings, Python and libraries, disk, secret, ports, model, OpenSearch and the index, Redis, clocks, and
    which processes live. Changes nothing and takes a few seconds at most.
    """
    from rich.console import Console

    from agent import logs
    from agent.doctor.examining import examine, report
    from agent.doctor.view import table, verdict
    from agent.sections import LogSettings

    logs.configure(LogSettings(level="error"), process="doctor")  # a server that is away is told below, once
    with Console(stderr=True).status("looking"):
        checks = asyncio.run(examine(config))
    said = report(checks)
    if as_json:
        typer.echo(json.dumps(said))
    else:
        Console().print(table(checks), verdict(checks))
    if not said["ok"]:
        raise typer.Exit(1)


def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
    every_s: Annotated[
        float, typer.Option("--every-s", min=0.5, help="Seconds between two looks with --watch.")
    ] = 2.0,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say what the loop does now: searches, arms, streams, evidence, verdicts, versions, learner, alarms.

    From the store alone. Exit code 0, whatever it says; 1 where Redis is away. With --watch --json one object
    a line.
    """
    settings = settings_for(config, "status")
    if not watch:
        asyncio.run(_once(settings, as_json=as_json))
        return
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_again(settings, every_s, as_json=as_json))


async def _once(settings: Settings, *, as_json: bool) -> None:
    """Look; where there is a gateway or a collector, long enough to say how fast it works."""
    from rich.console import Console

    from agent.watching.status_view import screen

    async with _reader(settings) as reader:
        if await reader.rates():
            with Console(stderr=True).status(f"counting for {RATE_S:g} s"):
                await asyncio.sleep(RATE_S)
        told = await reader.look()
    if as_json:
        typer.echo(json.dumps(told))
    else:
        Console().print(screen(told))


async def _again(settings: Settings, every_s: float, *, as_json: bool) -> None:
    """Look until Ctrl-C; a Redis that is away is said, and asked again."""
    from redis.exceptions import RedisError
    from rich.live import Live
    from rich.text import Text

    from agent.watching.status_view import screen

    async with _reader(settings) as reader:
        with contextlib.nullcontext() if as_json else Live(auto_refresh=False) as live:
            while True:
                try:
                    told = await reader.look()
                    shown = screen(told)
                except (RedisError, OSError) as error:
                    told, shown = {"error": f"redis: {error}"}, Text(f"redis: {error}; `unseen doctor`")
                if live is None:
                    typer.echo(json.dumps(told))
                else:
                    live.update(shown, refresh=True)
                await asyncio.sleep(every_s)


@contextlib.asynccontextmanager
async def _reader(settings: Settings) -> AsyncIterator["StatusReader"]:
    from agent.watching.status import StatusReader
    from feedback.clock import wall_clock
    from feedback.stores import connect

    async with connect(settings.redis.state_url, settings.redis.timeout_s) as redis:
        yield StatusReader(redis, settings, wall_clock)
