"""Starts Unseen's own processes, each as an operator would: `unseen serve`, `unseen learner` and so on."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.demo.stack import Child, Stack

NAMES = ("serve", "collector", "verifier", "learner")


def environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the tree as environment variables: ``{"serve": {"port": 1}}`` is ``UNSEEN_SERVE__PORT=1``."""
    variables: dict[str, str] = {}
    for section, value in settings.items():
        name = f"UNSEEN_{section.upper()}"
        if isinstance(value, Mapping):
            variables |= {f"{name}__{key.upper()}": _text(item) for key, item in value.items()}
        else:
            variables[name] = _text(value)
    return variables


def start(stack: Stack, name: str, settings: Mapping[str, Any]) -> Child:
    """Start `unseen NAME` with these settings; its output goes to the stack's log folder."""
    quiet = {"OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    return stack.spawn(
        [sys.executable, "-m", "agent.cli", name],
        name=name,
        env=environment(settings) | quiet,
        cwd=Path.cwd(),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
