"""The processes of the Ray Serve application, found by the names that Ray gives them."""

import signal

import psutil


def pids(deployment: str) -> list[int]:
    """Return the replicas' processes of a deployment that were started below this process, dead ones not."""
    found: list[int] = []
    for process in psutil.Process().children(recursive=True):
        try:
            if f":{deployment}" in " ".join(process.cmdline()[:1]):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def send(deployment: str, number: signal.Signals) -> None:
    """Send a signal to all replicas of a deployment.

    Raises:
        LookupError: there is none.
    """
    there = pids(deployment)
    if not there:
        raise LookupError(f"no replica of {deployment} runs")
    for pid in there:
        psutil.Process(pid).send_signal(number)
