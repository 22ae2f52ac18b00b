"""Which process goes first where a machine has several: the gateway, then whoever nobody waits for.

Ray gives its workers niceness 15 unless it is told otherwise, gateways too; where Unseen starts Ray itself it
says `EVEN`, and each actor gives way by itself. A cluster that others start needs it said there.
"""

import os
import sys

EVEN = {"RAY_worker_niceness": "0"}
"""Ray's own setting, read by the node's start: a worker has the niceness of whoever started Ray."""
REWRITER = 10
"""It writes ahead most of the time; the engine and the gateway come first."""
VERIFIER = 10
WHOLLY = 19
"""The highest there is."""


def give_way(niceness: int) -> None:
    """Let this thread, and those that it starts, be at least so nice.

    At the highest niceness Linux lets it run only on a core that nobody else wants (SCHED_IDLE): who wakes up
    there goes first at once, where he would wait for the end of a merely nice thread's slice, some
    milliseconds. So it is for what computes, not for what has a lease to renew.
    """
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(mine, niceness))
    if niceness >= WHOLLY and sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
