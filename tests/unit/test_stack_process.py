import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from agent.demo.stack import Child, NotReadyError, Stack, StackError
from agent.demo.stack.stack import PREFIX, hold, remove_abandoned

SLEEP = ["sleep", "600"]
# Ignores TERM, and says so once it does.
STUBBORN = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 600; done"]
# Starts a process in a session of its own that loses its parent, as Ray's daemons do.
DAEMON = ["sh", "-c", "setsid sh -c 'sleep 600 & echo $!' & wait; sleep 600"]


class WaitUntil(Protocol):
    def __call__(self, condition: Callable[[], object], timeout_s: float = 5.0) -> None: ...


def gone(pid: int) -> bool:
    """Whether the process has ended; a zombie has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(stop_s=5.0) as stack:
        yield stack


def test_the_child_leads_a_process_group_of_its_own(stack: Stack) -> None:
    child = stack.spawn(SLEEP, name="sleep")
    assert os.getpgid(child.pid) == child.pid
    assert child.running


def test_stop_ends_the_child_and_may_be_called_again(stack: Stack) -> None:
    child = stack.spawn(SLEEP, name="sleep")
    assert child.stop() == 128 + signal.SIGTERM
    assert gone(child.pid)
    assert child.stop() == 128 + signal.SIGTERM


def test_a_child_that_ignores_term_is_killed_after_the_timeout(stack: Stack, wait_until: WaitUntil) -> None:
    child = stack.spawn(STUBBORN, name="stubborn")
    wait_until(lambda: child.tail() == "ready")
    assert child.stop(0.1) == 128 + signal.SIGKILL


@pytest.mark.parametrize("environment", ["kept", "cleared"])
def test_a_descendant_that_left_the_group_and_its_parents_ends_with_the_child(
    environment: str, stack: Stack, wait_until: WaitUntil
) -> None:
    cleared = [word.replace("setsid", "setsid env -i") for word in DAEMON]
    child = stack.spawn(DAEMON if environment == "kept" else cleared, name="daemon")
    wait_until(child.tail)
    daemon = int(child.tail())
    assert os.getpgid(daemon) != child.pid
    child.stop()
    assert gone(daemon)


def test_a_descendant_does_not_outlive_a_child_that_ends_by_itself(stack: Stack) -> None:
    child = stack.spawn(["sh", "-c", "sleep 600 & echo $!; exit 7"], name="ends")
    assert child.wait(5.0) == 7
    assert gone(int(child.tail()))


def test_a_killed_supervisor_takes_the_child_along_and_stop_finds_the_daemons(
    stack: Stack, wait_until: WaitUntil
) -> None:
    child = stack.spawn(DAEMON, name="daemon")
    wait_until(child.tail)
    daemon = int(child.tail())
    child._supervisor.kill()
    wait_until(lambda: gone(child.pid))
    assert not gone(daemon)
    child.stop()
    wait_until(lambda: gone(daemon))


def test_a_program_that_is_not_there_is_an_error_at_once(stack: Stack) -> None:
    with pytest.raises(NotReadyError, match=r"/no/such cannot be run: .*No such file"):
        stack.spawn(["/no/such"], name="missing")


def test_the_environment_given_goes_over_that_of_the_program(stack: Stack) -> None:
    child = stack.spawn(["sh", "-c", "echo $WORD $HOME"], name="echo", env={"WORD": "hammer"})
    child.wait(5.0)
    assert child.tail() == f"hammer {os.environ['HOME']}"


def test_a_log_tail_leaves_out_the_frames_of_a_java_error(tmp_path: Path) -> None:
    child = Child(["printf", "cause\n\tat a\n\tat b\nend\n"], log=tmp_path / "log")
    child.wait(5.0)
    assert child.tail(2) == "cause\nend"
    child.stop()


def test_a_stack_stops_its_children_in_reverse_order(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = stack.spawn(SLEEP, name="first"), stack.spawn(SLEEP, name="second")
    stopped: list[int] = []
    stop = Child.stop

    def noted(child: Child, timeout_s: float = 0.0) -> int:
        stopped.append(child.pid)
        return stop(child, timeout_s)

    monkeypatch.setattr(Child, "stop", noted)
    stack.close()
    stack.close()
    assert stopped == [second.pid, first.pid]


def test_recipes_run_side_by_side_and_answer_in_order(stack: Stack) -> None:
    both = threading.Barrier(2)

    def meet(name: str) -> str:
        both.wait(5.0)  # raises unless the other runs at the same time
        return name

    assert stack.start(lambda: meet("a"), lambda: meet("b")) == ["a", "b"]


def test_a_failed_recipe_stops_what_the_others_started(stack: Stack) -> None:
    started = threading.Event()
    children: list[Child] = []

    def start() -> None:
        children.append(stack.spawn(SLEEP, name="sleep"))
        started.set()
        children[0].wait()

    def fail() -> None:
        started.wait(5.0)
        raise StackError("no such service")

    with pytest.raises(StackError, match="no such service"):
        stack.start(start, fail)
    assert gone(children[0].pid)
    with pytest.raises(StackError, match="late is not started: the stack is closed"):
        stack.spawn(SLEEP, name="late")


def test_a_ctrl_c_while_recipes_run_stops_what_they_started(stack: Stack) -> None:
    children: list[Child] = []

    def start() -> None:
        children.append(stack.spawn(SLEEP, name="sleep"))
        os.kill(os.getpid(), signal.SIGINT)  # reaches the main thread, which waits
        children[0].wait()

    with pytest.raises(KeyboardInterrupt):
        stack.start(start)
    assert gone(children[0].pid)


def test_a_temporary_folder_goes_and_a_given_one_stays(tmp_path: Path) -> None:
    with Stack() as temporary:
        assert temporary.folder.is_dir()
    assert not temporary.folder.exists()
    with Stack(tmp_path / "kept" / "data") as kept:
        pass
    assert kept.folder.is_dir()


def test_two_stacks_cannot_share_a_folder(tmp_path: Path) -> None:
    with Stack(tmp_path), pytest.raises(StackError, match="another stack runs in"):
        Stack(tmp_path)
    Stack(tmp_path).close()


def test_the_folder_of_a_killed_program_is_removed_and_one_in_use_is_not(tmp_path: Path) -> None:
    abandoned, used = tmp_path / f"{PREFIX}abandoned", tmp_path / f"{PREFIX}used"
    for folder in (abandoned, used):
        folder.mkdir()
        (folder / ".lock").touch()
    lock = hold(used)
    remove_abandoned(tmp_path)
    assert abandoned.exists()  # it might just be in the making
    remove_abandoned(tmp_path, older_than_s=0.0)
    lock.close()
    assert (abandoned.exists(), used.exists()) == (False, True)


PROGRAM = """
import sys, time
from agent.demo.stack import Stack, start_redis
stack = Stack()
redis = start_redis(stack.folder, spawn=stack.spawn)
daemon = stack.spawn(sys.argv[1:], name="daemon")
while not daemon.tail():
    time.sleep(0.01)
print(redis.process.pid, daemon.pid, daemon.tail(), stack.folder, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_every_child_ends_when_the_program_is_killed(
    number: signal.Signals, wait_until: WaitUntil, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", PROGRAM, *DAEMON]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as program:
        assert program.stdout is not None
        *pids, folder = program.stdout.readline().split()
        assert len(pids) == 3
        assert Path(folder).parent == tmp_path
        assert not any(gone(int(pid)) for pid in pids)
        program.send_signal(number)
    wait_until(lambda: all(gone(int(pid)) for pid in pids))
    remove_abandoned(tmp_path, older_than_s=0.0)
    assert not Path(folder).exists()
