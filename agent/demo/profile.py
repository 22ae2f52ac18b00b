"""The settings under which the demo runs: a small shop whose day is over in five minutes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.demo.stack import Service

VISITS_PER_S = 22.0
"""A third more searches than that, and half of two cores: the rest verifies and learns."""
QUICK_MINUTES = 2.0
QUICK_JUDGED = 40
REPORT_SHARE = 0.1
"""Of the run, kept for judging."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """The command's flags."""

    minutes: float = 5.0
    seed: int = 0
    shop_seed: int = 0
    report: Path | None = None
    command: str = ""
    """That was typed, for the report."""
    keep: bool = False
    opensearch: str | None = None
    redis: str | None = None
    data_dir: Path | None = None
    judged: int | None = None
    """Queries that the report judges; None: all."""
    targets: Path | None = None
    """Written for Prometheus: where it finds the processes."""
    min_clients: int = 1
    """That must have asked a query before it teaches: five minutes' shoppers are few."""


def settings(
    *, run: str, folder: Path, ports: Sequence[int], opensearch: Service, redis: Service, ray: str
) -> dict[str, Any]:
    """Return the settings that differ from the defaults, for every process of the run."""
    return {
        "tenant": run,
        "data_dir": str(folder),
        "redis": {"state_url": redis.url, "partitions": 2},
        "feedback": {
            "block_s": 0.1,
            "enough_examinations": 0.2,
            "click_window_s": 5.0,  # they click at once
            "min_clients": 1,
            "guard": {"once_s": 20.0, "clicks_an_hour": 300},  # and a day is over soon
        },
        # Thirty visits a second would leave two background searches: a day is to be learned in minutes.
        "opensearch": {"url": opensearch.url, "index": run, "background_budget": False},
        "serve": {
            "port": ports[0],
            "admin_port": ports[1],
            "pool_samples": 0,  # shoppers' words are tried; the model's would take twice the time
            "fill_ahead": 0,  # shoppers ask for what is frequent within seconds: the cores are for learning
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
        # Shoppers keep both cores busy: a learner that gives way wholly would make a step or two a minute,
        # one that is less nice than the verifier would leave it no time for verdicts.
        "learner": {"publish_every": 2, "nice": 18, "ray_address": ray},
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
