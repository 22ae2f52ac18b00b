"""Commands of `unseen dead`: entries of the streams that could not be read."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from agent.cli_evidence import AsJson, Config, settings_for
from agent.cli_release import Yes
from agent.settings import Settings
from feedback.clock import wall_clock
from feedback.delivery.dead_letters import DeadLetters, Letter, Which, by_reason
from feedback.errors import Permanent
from feedback.keys import StreamKind
from feedback.stores import connect

app = typer.Typer(
    no_args_is_help=True, help="Entries of the streams that could not be read: list, show, replay, drop."
)
Partition = Annotated[int | None, typer.Option(min=0, help="Only of this partition.")]
Stream = Annotated[StreamKind | None, typer.Option(help="Only of impressions, events, refinements or links.")]
Reason = Annotated[str, typer.Option(help="Only those whose reason has this in it.")]
OlderThan = Annotated[float, typer.Option("--older-than-s", min=0, help="Seconds since it was set aside.")]
NewerThan = Annotated[float, typer.Option("--newer-than-s", min=0, help="The same, at most.")]
Addresses = Annotated[
    list[str] | None, typer.Argument(help="Letters by address, as list prints them.", metavar="ADDRESS")
]
All = Annotated[bool, typer.Option("--all", help="All that the other options mean.")]


@app.command("list")
def list_letters(
    *,
    partition: Partition = None,
    stream: Stream = None,
    reason: Reason = "",
    older_than_s: OlderThan = 0.0,
    newer_than_s: NewerThan = math.inf,
    most: Annotated[int, typer.Option(min=1, help="Rows; the counts are of all.")] = 50,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List the letters, and how many there are by stream and reason."""
    settings = settings_for(config, "dead")
    which = _which(settings, partition, stream, reason, older_than_s, newer_than_s)
    letters, evicted = asyncio.run(_list(settings, which))
    counts = dict(by_reason(letters).most_common())
    if as_json:
        rows = [_row(letter) for letter in letters[:most]]
        typer.echo(
            json.dumps({"letters": rows, "by_reason": counts, "in_all": len(letters), "evicted": evicted})
        )
        return
    for letter in letters[:most]:
        typer.echo(f"{letter.address}  {_time(letter)}  {letter.stream}: {_one_line(letter.reason)}")
    for why, n in counts.items():
        typer.echo(f"{n:8}  {_one_line(why)}")
    typer.echo(f"{len(letters)} dead letters; {evicted} gave way to newer ones since the store began")


@app.command()
def show(
    address: Annotated[str, typer.Argument(help="As list prints it.")],
    *,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say all that is known of a letter: why it was set aside, and what it holds, byte for byte."""
    letter = asyncio.run(_get(settings_for(config, "dead"), address))
    content = letter.stored.decode(errors="backslashreplace")
    if as_json:
        typer.echo(json.dumps(_row(letter) | {"stored": content}))
        return
    typer.echo(f"{letter.address}  {_time(letter)}  {letter.stream}\n{_one_line(letter.reason)}\n{content!r}")


@app.command()
def replay(
    addresses: Addresses = None,
    *,
    everything: All = False,
    partition: Partition = None,
    stream: Stream = None,
    reason: Reason = "",
    older_than_s: OlderThan = 0.0,
    newer_than_s: NewerThan = math.inf,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Put entries back to the end of their streams; what still cannot be read becomes a letter again."""
    settings = settings_for(config, "dead")
    which = _which(settings, partition, stream, reason, older_than_s, newer_than_s)
    meant = asyncio.run(_meant(settings, addresses, which, everything=everything))
    able = [letter for letter in meant if letter.can_be_replayed]
    done = asyncio.run(_each(settings, able, DeadLetters.replay))
    _say({"replayed": done, "left": len(meant) - done}, as_json=as_json)


@app.command()
def drop(
    addresses: Addresses = None,
    *,
    everything: All = False,
    partition: Partition = None,
    stream: Stream = None,
    reason: Reason = "",
    older_than_s: OlderThan = 0.0,
    newer_than_s: NewerThan = math.inf,
    yes: Yes = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Take letters out for good."""
    settings = settings_for(config, "dead")
    which = _which(settings, partition, stream, reason, older_than_s, newer_than_s)
    meant = asyncio.run(_meant(settings, addresses, which, everything=everything))
    if meant and not yes:
        typer.confirm(f"Drop {len(meant)} dead letters?", abort=True, err=True)
    _say({"dropped": asyncio.run(_each(settings, meant, DeadLetters.drop))}, as_json=as_json)


def _which(
    settings: Settings,
    partition: int | None,
    stream: StreamKind | None,
    reason: str,
    older_than_s: float,
    newer_than_s: float,
) -> Which:
    if partition is not None and partition >= settings.keys.partitions:
        raise Permanent(f"--partition: there are {settings.keys.partitions}, from 0 on")
    return Which(
        partition=partition,
        stream=stream,
        reason=reason,
        older_than_s=older_than_s,
        newer_than_s=newer_than_s,
    )


async def _list(settings: Settings, which: Which) -> tuple[list[Letter], int]:
    async with _letters(settings) as letters:
        return [one async for one in letters.find(which, wall_clock())], await letters.evicted()


async def _get(settings: Settings, address: str) -> Letter:
    async with _letters(settings) as letters:
        return await letters.get(address)


async def _meant(
    settings: Settings, addresses: list[str] | None, which: Which, *, everything: bool
) -> list[Letter]:
    """Return the letters that are named, or all that are meant where it is said so."""
    if bool(addresses) == (everything or which != Which()):
        raise Permanent("name letters by address, or say --all or which ones by the other options; not both")
    async with _letters(settings) as letters:
        if addresses:
            return [await letters.get(address) for address in dict.fromkeys(addresses)]
        return [one async for one in letters.find(which, wall_clock())]


async def _each(settings: Settings, meant: list[Letter], act: Any) -> int:  # noqa: ANN401 - a method
    async with _letters(settings) as letters:
        return sum([await act(letters, letter) for letter in meant])


@asynccontextmanager
async def _letters(settings: Settings) -> AsyncIterator[DeadLetters]:
    async with connect(settings.redis.state_url, settings.redis.timeout_s) as redis:
        yield DeadLetters(redis, settings.keys, settings.feedback)


def _row(letter: Letter) -> dict[str, Any]:
    return {
        "address": letter.address,
        "partition": letter.partition,
        "stream": letter.stream,
        "reason": letter.reason,
        "set_aside_at_ms": letter.at_ms,
        "bytes": len(letter.stored),
        "can_be_replayed": letter.can_be_replayed,
    }


def _time(letter: Letter) -> str:
    return f"{datetime.fromtimestamp(letter.at_ms / 1000, tz=UTC):%F %T} UTC"


def _one_line(text: str) -> str:
    """Return a text that a terminal shows as it is."""
    return text.encode("unicode_escape").decode("ascii")


def _say(said: dict[str, int], *, as_json: bool) -> None:
    typer.echo(json.dumps(said) if as_json else ", ".join(f"{n} {what}" for what, n in said.items()))
