"""Ports that our processes listen at: free, served by one of ours, or taken."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Literal

import httpx

from agent.doctor.check import Check, failed, ok
from agent.settings import Settings

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - where it listens, not we
ANSWER_S = 1.0
UNAUTHORIZED = 401
HEALTHS = ('{"status":"ok"}', '{"status":"dead"}')
"""What a gateway says at /healthz."""
Found = Literal["free", "ours", "keyed", "taken", "no address", "forbidden"]


def ports_of(settings: Settings) -> Iterator[tuple[str, str, int]]:
    """Yield each port that is set, by the name of its setting, with its host."""
    for section, values in (("serve", settings.serve), ("metrics", settings.metrics)):
        for field in type(values).model_fields:
            if field.endswith("port") and (port := getattr(values, field)):
                host = getattr(values, f"{field.removesuffix('port')}host", values.host)
                yield f"{section}.{field}", host, port


async def look_at_port(name: str, host: str, port: int, tenant: str) -> list[Check]:
    """Look whether it is free or serves."""
    return [judge_port(name, f"{host}:{port}", await probe(host, port, tenant))]


async def probe(host: str, port: int, tenant: str) -> Found:
    """Return what is there; a gateway of several tenants has each under its name."""
    there = ANY.get(host, host)
    try:
        async with asyncio.timeout(ANSWER_S):
            _, writer = await asyncio.open_connection(there, port)
    except (OSError, TimeoutError):
        return _bound(host, port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return await _who(f"{f'[{there}]' if ':' in there else there}:{port}", tenant)


def _bound(host: str, port: int) -> Found:
    """Return whether one could listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            return "free"
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "taken"
        return "forbidden" if error.errno == errno.EACCES else "no address"


async def _who(place: str, tenant: str) -> Found:
    """Return whether what answers is a process of ours: by its health, or by its metrics."""
    async with httpx.AsyncClient(timeout=ANSWER_S, verify=False) as client:  # noqa: S501 - it is asked its name
        for scheme in ("http", "https"):
            with contextlib.suppress(httpx.HTTPError):
                for path in ("healthz", f"{tenant}/healthz"):
                    if (await client.get(f"{scheme}://{place}/{path}")).text in HEALTHS:
                        return "ours"
                metrics = await client.get(f"{scheme}://{place}/metrics")
                if metrics.status_code == UNAUTHORIZED:
                    return "keyed"
                if "\nunseen_" in metrics.text:
                    return "ours"
    return "taken"


def judge_port(name: str, place: str, found: Found) -> Check:
    """Say what that means."""
    other = f"set {name} to another one"
    match found:
        case "free":
            return ok(name, f"{place} is free")
        case "ours":
            return ok(name, f"{place} is served by a process of Unseen")
        case "keyed":
            return ok(name, f"{place} answers 401: it wants a key, as ours does where one is set")
        case "taken":
            return failed(name, f"{place} is taken by another program", f"end it, or {other}")
        case "forbidden":
            return failed(name, f"{place} may not be listened at by this user", f"{other}, from 1024 on")
        case "no address":
            host = name.removesuffix("port") + "host"
            return failed(name, f"{place} is no address of this machine", f"set {host} to one of its own")
