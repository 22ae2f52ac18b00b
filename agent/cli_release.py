"""Commands of `unseen` about versions of the policy: what there is, and what an operator does to it."""

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from agent.cli_evidence import AsJson, Config, settings_for
from agent.settings import Settings
from feedback.clock import wall_clock

if TYPE_CHECKING:
    from agent.release.desk import Desk

T = TypeVar("T")
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Because = Annotated[str, typer.Option("--why", help="For the audit log and whoever looks next.")]
By = Annotated[
    str, typer.Option("--by", help="Who does it, for the audit log; by default this machine's user.")
]
What = Annotated[Literal["learning", "releases"], typer.Argument(help="What stops, or goes on.")]


def versions(
    *,
    most: Annotated[int, typer.Option(min=1, help="Rows, the newest first.")] = 30,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List the versions: where each stands, since when, what it gained, and why."""
    import msgspec
    from rich.console import Console

    from agent.release import telling

    async def tell(desk: "Desk") -> tuple[Any, Any, Any]:
        return await desk.scene(), await desk.registry.versions(), await desk.registry.paused()

    scene, manifests, paused = _with_desk(settings_for(config, "versions"), tell)
    said = telling.rows(scene, manifests, wall_clock())[:most]
    if as_json:
        stopped = msgspec.to_builtins(dict(paused))
        typer.echo(json.dumps({"versions": said, "paused": stopped}))
    elif not said:
        typer.echo("no version yet: the base model serves until the learner makes one (unseen learner)")
    else:
        Console().print(telling.table(said, paused))


def show(
    version: Annotated[int, typer.Argument(min=1, help="Its number: unseen versions lists them.")],
    *,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say all that is known of a version: manifest, judgements, every figure with its limit, who did what."""
    from rich.console import Console

    from agent.errors import Permanent
    from agent.release import telling

    async def tell(desk: "Desk") -> tuple[Any, Any, Any]:
        scene = await desk.scene()
        if version not in scene.standings:
            raise Permanent(f"version {version} does not exist: unseen versions lists those that do")
        manifests = {one.version: one for one in await desk.registry.versions()}
        return scene.standings[version], manifests.get(version), await desk.registry.audit(10_000)

    standing, manifest, audit = _with_desk(settings_for(config, "show"), tell)
    said = telling.whole(manifest, standing, audit, wall_clock())
    if as_json:
        typer.echo(json.dumps(said))
        return
    console = Console()
    for name in ("version", "state", "age_s", "parent", "of", "steps"):
        console.print(f"{name:10} {said[name]}")
    if manifest is not None:
        console.print(f"{'file':10} {manifest.uri} (sha256 {manifest.sha256})")
        console.print(f"{'stands on':10} {manifest.base_model}, prompt {manifest.prompt_version}")
        rows = sum(window.rows for window in manifest.window.values())
        console.print(f"{'evidence':10} {rows} ledger rows since version {manifest.parent}")
    for judgement in standing.judgements:
        console.print(f"\n{telling.heading(judgement)}", markup=False, highlight=False)
        if judgement.figures:
            console.print(telling.judgement_table(judgement))


def promote(
    version: Annotated[int, typer.Argument(min=1, help="Its number: unseen versions lists them.")],
    *,
    why: Because = "",
    by: By = "",
    yes: Yes = False,
    force: Annotated[bool, typer.Option("--force", help="Though the gate refused it.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Let a version serve now, without a trial; one that served comes back under a new number."""
    settings = settings_for(config, "promote")
    _confirm(f"Let version {version} serve all shoppers of {settings.tenant} without a trial?", yes=yes)

    async def act(desk: "Desk") -> int:
        from agent.release import operating
        from agent.release.desk import Why
        from agent.weights.store import AdapterStore

        reason = Why(stage="operator", reason=why or "promoted by hand")
        store = AdapterStore(settings.weights_dir)
        return await operating.promote(desk, store, version, reason, force=force)

    number = _with_desk(settings, act, by)
    _say({"serves": number, "adapter_of": version}, f"version {number} serves", as_json=as_json)


def rollback(
    version: Annotated[
        int | None,
        typer.Argument(min=1, help="To go back to (by default what served before), or the one on trial."),
    ] = None,
    *,
    why: Because = "",
    by: By = "",
    yes: Yes = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Take the serving version out, or the one on trial; within seconds nothing comes from it."""
    settings = settings_for(config, "rollback")
    what = f"Go back to version {version}" if version else "Take the serving version out"
    _confirm(f"{what} (tenant {settings.tenant})?", yes=yes)

    async def act(desk: "Desk") -> tuple[int, int]:
        from agent.release import operating
        from agent.release.desk import Why
        from agent.weights.store import AdapterStore

        reason = Why(stage="operator", reason=why or "rolled back by hand")
        return await operating.roll_back(desk, AdapterStore(settings.weights_dir), version, reason)

    bad, number = _with_desk(settings, act, by)
    now = f"version {number} serves" if number else "no policy speaks: there was none to go back to"
    back = f"unseen promote {bad} brings it back"
    _say({"revoked": bad, "serves": number}, f"version {bad} is out, {now}; {back}", as_json=as_json)


def pause(
    what: What,
    *,
    why: Because = "",
    by: By = "",
    yes: Yes = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Stop learning, or releases, until resumed; what serves goes on, a trial that runs is still watched."""
    settings = settings_for(config, "pause")
    _confirm(f"Stop {what} of {settings.tenant}?", yes=yes)

    async def act(desk: "Desk") -> None:
        from feedback.version_records import Pause

        await desk.registry.pause(what, Pause(by=by or me(), at_ms=wall_clock(), why=why))

    _with_desk(settings, act)
    _say({"paused": what}, f"{what} paused; unseen resume {what} lets it go on", as_json=as_json)


def resume(
    what: What,
    *,
    why: Because = "",
    by: By = "",
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Let learning, or releases, go on."""

    async def act(desk: "Desk") -> bool:
        from feedback.version_records import AuditEntry

        entry = AuditEntry(at_ms=wall_clock(), by=by or me(), did=f"resumed {what}", why=why)
        return bool(await desk.registry.resume(what, entry))

    was = _with_desk(settings_for(config, "resume"), act)
    said = f"resumed {what}" if was else f"{what} not paused: nothing to resume"
    _say({"resumed": what, "was_paused": was}, said, as_json=as_json)


def audit(
    *,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="Entries.")] = 50,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say who did what to releases, when and why, the newest first."""
    import msgspec
    from rich.console import Console
    from rich.table import Table

    from agent.release.telling import age

    async def tell(desk: "Desk") -> Any:  # noqa: ANN401 - entries, as the registry gives them
        return await desk.registry.audit(most)

    entries = _with_desk(settings_for(config, "audit"), tell)
    if as_json:
        typer.echo(json.dumps([msgspec.to_builtins(one) for one in entries]))
        return
    if not entries:
        typer.echo("nothing was done yet")
        return
    shown = Table("ago", "who", "did", "version", "why")
    for one in entries:
        ago = age((wall_clock() - one.at_ms) / 1000)
        shown.add_row(ago, one.by, one.did, str(one.version or ""), one.why)
    Console().print(shown)


def _with_desk(settings: Settings, work: Callable[["Desk"], Awaitable[T]], by: str = "") -> T:
    """Do the work with a desk in the operator's name."""
    from agent.release.desk import Desk
    from agent.weights.registry import Registry
    from feedback.stores import connect

    async def main() -> T:
        async with connect(settings.redis.state_url, settings.redis.timeout_s) as redis:
            return await work(Desk(Registry(redis, settings.keys), wall_clock, by=by or me()))

    return asyncio.run(main())


def me() -> str:
    """Return the name of whoever runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "operator"


def _confirm(question: str, *, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True, err=True)


def _say(said: dict[str, Any], for_people: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(said) if as_json else for_people)
