"""Where Prometheus finds the demo's processes: a port for each, and the file of targets that names them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.ports import free_ports

SHOWING = ("exporter", "collector", "verifier", "learner", "release")
EVERY_S = 5.0
"""Between two comparisons of the arms: minutes are the demo's days."""


def ports() -> dict[str, Any]:
    """Return the settings' section of metrics, every process at a port of its own."""
    own = {f"{name}_port": port for name, port in zip(SHOWING, free_ports(len(SHOWING)), strict=True)}
    return {**own, "every_s": EVERY_S}


def write_targets(path: Path, settings: Mapping[str, Any]) -> None:
    """Write the targets as Prometheus' ``file_sd_configs`` reads them (JSON is YAML), whole or not at all."""
    shown = {name: settings["metrics"][f"{name}_port"] for name in SHOWING}
    shown["gateway"] = settings["serve"]["admin_port"]
    targets = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"job": name, "tenant": settings["tenant"]}}
        for name, port in shown.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(json.dumps(targets, indent=2) + "\n")
    draft.replace(path)
