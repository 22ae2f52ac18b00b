"""What the gateway's benchmark reads out of metrics."""

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from agent.serve.metrics import STAGE_SECONDS, VERSION
from agent.settings import Settings
from tests.bench.gateway.stages import p99_ms, stage_counts
from tests.bench.gateway.swapping import SERVES, serve_all


def replica(version: int) -> bytes:
    registry = CollectorRegistry()
    gauge = Gauge(SERVES, "As a replica says it.", ["slot"], registry=registry)
    gauge.labels(slot="stable").set(version)
    gauge.labels(slot="canary").set(9)
    return generate_latest(registry)


@pytest.mark.parametrize(
    ("said", "replicas", "all_serve"),
    [([5], 1, True), ([5], 2, False), ([5, 5], 2, True), ([5, 4], 2, False), ([], 1, False), ([9], 1, False)],
)
def test_a_version_is_published_once_every_replica_writes_with_it(
    said: list[int], replicas: int, *, all_serve: bool
) -> None:
    texts = {f"r{n}": replica(version) for n, version in enumerate(said)}
    assert serve_all(texts, 5, replicas) is all_serve


def test_replicas_tell_their_version_by_the_metric_that_is_read() -> None:
    assert [metric.name for metric in VERSION.collect()] == [SERVES]


async def test_each_stage_s_p99_is_the_upper_bound_of_its_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    async def shown(*_: object, **__: object) -> httpx.Response:
        return httpx.Response(200, content=generate_latest())

    monkeypatch.setattr(httpx.AsyncClient, "get", shown)
    before = await stage_counts(Settings())
    for own_s in [0.0022] * 98 + [0.0035] * 2:
        STAGE_SECONDS.labels(stage="own").observe(own_s)
    after = await stage_counts(Settings())
    assert p99_ms(before.get("own", {}), after["own"]) == 4
