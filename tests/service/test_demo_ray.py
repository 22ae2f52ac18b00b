"""The Ray that the demo starts is this machine's and this run's alone."""

import os
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest
from listening import reached_from_elsewhere

from agent.demo import processes
from agent.demo.stack import Stack

pytestmark = pytest.mark.timeout(150, func_only=True)


def test_the_demo_s_ray_listens_on_loopback_and_answers_its_token_alone(
    wait_until: Callable[..., None],
) -> None:
    started = {"raylet", "gcs_server", "ray::DashboardAgent"}
    with Stack() as stack:
        address = processes.start_ray(stack)
        me = psutil.Process()
        wait_until(lambda: started <= reached_from_elsewhere(me)[0], timeout_s=60)
        assert reached_from_elsewhere(me)[1] == []
        asked = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
        stranger = {**os.environ, **processes.QUIET, "RAY_AUTH_TOKEN": "0" * 64}
        assert subprocess.run(asked, env=stranger, capture_output=True, check=False).returncode != 0
