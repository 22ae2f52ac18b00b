"""What Prometheus and Grafana ask for, and what the code declares."""

import importlib
import json
import re
import shutil
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.metrics import MetricWrapperBase

from agent.watching.fact import Fact

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
ALERTS, RECORDING = PROMETHEUS / "rules/alerts.yml", PROMETHEUS / "rules/recording.yml"
DASHBOARDS = DEPLOY / "grafana/dashboards"
OF_PROMETHEUS = {"up"}
"""Metrics that Prometheus makes itself."""
LISTING = ("by", "without", "on", "ignoring", "group_left", "group_right")
WORDS = {*LISTING, "and", "or", "unless", "bool"}
LABELS = re.compile(rf"\b({'|'.join(LISTING)})\s*\([^)]*\)")
COMPARISON = re.compile(r"(==|!=|>=|<=|>|<)")


def metric_files() -> list[Path]:
    """Return the modules that declare metrics."""
    found = [path for top in ("agent", "feedback") for path in (ROOT / top).rglob("metrics.py")]
    return sorted(path for path in found if path.parent.name != "evaluate")  # NDCG and the like


def module_of(path: Path) -> types.ModuleType:
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


@dataclass(frozen=True)
class Declared:
    """A metric of ours, by the name that Prometheus' client gives its family."""

    variable: str
    module: str
    family: str
    kind: str
    help: str

    @property
    def series(self) -> set[str]:
        """Return the names that its series have."""
        match self.kind:
            case "counter":
                return {f"{self.family}_total"}
            case "histogram":
                return {f"{self.family}_{part}" for part in ("bucket", "sum", "count")}
            case _:
                return {self.family}


def declared() -> Iterator[Declared]:
    for path in metric_files():
        module = module_of(path)
        for name, value in vars(module).items():
            if name.startswith("_"):  # a loop's, over some that are declared
                continue
            if isinstance(value, MetricWrapperBase):
                yield Declared(name, module.__name__, value._name, str(value._type), value._documentation)
            elif isinstance(value, Fact):
                family = value.name.removesuffix("_total")
                yield Declared(name, module.__name__, family, value.kind, value.help)


def known() -> set[str]:
    """Return every name that an expression may use."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    return {series for one in declared() for series in one.series} | recorded | OF_PROMETHEUS


def rules() -> Iterator[dict[str, Any]]:
    for path in (RECORDING, ALERTS):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def dashboards() -> Iterator[dict[str, Any]]:
    for path in sorted(DASHBOARDS.glob("*.json")):
        yield json.loads(path.read_text())


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def asked() -> Iterator[tuple[str, str]]:
    """Yield where an expression stands, and the expression."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for dashboard in dashboards():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{dashboard['title']}, {panel['title']}", target["expr"]


def names_in(expr: str) -> set[str]:
    """Return the metrics that an expression names."""
    bare = re.sub(r'"[^"]*"', "", expr)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\boffset \w+", "", LABELS.sub("", bare))
    found = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\w|\s*\()", bare)
    return set(found) - WORDS


def executable(expr: str, interval: str = "1m") -> str:
    """Return an expression as Prometheus runs it: variables filled in, comparisons as 0 or 1.

    So it has a value wherever its metrics have some, whether or not an alert fires; what asks whether a
    metric is absent has one where it is there.
    """
    filled = expr.replace("$__rate_interval", interval).replace("$tenant", ".*").replace("absent(", "group(")
    parts = re.split(r"(\{[^}]*\})", filled)
    return "".join(one if one.startswith("{") else COMPARISON.sub(r"\1 bool", one) for one in parts)


def program(name: str) -> str | None:
    """Return where one of Prometheus' programs is; None where it is not installed."""
    return shutil.which(name)
