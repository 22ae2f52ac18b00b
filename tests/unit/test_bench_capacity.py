"""How many machines a shop needs: the model of the cache, and the sums."""

import random

import pytest

from tests.bench.capacity.hits import Heaps, checked, fitted
from tests.bench.capacity.parts import REST, part_of
from tests.bench.capacity.sizing import BUSY, Shop, Units, background, sized

LAW = Heaps(k=5.0, beta=0.6)


def log_of(law: Heaps, searches: int) -> list[str]:
    """Return searches of which as many are new as the law says; the others are any of those before."""
    rng = random.Random(0)
    queries: list[str] = []
    different = 0
    for n in range(1, searches + 1):
        if rng.random() < law.missed(n):
            different += 1
            queries.append(f"q{different}")
        else:
            queries.append(rng.choice(queries))
    return queries


def test_a_log_tells_its_law() -> None:
    found = fitted(log_of(LAW, 30_000))
    assert found.beta == pytest.approx(LAW.beta, abs=0.05)
    assert found.different(30_000) == pytest.approx(LAW.different(30_000), rel=0.05)


def test_the_first_half_of_a_log_foretells_what_is_new_in_the_second() -> None:
    said = checked(log_of(LAW, 30_000), room=10_000)
    assert said["never_asked_before_foretold"] == pytest.approx(said["never_asked_before"], rel=0.15)
    assert said["missed"] >= said["never_asked_before"]


def test_a_log_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1000"):
        fitted(["sofa"] * 999)


def test_the_window_is_bounded_by_the_time_to_live_and_by_the_room() -> None:
    assert LAW.window(per_s=10, ttl_s=100, room=1e9) == 1000
    window = LAW.window(per_s=10, ttl_s=1e12, room=500)
    assert LAW.different(window) == pytest.approx(500)


def test_a_busier_shop_misses_less_and_a_smaller_cache_more() -> None:
    assert LAW.missed(1e6) < LAW.missed(1e4) < 1
    assert LAW.missed(1) == 1  # nobody asked before


def test_cores_are_what_hits_and_misses_take_at_the_load_that_is_planned_for() -> None:
    units = Units(
        hit={"gateway": 6, "proxy": 3, "rewriter": 0, "redis": 0.3},
        miss={"gateway": 12, "proxy": 3, "rewriter": 400, "redis": 0.6},
        collector=0.5,
        collector_redis=0.1,
        entry_bytes=1024,
    )
    half = Heaps(k=0.5, beta=1.0)  # every other search is of a query that nobody made
    needs = sized(Shop(per_s=100, law=half, ttl_s=3600, room=1e9), units)
    assert needs["missed"] == 0.5
    assert needs["rewrites_per_s"] == 50
    assert needs["gateway_cores"] == pytest.approx(100 * 0.009 / BUSY)
    assert needs["rewriter_cores"] == pytest.approx(50 * 0.4 / BUSY)
    assert needs["collector_cores"] == pytest.approx(140 * 0.0005 / BUSY)
    assert needs["redis_cores"] == pytest.approx((100 * 0.00045 + 140 * 0.0001) / BUSY)
    assert needs["redis_masters"] == 1
    assert needs["opensearch_per_s"] == 205
    assert needs["cached"] == 180_000
    assert needs["cache_mib"] == pytest.approx(180_000 / 1024)


def test_the_background_has_its_least() -> None:
    assert background(1) == 2
    assert background(1000) == 50


def test_processes_are_told_apart() -> None:
    assert part_of("ray::ServeReplica:unseen:Gateway.handle_request") == "gateway"
    assert part_of("ray::ServeReplica:unseen:Rewriter") == "rewriter"
    assert part_of("ray::ProxyActor.receive_asgi_messages") == "proxy"
    assert part_of("/usr/bin/redis-server 127.0.0.1:6379") == "redis"
    assert part_of("raylet") == REST
