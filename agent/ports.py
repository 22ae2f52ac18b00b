"""Ports that stay free until they are used."""

import contextlib
import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
FIRST, LAST = 20_000, 32_767
"""Above the ports of Ray's workers (10002 to 19999), below those that Linux gives away (from 32768)."""
KERNELS = Path("/proc/sys/net/ipv4/ip_local_port_range")
TRIES = 50
_DRAWS = random.SystemRandom()  # two processes with one seed would try the same ports


def free_ports(n: int, host: str = LOOPBACK) -> tuple[int, ...]:
    """Return n different TCP ports of ``host``, an address, that nobody listens on.

    They lie outside the range from which the kernel serves connections, and listeners that name no port:
    a port that it gave and took back may be another's a moment later, and a server that was to listen there
    fails. Where its range leaves no room they come from it all the same. OSError: ``host`` is not ours.
    """
    held: list[socket.socket] = []
    try:
        while len(held) < n:
            held.append(_held(host))
        return tuple(holder.getsockname()[1] for holder in held)
    finally:
        for holder in held:
            holder.close()


def free_port(host: str = LOOPBACK) -> int:
    """Return one port as `free_ports` does."""
    return free_ports(1, host)[0]


def _held(host: str) -> socket.socket:
    if reserved := _outside_the_kernels():
        for _ in range(TRIES):
            with contextlib.suppress(OSError):
                return _bound(host, _DRAWS.choice(reserved))
    return _bound(host, 0)


def _bound(host: str, port: int) -> socket.socket:
    holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        holder.bind((host, port))
    except OSError:
        holder.close()
        raise
    return holder


def _outside_the_kernels() -> range:
    try:
        low = int(KERNELS.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        low = LAST + 1
    return range(FIRST, min(low, LAST + 1))
