"""The settings under which the demo runs: a small shop whose day is over in five minutes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.demo.stack import Service

VISITS_PER_S = 18.0
"""More would only wait: two cores search, serve, verify and learn."""
QUICK_MINUTES = 2.0
QUICK_JUDGED = 40
REPORT_SHARE = 0.17
"""Of the run, kept for judging."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """The command's flags."""

    minutes: float = 5.0
    seed: int = 0
    shop_seed: int = 0
    report: Path | None = None
    keep: bool = False
    opensearch: str | None = None
    redis: str | None = None
    data_dir: Path | None = None
    judged: int | None = None
    """Queries that the report judges; None: all."""


def settings(
    *, run: str, folder: Path, port: int, opensearch: Service, redis: Service, ray: str
) -> dict[str, Any]:
    """Return the settings that differ from the defaults, for every process of the run."""
    return {
        "tenant": run,
        "data_dir": str(folder),
        "redis": {"state_url": redis.url, "partitions": 2},
        "feedback": {"block_s": 0.1, "enough_examinations": 0.2, "click_window_s": 5.0},  # they click at once
        "opensearch": {"url": opensearch.url, "index": run},
        "serve": {
            "port": port,
            "deadline_s": 0.2,
            "holdback_share": 0.1,
            "raw_examinations": 0,  # five minutes are no half-life: a tenth of the searches stays raw
            "explore_share": 0.5,  # a shop that has five minutes learns by trying
            "min_policy_gain": 0.0,  # a few minutes' weights may still harm: they prove themselves first
        },
        # Five minutes give a query a handful of pages. More harm is risked for more to be learned: a shop
        # with a day's clicks keeps the defaults.
        "verify": {
            "max_harm": 0.2,
            "prior_examinations": 0.25,
            "candidates": 4,
            "paired": 0,
            "min_lift": 1.0,
        },
        "learner": {"publish_every": 4, "ray_address": ray},
        # A day's trial in half a minute: 200 pages that differ show a collapse and no more.
        "release": {
            "gate_clicks": 20,
            "min_queries": 6,
            "canary_share": 0.3,
            "trial_every_s": 0,
            "trial_s": 30,
            "trial_pages": 200,
            "trial_margin": 0.2,
            "limit_margin": 0.5,
            "min_clients": 10,
            "purchase_age_s": 20,
            "loss_budget": 0.5,
            "check_promotions": False,  # its minutes are for trying
            "poll_s": 0.5,
        },
        "log": {"format": "json"},
    }
