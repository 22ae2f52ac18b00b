"""The supervisor between the program and one child: it ends the child when the program ends.

Run as a script by `process.Child`, in a session of its own, with one end of a socket pair. The
program holds the other end; the kernel closes it however the program ends, SIGKILL included, and
that is the order to end the child. Guarantees, on Linux:

- the child leads a process group of its own; ending it is TERM to the group, then, after the
  grace, KILL to every descendant, also to those that left the group or their parents (the
  supervisor is their subreaper) and to whatever carries the child's mark in its environment;
- when the supervisor itself is killed, the kernel kills the child (PR_SET_PDEATHSIG); the child's
  own descendants are then left to `Child.stop`, which knows the mark.

Elsewhere (macOS) there is no subreaper: a descendant that left the tree may stay.
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

MARK = "UNSEEN_STACK_ID"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <sys/prctl.h>
LOOK_S = 1.0  # how often the parent's id is looked at, should a fork of it hold the socket open
SWEEP_S = 10.0  # after that long a process that survives KILL is the kernel's (uninterruptible)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to run, for whom, and how it is ended when nobody says otherwise."""

    control_fd: int
    parent_pid: int
    grace_s: float
    uid: int | None
    gid: int | None
    argv: Sequence[str]


def parse(arguments: Sequence[str]) -> Order:
    """Read the order from the command line that `Child` wrote."""
    parser = argparse.ArgumentParser(prog="launch")
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--parent-pid", type=int, required=True)
    parser.add_argument("--grace-s", type=float, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("argv", nargs="+")
    return Order(**vars(parser.parse_args(arguments)))


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process, where the kernel has that call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def spawn(order: Order) -> subprocess.Popen[bytes]:
    """Start the child in its own session and, with it, process group; raises OSError."""

    def die_with_supervisor() -> None:
        # Runs after the change of user, which clears the setting.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return subprocess.Popen(  # noqa: S603  # the order is our own program's
        order.argv,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        user=order.uid,
        group=order.gid,
        extra_groups=None if order.uid is None else [],
        preexec_fn=die_with_supervisor,  # noqa: PLW1509  # this process has one thread
    )


def wake_on_signals() -> int:
    """Return a descriptor that turns readable when a child ends or this process is told to end."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return readable


class Supervisor:
    """Waits with the child, and ends it with all that came of it."""

    def __init__(self, order: Order, control: socket.socket) -> None:
        self._order = order
        self._control = control
        self._wake = wake_on_signals()
        self._told_to_end = False
        signal.signal(signal.SIGTERM, self._on_term)
        self._child = spawn(order)
        self._code: int | None = None

    def run(self) -> int:
        """Return the child's exit status, once it and all its descendants have ended."""
        self._control.sendall(f"{self._child.pid}\n".encode())
        grace_s = self._attend()
        if self._code is None:
            self._signal_group(signal.SIGTERM)
            self._wait(time.monotonic() + grace_s)
        self._kill_descendants()
        code = self._code if self._code is not None else -signal.SIGKILL
        return code if code >= 0 else 128 - code

    def _on_term(self, *_: object) -> None:
        self._told_to_end = True

    def _attend(self) -> float:
        """Wait until the child has ended or shall end; return the grace in seconds."""
        while self._code is None and not self._told_to_end:
            ready = self._pause(LOOK_S, self._control)
            self._reap()
            if self._control in ready:
                return self._grace_told()
            if os.getppid() != self._order.parent_pid:
                break
        return self._order.grace_s

    def _grace_told(self) -> float:
        with contextlib.suppress(OSError, ValueError):  # nothing: the program is gone
            return float(self._control.recv(64))
        return self._order.grace_s

    def _wait(self, deadline: float) -> None:
        while self._code is None and (left_s := deadline - time.monotonic()) > 0:
            self._pause(left_s)
            self._reap()

    def _pause(self, timeout_s: float, *also: socket.socket) -> Sequence[int | socket.socket]:
        watched: list[int | socket.socket] = [self._wake, *also]
        ready, _, _ = select.select(watched, [], [], timeout_s)
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
        return ready

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._child.pid:
                    self._code = self._child.returncode = os.waitstatus_to_exitcode(ended[1])

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    def _kill_descendants(self) -> None:
        deadline = time.monotonic() + SWEEP_S
        while time.monotonic() < deadline:
            self._signal_group(signal.SIGKILL)
            if not (kill_all(psutil.Process().children(recursive=True)) + sweep(own_mark())):
                return
            self._pause(0.02)
            self._reap()


def own_mark() -> str:
    """Return the mark that the child and its descendants were started with."""
    return os.environ.get(MARK, "")


def kill_all(processes: Sequence[psutil.Process]) -> int:
    """Send KILL to those still running; return how many there were."""
    n_alive = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.status() != psutil.STATUS_ZOMBIE:
                process.kill()
                n_alive += 1
    return n_alive


def sweep(mark: str) -> int:
    """Kill every process that carries the mark, but for this one; return how many there were."""
    return kill_all([process for process in psutil.process_iter() if mark and carries(process, mark)])


def carries(process: psutil.Process, mark: str) -> bool:
    """Tell whether the process was started with the mark and is not this one."""
    with contextlib.suppress(psutil.Error, OSError):
        return process.pid != os.getpid() and process.environ().get(MARK) == mark
    return False


def main(arguments: Sequence[str]) -> int:
    """Run the order; tell the program the child's id, or why there is none."""
    order = parse(arguments)
    control = socket.socket(fileno=order.control_fd)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        supervisor = Supervisor(order, control)
    except OSError as error:
        control.sendall(f"{error}\n".encode())
        return 127
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
