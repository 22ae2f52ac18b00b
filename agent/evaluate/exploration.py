"""What trying out costs shoppers, as a report: share of the searches, clicks a search, by how often asked."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from agent.errors import Transient
from agent.settings import Settings
from feedback.clock import wall_clock
from feedback.errors import REDIS_TRANSIENT
from feedback.exploration import Cost
from feedback.spending import read_costs
from feedback.stores import connect


async def read(settings: Settings, *, days: int) -> dict[str, Any]:
    """Return the figures of the last days by band, ``all`` first; empty where no page was drawn for an arm.

    Raises:
        Transient: Redis gave no answer.
    """
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    try:
        found = await read_costs(redis, settings.keys, settings.feedback, wall_clock(), days=days)
    except REDIS_TRANSIENT as error:
        raise Transient(f"redis: {error}") from error
    finally:
        await redis.aclose()
    return figures(found, days=days)


def figures(found: list[Cost], *, days: int) -> dict[str, Any]:
    """Return the report as plain values."""
    return {"days": days, "bands": {cost.band: cost.figures() for cost in found}}


def table(report: Mapping[str, Any]) -> Table:
    """Return the report for a person."""
    shown = Table(title=f"What exploring costs, last {report['days']} days")
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
