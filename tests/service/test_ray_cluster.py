"""Three Ray nodes, one killed under load: the benchmark, short. Its process sets Ray up anew."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BACK_S = 30.0
IN_HAND = 4
"""Searches that the killed gateway may have had in hand: a second's."""


@pytest.mark.timeout(400)
def test_a_node_that_is_killed_breaks_what_it_had_in_hand_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.cluster", "--json", "--after", "15", "--per-s", "4"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        capture_output=True,
        text=True,
        timeout=390,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["killed"]
    assert told["failed_while_calm"] == 0
    assert told["failed"] <= IN_HAND
    assert told["replicas_back_s"] <= BACK_S
    assert told["sources"].get("model", 0) > 0
