import os
import sys
import threading

import pytest

from agent.niceness import give_way


def test_a_thread_gives_way_and_never_takes_it_back() -> None:
    """In a thread of its own: niceness is a thread's in Linux, and cannot be lowered again."""
    seen: list[int] = []

    def work() -> None:
        for niceness in (7, 3, 12):
            give_way(niceness)
            seen.append(os.getpriority(os.PRIO_PROCESS, 0))

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [max(before, 7), max(before, 7), max(before, 12)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


@pytest.mark.skipif(sys.platform != "linux", reason="has no such policy")
def test_the_nicest_runs_only_where_nobody_else_wants_the_core() -> None:
    seen: list[int] = []

    def work() -> None:
        for niceness in (18, 19):
            give_way(niceness)
            seen.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [os.SCHED_OTHER, os.SCHED_IDLE]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
