"""Child processes that end with this program, however it ends.

Each child runs under a supervisor (`launch`) which watches a socket that only this program holds:
when it closes, by a clean end, an exception or SIGKILL, the child and all its descendants end.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.demo.stack import launch
from agent.demo.stack.errors import NotReadyError

GRACE_S = 10.0
_KILL_S = launch.SWEEP_S + 5.0  # the supervisor's own bound, and room to answer


@dataclass(frozen=True, kw_only=True)
class User:
    """The unprivileged user that a child runs as."""

    uid: int
    gid: int


class Spawn(Protocol):
    """Starts a child; `Stack.spawn` and, without a stack, `spawn_in` give one."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: User | None = None,
    ) -> "Child":
        """Start argv; its output goes to a log called by the name."""


class Child:
    """One child process with its supervisor; `pid` is the child's own and leads its group."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: User | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        """Start argv with output appended to the log.

        Args:
            argv: the program and its arguments.
            log: a file for stdout and stderr together.
            env: variables over this program's own environment.
            cwd: the working directory.
            user: another user to run as (needs root).
            grace_s: seconds from TERM to KILL when this program dies without a `stop`.

        Raises:
            NotReadyError: the program cannot be run.
        """
        self.log = log
        self._mark = uuid.uuid4().hex
        self._stopping = threading.Lock()
        self._control, theirs = socket.socketpair()
        environ = {**os.environ, **(env or {}), launch.MARK: self._mark}
        with theirs, log.open("ab") as output:
            self._supervisor = subprocess.Popen(  # noqa: S603  # argv comes from this package
                _order(argv, control_fd=theirs.fileno(), user=user, grace_s=grace_s),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
                env=environ,
                cwd=cwd,
            )
        self.pid = self._read_pid(argv[0])

    def _read_pid(self, program: str) -> int:
        with self._control.makefile() as lines:
            answer = lines.readline().strip()
        if answer.isdigit():
            return int(answer)
        self._control.close()
        self._supervisor.wait()
        raise NotReadyError(f"{program} cannot be run: {answer or self.tail()}")

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the exit status (128 + n after signal n), or None if it still runs by then."""
        try:
            return self._supervisor.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    @property
    def running(self) -> bool:
        """Whether the child or a descendant of it still runs."""
        return self._supervisor.poll() is None

    def stop(self, timeout_s: float = GRACE_S) -> int:
        """End the child and its descendants: TERM to the group, KILL to all after the timeout.

        Idempotent; returns the exit status as `wait` does.
        """
        with self._stopping:
            with contextlib.suppress(OSError):  # it ended by itself, or an earlier call closed it
                self._control.sendall(f"{timeout_s}\n".encode())
            code = self.wait(timeout_s + _KILL_S)
            if code is None:
                self._supervisor.kill()
            if code is None or code == -signal.SIGKILL:  # no supervisor: do its work here
                launch.sweep(self._mark)
            self._control.close()
            return self._supervisor.wait()

    def tail(self, n_lines: int = 20) -> str:
        """Return the end of the log, without a Java error's frames, which would be all of it."""
        with contextlib.suppress(FileNotFoundError):
            lines = self.log.read_text(errors="replace").splitlines()
            return "\n".join([line for line in lines if not line.startswith("\tat ")][-n_lines:])
        return ""


def _order(argv: Sequence[str], *, control_fd: int, user: User | None, grace_s: float) -> list[str]:
    """Return the supervisor's command line."""
    order = [sys.executable, "-P", launch.__file__, f"--control-fd={control_fd}"]
    order += [f"--parent-pid={os.getpid()}", f"--grace-s={grace_s}"]
    if user is not None:
        order += [f"--uid={user.uid}", f"--gid={user.gid}"]
    return [*order, "--", *argv]
