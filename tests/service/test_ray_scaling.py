"""A gateway more where the load asks for it: real Ray Serve, which looks for half a minute first."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.settings import Settings
from tests.conftest import WaitUntil

pytestmark = [
    pytest.mark.timeout(240, func_only=True),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, in number
]
TENANT = f"scaling{os.getpid()}"
AT_ONCE = 4


@pytest.fixture
def gateway_url(redis_url: str, fake_opensearch_url: str, tmp_path: Path) -> Iterator[str]:
    from agent.serve import app  # noqa: PLC0415 - its import warns, which only inside a test is allowed

    settings = Settings.model_validate(
        {
            "tenant": TENANT,
            "data_dir": str(tmp_path),
            "redis": {"state_url": redis_url, "partitions": 2},
            "opensearch": {"url": fake_opensearch_url, "index": TENANT},
            "policy": {"model": "tiny"},
            "serve": {"port": 0, "admin_port": 0, "most_gateways": 2, "gateway_load": 0.5},
        }
    )
    try:
        (url,) = app.start(settings)
        yield url
    finally:
        app.stop()


def running() -> int:
    """Return how many gateways answer."""
    from ray import serve  # noqa: PLC0415 - as above

    (application,) = serve.status().applications.values()
    states = application.deployments["Gateway"].replica_states
    return int(states.get("RUNNING", 0))


def test_load_starts_another_gateway(gateway_url: str, wait_until: WaitUntil) -> None:
    assert running() == 1
    enough = threading.Event()

    def shopper() -> None:
        with httpx.Client(timeout=60) as http:
            while not enough.is_set():
                http.post(f"{gateway_url}/search", json={"user_query": "sofa", "client_id": "c"})

    shoppers = [threading.Thread(target=shopper) for _ in range(AT_ONCE)]
    for one in shoppers:
        one.start()
    try:
        wait_until(lambda: running() == 2, timeout_s=180)
    finally:
        enough.set()
        for one in shoppers:
            one.join()
