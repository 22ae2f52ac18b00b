"""What trying out costs shoppers and what it tells, as a report.

Cost: share of the searches, clicks a search, by how often a query is asked. Told: how far shoppers would
prefer each policy's pages to raw ones, from the explore arm alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from rich.table import Table

from agent.errors import Permanent, Transient
from agent.evaluate.latest import policy_of
from agent.scoring.explored import TARGETS, Target, estimates, read_explored, rescored
from agent.scoring.offpolicy import Method
from agent.settings import Settings
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.clock import wall_clock
from feedback.errors import REDIS_TRANSIENT
from feedback.exploring.exploration import Cost
from feedback.exploring.spending import read_costs
from feedback.records import Explored
from feedback.stores import connect
from feedback.version_records import Manifest

POLICIES = (*TARGETS, "latest")


async def read(settings: Settings, *, days: int, policies: Sequence[str]) -> dict[str, Any]:
    """Return the figures of the last days by band, ``all`` first, and those of the policies.

    Raises:
        Permanent: there is no policy of that name, or no version for ``latest`` on our base model.
        Corrupt: the newest version's manifest or file is damaged.
        Transient: Redis or the store of adapters gave no answer.
    """
    if unknown := [name for name in policies if name not in POLICIES]:
        raise Permanent(f"--policies: {unknown[0]!r} is none of {', '.join(POLICIES)}")
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    try:
        found = await read_costs(redis, settings.keys, settings.feedback, wall_clock(), days=days)
        pages = await read_explored(redis, settings.keys)
        versions = await Registry(redis, settings.keys).versions() if "latest" in policies else []
    except REDIS_TRANSIENT as error:
        raise Transient(f"redis: {error}") from error
    finally:
        await redis.aclose()
    told = {name: estimates(pages, _target(name, pages, versions, settings)) for name in policies}
    return figures(found, days=days) | {"policies": told}


def _target(name: str, pages: Sequence[Explored], versions: Sequence[Manifest], settings: Settings) -> Target:
    if name in TARGETS:
        return TARGETS[name]
    if not versions:
        raise Permanent("--policies latest: there is no version yet: unseen learner makes them")
    return rescored(pages, policy_of(versions[-1], AdapterStore(settings.weights_dir), settings.policy))


def figures(found: list[Cost], *, days: int) -> dict[str, Any]:
    """Return the report as plain values."""
    return {"days": days, "bands": {cost.band: cost.figures() for cost in found}}


def preferences(report: Mapping[str, Any]) -> Table:
    """Return the policies' part for a person."""
    shown = Table(title="How far shoppers would prefer each policy's pages to raw ones, -1 to 1")
    for column in ("policy", "effective pages", *get_args(Method)):
        shown.add_column(column, justify="right")
    for name, row in report["policies"].items():
        cells = [_preference(row[method]) for method in get_args(Method)]
        shown.add_row(name, f"{row['effective']:.0f} of {row['pages']:,}", *cells)
    return shown


def _preference(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "no estimate"
    low, high = found["interval"]
    return f"{found['value']:+.3f} ({low:+.3f} to {high:+.3f})"


def table(report: Mapping[str, Any]) -> Table:
    """Return the costs for a person."""
    nothing = None if report["bands"] else "no pages of both arms: nothing was explored, or nothing else"
    shown = Table(title=f"What exploring costs, last {report['days']} days", caption=nothing)
    for column in ("queries", "searches", "explored", "clicks a search", "otherwise", "cost (95 %)"):
        shown.add_column(column, justify="right")
    for band, row in report["bands"].items():
        interval = row["interval"]
        spread = f" ({interval[0]:+.3f} to {interval[1]:+.3f})" if interval else " (too few shoppers)"
        shown.add_row(
            band,
            f"{row['searches']:,}",
            f"{row['share']:.1%}",
            f"{row['clicks_a_search']:.3f}",
            f"{row['clicks_a_search_otherwise']:.3f}",
            f"{row['cost']:+.3f}{spread}",
        )
    return shown
