"""Where processes listen."""

import psutil

LOOPBACK = frozenset({"127.0.0.1", "::1"})


def reached_from_elsewhere(of: psutil.Process) -> tuple[set[str], list[tuple[str, int, str]]]:
    """Return the names of a process's children that listen, and what of it another machine reaches."""
    listening = [
        (each.laddr.ip.removeprefix("::ffff:"), each.laddr.port, one.name())
        for one in (of, *of.children(recursive=True))
        for each in one.net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    ]
    return {name for *_, name in listening}, [each for each in listening if each[0] not in LOOPBACK]
