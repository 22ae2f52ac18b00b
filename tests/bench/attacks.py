"""What attackers can buy, with and without the guard: `python -m tests.bench.attacks --json`.

Starts Redis, lets honest shoppers and a band of attackers into a shop with known truth for two virtual days,
through the real collector, search for rings and verifier, and ends it. The band: 20 % of all clicks from 2 %
of all clients in 50 network prefixes, with valid tokens. Each attack is played without and with the guard on
the same shop, and the clean shop too. ``--curve`` moves one of share of clicks, prefixes and clients at a
time and says how much of the gain stays with the guard.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

from agent.demo.stack import Stack, start_redis
from agent.logs import configure
from agent.sections import LogSettings
from tests.bench._intervals import half_width
from tests.bench.progress import tell
from tests.bench.quick import parse
from tests.service.attacked_loop import Outcome, Scenario, play
from tests.service.attackers import ATTACKS

STAYS, DROPPED = 0.9, 0.01
"""What is asked: of the gain, at least; of honest shoppers, at most."""
WRONGLY = ("honest_clients_dropped", "honest_clicks_dropped", "honest_pages_dropped")
CURVES: dict[str, tuple[float, ...]] = {
    "click_share": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    "networks": (5, 15, 50, 150, 500),
    "client_share": (0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
}


def main() -> int:
    """Print the figures as one JSON object; a line a run goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.attacks", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--attacks", choices=ATTACKS, nargs="+", default=list(ATTACKS))
    parser.add_argument("--seeds", type=int, default=3, help="how many shops")
    parser.add_argument("--clients", type=int, default=800, help="honest ones")
    parser.add_argument("--days", type=int, default=2, help="virtual")
    parser.add_argument("--curve", choices=ATTACKS, nargs="*", default=[], help="attacks to be scaled")
    parser.add_argument("--redis", help="URL of a Redis to use instead of starting one")
    given = parse(parser, attacks=["ring"], seeds=1, clients=300, days=1)
    configure(LogSettings(level="error"), process="bench")
    with Stack() as stack:
        url = start_redis(stack.folder, given.redis, spawn=stack.spawn).url
        base = Scenario(seed=0, clients=given.clients, days=given.days, redis_url=url)
        found = Suite(base, range(given.seeds))
        report = found.report(given.attacks)
        report["curves"] = {name: found.curves(name) for name in given.curve}
    print(json.dumps(report) if given.json else table(report))  # noqa: T201 - its output
    return 0


class Suite:
    """Plays scenarios, each once."""

    def __init__(self, base: Scenario, seeds: Sequence[int]) -> None:
        self._base = base
        self._seeds = seeds
        self._played: dict[Scenario, Outcome] = {}

    def report(self, attacks: Sequence[str]) -> dict[str, Any]:
        """Return the table: the clean shop, and every attack without and with the guard."""
        rows = {"clean": self.row("clean", self._base)}
        rows |= {name: self.row(name, replace(self._base, doing=ATTACKS[name])) for name in attacks}
        guarded = [row["guarded"] for row in rows.values()]
        return {
            "asked": {"stays": STAYS, "honest_dropped": DROPPED},
            "clients": self._base.clients,
            "days": self._base.days,
            "seeds": len(self._seeds),
            "click_share": self._base.click_share,
            "client_share": self._base.client_share,
            "networks": self._base.networks,
            "least_that_stays": min(one[m]["mean"] for one in guarded for m in ("gain_stays", "lists_stay")),
            "most_honest_dropped": max(one[m]["mean"] for one in guarded for m in WRONGLY),
            "attacks": rows,
        }

    def row(self, name: str, scenario: Scenario) -> dict[str, Any]:
        """Return one attack's figures."""
        return {
            "open": self.figures(f"{name}, open", replace(scenario, guard=False)),
            "guarded": self.figures(f"{name}, guarded", replace(scenario, guard=True)),
        }

    def figures(self, name: str, scenario: Scenario) -> dict[str, Any]:
        """Return a scenario's figures over the seeds, beside the open clean shop's."""
        runs, clean = [], []
        for seed in self._seeds:
            clean.append(self.played(replace(self._base, seed=seed, guard=False), "clean, open"))
            runs.append(self.played(replace(scenario, seed=seed), name))
        measures = {
            "gain_stays": [stays(one.gain, other.gain) for one, other in zip(runs, clean, strict=True)],
            "lists_stay": [stays(one.lists, other.lists) for one, other in zip(runs, clean, strict=True)],
        }
        for measure in MEASURES:
            measures[measure] = [float(getattr(one, measure)) for one in runs]
        dropped: dict[str, int] = {}
        for one in runs:
            for reason, n in one.dropped.items():
                dropped[reason] = dropped.get(reason, 0) + n
        return {measure: interval(values) for measure, values in measures.items()} | {"dropped": dropped}

    def curves(self, attack: str) -> dict[str, list[dict[str, Any]]]:
        """Return how the guarded shop fares as one side of the band grows."""
        scenario = replace(self._base, doing=ATTACKS[attack])
        return {
            side: [
                {side: at}
                | {
                    measure: value
                    for measure, value in self.figures(
                        f"{attack}, {side} {at:g}",
                        replace(scenario, **{side: type(getattr(scenario, side))(at)}),
                    ).items()
                    if measure in CURVE_MEASURES
                }
                for at in values
            ]
            for side, values in CURVES.items()
        }

    def played(self, scenario: Scenario, name: str) -> Outcome:
        """Play a scenario that was not played yet; return its outcome."""
        if scenario not in self._played:
            outcome = self._played[scenario] = asyncio.run(play(scenario))
            tell(
                f"{name}, seed {scenario.seed}: gain {outcome.gain:.3f} lists {outcome.lists:.3f} "
                f"unearned {outcome.unearned:+.3f} caught {outcome.attackers_caught:.0%} "
                f"honest: clients {outcome.honest_clients_dropped:.2%}, "
                f"clicks {outcome.honest_clicks_dropped:.2%}"
            )
        return self._played[scenario]


MEASURES = (
    "gain",
    "lists",
    "unearned",
    "exposure",
    "verified",
    "honest_clients_dropped",
    "honest_clicks_dropped",
    "honest_pages_dropped",
    "attackers_caught",
    "attack_clicks_counted",
    "attack_clicks",
    "honest_clicks",
)
CURVE_MEASURES = (
    "gain_stays",
    "lists_stay",
    "unearned",
    "honest_clients_dropped",
    "honest_clicks_dropped",
    "attackers_caught",
    "attack_clicks_counted",
)


def stays(gain: float, clean: float) -> float:
    """Return the share of the clean shop's gain that is left: all of it where there is none to lose."""
    return gain / clean if clean else 1.0


def interval(values: Sequence[float]) -> dict[str, float]:
    """Return the mean over the seeds and its 95 % interval (Student's t); none from one seed."""
    centre, half = mean(values), half_width(values)
    return {"mean": centre} if half is None else {"mean": centre, "low": centre - half, "high": centre + half}


def table(report: dict[str, Any]) -> str:
    """Return the report as lines."""
    lines = [
        f"{'attack':10} {'guard':8} {'gain':>7} {'lists':>7} {'unearned':>9} {'caught':>7} {'honest':>7}"
    ]
    for name, row in report["attacks"].items():
        for guard, one in row.items():
            lines.append(
                f"{name:10} {guard:8} {one['gain_stays']['mean']:7.1%} {one['lists_stay']['mean']:7.1%} "
                f"{one['unearned']['mean']:+9.3f} {one['attackers_caught']['mean']:7.0%} "
                f"{one['honest_clicks_dropped']['mean']:7.2%}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
