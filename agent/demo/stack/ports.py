"""Free ports on the loopback interface."""

import socket

LOOPBACK = "127.0.0.1"


def free_ports(n: int) -> tuple[int, ...]:
    """Return n different TCP ports that nobody on the loopback interface listens on.

    The kernel gave each a moment ago and took it back: another process may still be faster.
    """
    holders = [socket.socket() for _ in range(n)]
    try:
        for holder in holders:
            holder.bind((LOOPBACK, 0))
        return tuple(holder.getsockname()[1] for holder in holders)
    finally:
        for holder in holders:
            holder.close()


def free_port() -> int:
    """Return one port as `free_ports` does."""
    return free_ports(1)[0]
