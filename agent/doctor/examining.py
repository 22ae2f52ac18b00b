"""The whole examination, and what it comes to."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agent.doctor.check import Check, failed, ok, skipped
from agent.doctor.engine import look_at_engine
from agent.doctor.looking import Look, look_all, threaded
from agent.doctor.machine import look_at_device, look_at_disk, look_at_size, look_at_versions
from agent.doctor.model import look_at_model
from agent.doctor.ports import look_at_port, ports_of
from agent.doctor.secret import look_at_access, look_at_secret
from agent.doctor.store import look_at_store
from agent.doctor.vllm import look_at_vllm
from agent.errors import AgentError
from agent.settings import Settings

BY_SETTINGS = (
    "data folder",
    "secret",
    "access",
    "model",
    "device",
    "ports",
    "opensearch",
    "redis",
    "processes",
)
MACHINE = "it could not be looked at"
SERVERS_S = 12.0
"""Of all that is asked of one server, one answer after the other."""


async def examine(config: Path | None) -> list[Check]:
    """Return what all looks found; raises nothing. Settings that do not load leave the machine alone."""
    machine = (
        Look(name="versions", at=threaded(look_at_versions), do=MACHINE),
        Look(name="size", at=threaded(look_at_size), do=MACHINE),
    )
    try:
        settings = Settings.load(config)
    except AgentError as error:
        why = failed(
            "settings", str(error), "set it right; agent/sections.py and feedback/settings.py name all"
        )
        return [
            why,
            *await look_all(machine),
            *(skipped(name, "settings do not load") for name in BY_SETTINGS),
        ]
    named = f"{config}, " if config else ""
    loaded = ok("settings", f"{named}tenant {settings.tenant}")
    local, servers = await asyncio.gather(
        look_all([*machine, *_local(settings)]), look_all(_servers(settings), SERVERS_S)
    )
    return [loaded, *local, *servers]


def _local(settings: Settings) -> list[Look]:
    ports = [
        Look(name=name, at=partial(look_at_port, name, host, port, settings.tenant), do=MACHINE)
        for name, host, port in ports_of(settings)
    ]
    return [
        Look(name="device", at=threaded(lambda: look_at_device(settings)), do=MACHINE),
        Look(name="data folder", at=threaded(lambda: look_at_disk(settings)), do=MACHINE),
        Look(name="secret", at=threaded(lambda: look_at_secret(settings)), do=MACHINE),
        Look(name="access", at=threaded(lambda: look_at_access(settings)), do=MACHINE),
        Look(name="model", at=threaded(lambda: look_at_model(settings.policy.model)), do=MACHINE),
        *ports,
    ]


def _servers(settings: Settings) -> list[Look]:
    slack_s = settings.feedback.future_tolerance_s
    vllm = Look(name="vllm", at=threaded(lambda: look_at_vllm(settings.policy)), do="set policy.vllm_url")
    return [
        *([vllm] if settings.policy.engine == "vllm" else ()),
        Look(
            name="opensearch",
            at=lambda: look_at_engine(settings.opensearch, slack_s),
            do="set opensearch.url",
        ),
        Look(name="redis", at=lambda: look_at_store(settings), do="set redis.state_url"),
    ]


def report(checks: Sequence[Check]) -> dict[str, Any]:
    """Return it for programs."""
    states = Counter(check.state for check in checks)
    counts = {state: states[state] for state in ("ok", "warning", "failed", "skipped")}
    return {"ok": not states["failed"], "counts": counts, "checks": [check.as_dict() for check in checks]}
