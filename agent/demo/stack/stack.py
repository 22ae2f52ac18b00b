"""The local stack: a data folder and the children that work in it, ended together.

    with Stack(data_dir) as stack:
        redis, opensearch = stack.start(
            lambda: start_redis(stack.folder, spawn=stack.spawn),
            lambda: start_opensearch(stack.folder, spawn=stack.spawn),
        )

Whatever happens inside, a Ctrl-C during the start included, every child is ended in the reverse
order of its start. A temporary folder is removed at the end; one left by a killed program is
removed by the next stack (its lock tells that nobody holds it any more).
"""

import fcntl
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO, TypeVar

from agent.demo.stack.errors import StackError
from agent.demo.stack.process import GRACE_S, Child, User

T = TypeVar("T")
PREFIX = "unseen-stack-"
FRESH_S = 60.0  # far longer than a stack takes from making its lock file to holding it


class Stack:
    """Owns a data folder and the children started through it."""

    def __init__(self, data_dir: Path | None = None, *, stop_s: float = GRACE_S) -> None:
        """Take a folder that is kept, or None for a temporary one; stop_s is each child's grace."""
        self._temporary = data_dir is None
        self._stop_s = stop_s
        self._children: list[Child] = []
        self._changing = threading.Lock()
        self._closed = False
        if data_dir is None:
            remove_abandoned(Path(tempfile.gettempdir()))
            data_dir = Path(tempfile.mkdtemp(prefix=PREFIX))
            data_dir.chmod(0o711)  # an unprivileged server must get to its own folder inside
        data_dir.mkdir(parents=True, exist_ok=True)
        self.folder = data_dir.resolve()
        self._lock = hold(self.folder)

    def spawn(
        self,
        argv: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: User | None = None,
    ) -> Child:
        """Start a child whose output goes to `<folder>/log/<name>.log`."""
        with self._changing:
            if self._closed:
                raise StackError(f"{name} is not started: the stack is closed")
            log = self.folder / "log" / f"{name}.log"
            log.parent.mkdir(exist_ok=True)
            child = Child(argv, log=log, env=env, cwd=cwd, user=user, grace_s=self._stop_s)
            self._children.append(child)
            return child

    def start(self, *recipes: Callable[[], T]) -> list[T]:
        """Run the recipes side by side; return their results in order.

        Raises the first recipe's error, or what interrupts the wait, with everything stopped.
        """
        futures = [_in_thread(recipe) for recipe in recipes]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
            return [future.result() for future in futures]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop all children, the last first, and remove a temporary folder; idempotent."""
        with self._changing:
            self._closed = True
            while self._children:
                self._children[-1].stop(self._stop_s)
                self._children.pop()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _in_thread(recipe: Callable[[], T]) -> Future[T]:
    """Run the recipe in a daemon thread, so that a Ctrl-C need not wait for a download."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(recipe())
        except BaseException as error:  # noqa: BLE001  # the future hands it to the caller
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def hold(folder: Path) -> TextIO:
    """Lock the folder for as long as this process lives; raises StackError if another has it."""
    lock = (folder / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StackError(f"another stack runs in {folder}") from error
    return lock


def remove_abandoned(place: Path, *, older_than_s: float = FRESH_S) -> None:
    """Remove the temporary folders whose programs were killed, but none that is just being made."""
    for lock_path in place.glob(f"{PREFIX}*/.lock"):
        try:
            if time.time() - lock_path.stat().st_mtime < older_than_s:
                continue
            lock = hold(lock_path.parent)
        except (StackError, OSError):  # in use, or another user's
            continue
        shutil.rmtree(lock_path.parent, ignore_errors=True)
        lock.close()
