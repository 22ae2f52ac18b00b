"""Rules as Prometheus' own tool reads them, and the exporter on a real store."""

import asyncio
import math
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_server import program
from release_bench import release_bench
from watched import PROMETHEUS

from agent.errors import Permanent
from agent.exposing import exposed
from agent.ports import free_port
from agent.release.desk import Why
from agent.sections import MetricsSettings
from agent.serve.replica import RewriterReplica
from agent.settings import Settings
from agent.watching import metrics
from agent.watching.process import run
from agent.watching.reading import StoreReader
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import FIELD, StreamWriter
from feedback.keys import Keys
from feedback.records import Action, Arm, Event, Impression, Rung
from feedback.stores import connect
from feedback.version_records import Figure

pytestmark = pytest.mark.timeout(120)
Shown = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.mark.parametrize(
    "check",
    [
        ("check", "config", str(PROMETHEUS / "prometheus.yml")),
        ("check", "rules", *map(str, sorted((PROMETHEUS / "rules").glob("*.yml")))),
        ("test", "rules", str(PROMETHEUS / "tests/alerts.yml")),
        ("test", "rules", str(PROMETHEUS / "tests/missing.yml")),
        ("test", "rules", str(PROMETHEUS / "tests/links.yml")),
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(check: tuple[str, ...]) -> None:
    done = subprocess.run([program("promtool"), *check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.parametrize(
    ("severity", "receiver"), [("page", "pager"), ("ticket", "mail"), ("info", "nobody"), ("", "mail")]
)
def test_alertmanager_sends_an_alert_by_how_urgent_it_is(severity: str, receiver: str) -> None:
    amtool, config = program("amtool"), str(PROMETHEUS / "alertmanager.yml")
    checked = subprocess.run([amtool, "check-config", config], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    asked = [amtool, "config", "routes", "test", f"--config.file={config}", f"severity={severity}"]
    told = subprocess.run([*asked, "tenant=default"], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [receiver]


def settings_for(redis_url: str, tenant: str, **metrics: object) -> Settings:
    return Settings.model_validate(
        {
            "tenant": tenant,
            "redis": {"state_url": redis_url, "partitions": 2, "timeout_s": 1},
            "policy": {"model": "tiny"},
            "metrics": {"exporter_port": free_port(), "least_s": 0, "every_s": 0.05, **metrics},
        }
    )


@asynccontextmanager
async def exporter(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    stop = asyncio.Event()
    running = asyncio.create_task(run(settings, stop))
    url = f"http://127.0.0.1:{settings.metrics.exporter_port}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=20) as http, asyncio.timeout(60):
            while not await listens(settings.metrics.exporter_port):
                await asyncio.sleep(0.02)
            yield http
    finally:
        stop.set()
        await running


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def scraped(http: httpx.AsyncClient) -> Shown:
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(shown: Shown, name: str, **labels: str) -> float:
    return shown.get((name, tuple(sorted(labels.items()))), math.nan)


async def until(http: httpx.AsyncClient, name: str, wanted: float, **labels: str) -> Shown:
    async with asyncio.timeout(20):
        while not math.isclose(value(shown := await scraped(http), name, **labels), wanted, abs_tol=1e-9):
            await asyncio.sleep(0.05)
    return shown


def page_of(keys: Keys, client: str, arm: Arm) -> Impression:
    return Impression(
        query_id=keys.new_query_id("couch"),
        tenant=keys.tenant,
        user_query="couch",
        client_id=client,
        shown_at_ms=wall_clock(),
        arm=arm,
        rung=Rung.VERIFIED if arm is Arm.STABLE else Rung.RAW,
        source="verified",
        object_ids=("a", "b"),
    )


def click_on(page: Impression) -> Event:
    return Event(
        event_id=page.query_id,
        query_id=page.query_id,
        tenant=page.tenant,
        client_id=page.client_id,
        action_name=Action.CLICK,
        object_id="a",
        occurred_at_ms=page.shown_at_ms,
    )


async def test_the_exporter_shows_what_waits_and_what_was_set_aside(redis_url: str, tenant: str) -> None:
    settings, redis = settings_for(redis_url, tenant), connect(redis_url)
    keys = settings.keys
    collector = Collector(redis, keys, settings.feedback, wall_clock)
    async with exporter(settings) as http:
        await StreamWriter(redis, keys, settings.feedback).add_impressions([page_of(keys, "c", Arm.STABLE)])
        await redis.xadd(keys.events(0), {FIELD: b"no JSON"}, id="1-0")  # in 1970
        shown = await until(http, "unseen_shop_stream_entries", 1, stream="impressions")
        assert value(shown, "unseen_shop_stream_entries", stream="events") == 1
        assert value(shown, "unseen_shop_stream_lag_seconds", stream="events") > 86_400
        assert 0 <= value(shown, "unseen_shop_stream_lag_seconds", stream="impressions") < 86_400
        assert value(shown, "unseen_shop_owned_partitions") == 0
        while await collector.step():
            pass
        shown = await until(http, "unseen_shop_stream_entries", 0, stream="impressions")
        assert value(shown, "unseen_shop_stream_lag_seconds", stream="events") == 0
        assert value(shown, "unseen_shop_stream_pending_entries", stream="events") == 0
        assert value(shown, "unseen_shop_dead_letter_entries") == 1
        assert value(shown, "unseen_shop_dropped_total", reason="unreadable") == 1
        assert value(shown, "unseen_shop_owned_partitions") == value(shown, "unseen_shop_partitions") == 2
        assert value(shown, "unseen_shop_readable_state") == 1
    await collector.release()
    await redis.aclose()


async def test_the_exporter_compares_the_arms(redis_url: str, tenant: str) -> None:
    settings, redis = settings_for(redis_url, tenant), connect(redis_url)
    keys, writer = settings.keys, StreamWriter(redis, settings.keys, settings.feedback)
    sizes = ((Arm.STABLE, 40), (Arm.HOLDBACK, 20))
    pages = [page_of(keys, f"{arm}{i}", arm) for arm, n in sizes for i in range(n)]
    await writer.add_impressions(pages)
    await writer.add_events([click_on(page) for page in (*pages[:20], *pages[40:45])])
    collector = Collector(redis, keys, settings.feedback, wall_clock)
    while await collector.step():
        pass
    clicks = {"arm": "treated", "measure": "clicks"}
    async with exporter(settings) as http:  # a half of the pages has a click, of holdback's a quarter
        shown = await until(
            http, "unseen_shop_lift_ratio", 1.0, **clicks, by="all", slice="all", bound="mean"
        )
    assert -1 < value(shown, "unseen_shop_lift_ratio", **clicks, by="all", slice="all", bound="low") < 1
    by_rung = {**clicks, "by": "rung", "slice": "verified", "bound": "mean"}
    assert value(shown, "unseen_shop_lift_ratio", **by_rung) == pytest.approx(1.0)
    assert value(shown, "unseen_shop_compared_pages", arm="holdback") == 20
    assert value(shown, "unseen_shop_evidence_queries") == 1
    of_stable = {"action": "click", "arm": "stable", "made": "rewritten"}
    assert value(shown, "unseen_shop_actions_total", **of_stable) == 20
    await collector.release()
    await redis.aclose()


async def test_how_old_the_comparison_is_counts_from_the_start_until_there_is_one(
    redis_url: str, tenant: str
) -> None:
    now_ms = 5_000_000
    redis = connect(redis_url)
    reader = StoreReader(redis, settings_for(redis_url, tenant), lambda: now_ms)
    now_ms += 3_700_000  # of tries that failed
    assert (await reader.read()).facts[metrics.COMPARED_AGE] == {(): 3700.0}
    await reader.compare()
    now_ms += 2000
    assert (await reader.read()).facts[metrics.COMPARED_AGE] == {(): 2.0}
    await redis.aclose()


async def test_the_exporter_shows_versions_and_their_verdicts(
    redis_url: str, tenant: str, tmp_path: Path
) -> None:
    async with release_bench(tmp_path, tenant, redis_url) as bench:
        serving, bad = await bench.served(), await bench.make()
        figures = {"words": Figure(value=9.0, most=6.0), "harm_rate": Figure(value=0.1, most=0.25)}
        desk = bench.parts.desk
        why = Why(stage="gate", reason="words", figures=figures)
        await desk.retire(await desk.scene(), bad, why)
        async with exporter(settings_for(redis_url, tenant)) as http:
            shown = await until(http, "unseen_shop_version", serving, slot="stable")
        assert value(shown, "unseen_shop_version", slot="newest") == bad
        assert value(shown, "unseen_shop_alarm_state", stage="gate", alarm="words") == 1
        assert value(shown, "unseen_shop_alarm_state", stage="gate", alarm="harm_rate") == 0


async def test_a_replica_s_metrics_come_through_the_store_and_go_with_it(redis_url: str, tenant: str) -> None:
    settings = settings_for(redis_url, tenant)
    replica = RewriterReplica(settings)
    replica.start()
    async with exporter(settings) as http:
        await until(http, "unseen_shop_rewriter_replicas", 1)
        async with asyncio.timeout(60):
            while not await replica.ready():
                await asyncio.sleep(0.05)
        await replica.rewriter.keep(stable=4, held=frozenset({4}))
        name = f"{socket.gethostname()}-{os.getpid()}"
        shown = await until(http, "unseen_policy_version", 4, slot="stable", replica=name)
        assert value(shown, "unseen_weights_failed_loads", replica=name) == 0
        await replica.stop()
        shown = await until(http, "unseen_shop_rewriter_replicas", 0)
        assert not [key for key in shown if key[0] == "unseen_policy_version"]
        async with connect(redis_url) as redis:
            assert not await redis.exists(settings.keys.replica(name), settings.keys.replicas())


async def test_a_store_that_is_away_is_no_zero(tenant: str) -> None:
    settings = settings_for(f"redis://127.0.0.1:{free_port()}/0", tenant)
    async with exporter(settings) as http:
        shown = await scraped(http)
    assert value(shown, "unseen_shop_readable_state") == 0
    assert [name for name, _ in shown if name.startswith("unseen_shop")] == ["unseen_shop_readable_state"]


async def test_scrapes_that_come_close_together_share_one_reading(redis_url: str, tenant: str) -> None:
    settings, redis = settings_for(redis_url, tenant, least_s=3600), connect(redis_url)
    async with exporter(settings) as http:
        assert value(await scraped(http), "unseen_shop_dead_letter_entries") == 0
        await redis.xadd(settings.keys.dead(0), {FIELD: msgspec.json.encode("x")})
        assert value(await scraped(http), "unseen_shop_dead_letter_entries") == 0
    await redis.aclose()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Permanent, match=f"127.0.0.1:{port}"), exposed(MetricsSettings(), port):
            pass


def test_port_0_shows_nothing() -> None:
    with exposed(MetricsSettings(), 0):
        pass
