"""`unseen doctor` and `unseen status` over a real Redis and the light stand-in, whole and broken."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_versions import manifest_of
from redis import Redis
from typer.testing import CliRunner, Result
from watched_week import CLIENTS, RUNGS, write_a_week

from agent.cli import app
from agent.ports import free_port
from agent.retrieval import Catalogue
from agent.sections import OpenSearchSettings
from agent.settings import Settings
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.keys import Keys
from feedback.stores import connect
from feedback.version_records import Pause

pytestmark = pytest.mark.timeout(60)
NOWHERE = "redis://127.0.0.1:1/0"
TEMPLATE: dict[str, Any] = {
    "body": {"query": {"bool": {"must": [{"$query": {"match": {"nome": "$user_query"}}}]}}}
}


def run(*words: str) -> Result:
    return CliRunner().invoke(app, [*words])


def looked() -> tuple[int, dict[str, dict[str, str]]]:
    """Return the doctor's exit code and its checks by name."""
    done = run("doctor", "--json")
    return done.exit_code, {one["name"]: one for one in json.loads(done.stdout)["checks"]}


def states(checks: dict[str, dict[str, str]], *names: str) -> list[str]:
    return [checks[name]["state"] for name in names]


@pytest.fixture
def world(
    redis_url: str, fake_opensearch_url: str, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Redis]:
    """A shop in which all is well, but that nothing runs."""
    for name, value in {
        "TENANT": tenant,
        "DATA_DIR": str(tmp_path),
        "REDIS__STATE_URL": redis_url,
        "REDIS__PARTITIONS": "2",
        "OPENSEARCH__URL": fake_opensearch_url,
        "OPENSEARCH__INDEX": tenant,
        "POLICY__MODEL": "tiny",
        "SERVE__PORT": "0",
        "SERVE__ADMIN_PORT": "0",
        "METRICS__EXPORTER_PORT": str(free_port()),
    }.items():
        monkeypatch.setenv(f"UNSEEN_{name}", value)
    shop = OpenSearchSettings(url=fake_opensearch_url, index=tenant)
    asyncio.run(_filled(shop))
    connection = Redis.from_url(redis_url)
    yield connection
    asyncio.run(_dropped(shop))
    for key in connection.scan_iter(f"unseen:{{{tenant}*"):
        connection.delete(key)
    connection.close()


async def _filled(shop: OpenSearchSettings) -> None:
    async with Catalogue(shop) as catalogue:
        await catalogue.create_index()
        await catalogue.load([json.dumps({"id": "1", "title": "lamp"})])


async def _dropped(shop: OpenSearchSettings) -> None:
    async with Catalogue(shop) as catalogue:
        await catalogue.drop_index()


@pytest.mark.usefixtures("world")
def test_a_whole_world_is_well_and_says_what_to_start(tenant: str) -> None:
    code, checks = looked()
    failed = [one for one in checks.values() if one["state"] == "failed"]
    assert (code, failed) == (0, [])
    well = ("settings", "python", "libraries", "data folder", "secret", "opensearch", "index", "fields")
    assert set(states(checks, *well)) == {"ok"}
    assert set(states(checks, "redis", "redis version", "redis eviction", "redis clock")) == {"ok"}
    assert f"none lives as tenant {tenant}" in checks["processes"]["found"]
    assert checks["index"]["found"].endswith("1 documents")
    people = run("doctor")
    assert (people.exit_code, "\x1b" in people.stdout) == (0, False)  # no colours where nobody sees them
    assert "unseen serve" in people.stdout


@pytest.mark.usefixtures("world")
def test_a_redis_that_is_away_fails_and_its_other_checks_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSEEN_REDIS__STATE_URL", NOWHERE)
    code, checks = looked()
    assert (code, checks["redis"]["state"]) == (1, "failed")
    assert checks["redis"]["do"] == "start it, or set redis.state_url"
    assert states(checks, "redis version", "processes", "opensearch") == ["skipped", "skipped", "ok"]
    assert isinstance(run("status").exception, Exception)


@pytest.mark.usefixtures("world")
def test_servers_that_take_connections_and_say_nothing_hold_the_doctor_up_for_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        monkeypatch.setenv("UNSEEN_REDIS__STATE_URL", f"redis://127.0.0.1:{port}/0")
        monkeypatch.setenv("UNSEEN_REDIS__TIMEOUT_S", "60")
        monkeypatch.setenv("UNSEEN_OPENSEARCH__URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("UNSEEN_OPENSEARCH__TIMEOUT_S", "60")
        began_s = time.monotonic()
        code, checks = looked()
    assert (code, states(checks, "redis", "opensearch")) == (1, ["failed", "failed"])
    assert time.monotonic() - began_s < 30  # a busy machine's; alone it takes one limit


@pytest.mark.usefixtures("world")
def test_an_index_that_is_not_there_or_lacks_the_fields_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSEEN_OPENSEARCH__FIELDS", '["nome", "marca"]')
    code, checks = looked()
    assert (code, checks["fields"]["found"]) == (1, "the index has none of nome, marca")
    monkeypatch.setenv("UNSEEN_OPENSEARCH__INDEX", "nothing-of-that-name")
    code, checks = looked()
    assert (code, states(checks, "index", "fields")) == (1, ["failed", "skipped"])
    assert "set opensearch.index" in checks["index"]["do"]


@pytest.mark.usefixtures("world")
def test_a_template_that_is_broken_or_does_not_fit_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    monkeypatch.setenv("UNSEEN_OPENSEARCH__TEMPLATES", str(folder))
    (folder / "default.json").write_text("{")
    code, checks = looked()
    assert (code, checks["fields"]["state"]) == (1, "failed")
    assert "default" in checks["fields"]["found"]
    (folder / "default.json").write_text(json.dumps(TEMPLATE))
    code, checks = looked()
    assert (code, checks["templates"]["state"]) == (1, "failed")
    assert "the index has no field nome" in checks["templates"]["found"]
    assert "fields" not in checks  # the template takes the place of the built-in clause


def _says(redis: Redis, keys: Keys, figure: str, value: str) -> None:
    """Have a gateway say something."""
    redis.zadd(keys.speakers("gateway"), {"one": time.time()})
    redis.hset(keys.vitals("gateway", "one"), figure, value)


def test_what_the_gateway_found_of_its_templates_is_said(world: Redis, tenant: str) -> None:
    keys = Keys(tenant=tenant, partitions=2)
    for said, found in (
        ("unchecked", "the search templates are not held against the index yet"),
        ("listing: odd", "the search templates do not fit the index: listing: odd"),
    ):
        _says(world, keys, "templates", said)
        _, checks = looked()
        assert checks["gateway's templates"]["state"] == "warning"
        assert found in checks["gateway's templates"]["found"]
    _says(world, keys, "templates", "fit")
    assert "gateway's templates" not in looked()[1]


def test_settings_that_do_not_load_leave_the_machine_to_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "unseen.toml"
    path.write_text("servce = 1\n")
    done = run("doctor", "--json", "--config", str(path))
    checks = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
    assert (done.exit_code, checks["settings"]["state"]) == (1, "failed")
    assert "unknown key servce" in checks["settings"]["found"]
    assert states(checks, "python", "redis", "opensearch", "processes") == [
        "ok",
        "skipped",
        "skipped",
        "skipped",
    ]


def test_versions_on_another_model_and_processes_of_another_tenant_are_found(
    world: Redis, tenant: str, tmp_path: Path
) -> None:
    asyncio.run(_published(Settings.load(), AdapterStore(Settings.load().weights_dir)))
    keys, other = Keys(tenant=tenant, partitions=2), Keys(tenant=f"{tenant}-x", partitions=2)
    _says(world, keys, "pulse", "1")
    world.hset(other.vitals("learner"), "updates", "1")
    world.hset(other.vitals("rewriter", "host-1"), "version", "1")
    world.set(keys.secret(), "another")
    code, checks = looked()
    assert (code, states(checks, "model of the versions", "gateway")) == (0, ["warning", "ok"])
    assert f"learner as tenant {tenant}-x" in checks["learner"]["found"]
    assert f"rewriter as tenant {tenant}-x" in checks["rewriter"]["found"]
    assert checks["secret of the gateways"]["state"] == "warning"  # there is no secret here


async def _published(settings: Settings, store: AdapterStore) -> None:
    async with connect(settings.redis.state_url) as redis:
        registry = Registry(redis, settings.keys)
        await registry.publish(manifest_of(store, await registry.next_version(), 0.5))


@pytest.mark.usefixtures("world")
def test_where_nothing_runs_the_status_says_so_and_what_to_start(tenant: str) -> None:
    done = run("status", "--json")
    said = json.loads(done.stdout)
    assert (done.exit_code, said["arms"], said["versions"]["serving"]) == (0, {}, 0)
    assert said["do"][0].startswith(f"nothing runs as tenant {tenant}: start unseen serve")
    assert "the base model serves" in run("status").stdout


def test_the_status_tells_arms_streams_verdicts_and_versions(world: Redis, tenant: str) -> None:
    settings = Settings.load()
    asyncio.run(_lived(settings))
    keys = settings.keys
    world.hset(keys.vitals("release"), "waits_for", "3600 s between two trials")
    world.hset(keys.vitals("learner"), mapping={"updates": "7", "reward_mean": "0.25"})
    said = json.loads(run("status", "--json").stdout)
    stable, held = said["arms"]["stable"], said["arms"]["holdback"]
    assert (stable["pages"], held["pages"]) == (CLIENTS * len(RUNGS), 2 * CLIENTS * len(RUNGS))
    assert set(stable["lift"]) == {"mean", "low", "high"}
    assert held["lift"] is None
    clicks = said["evidence"]["clicks"]
    assert 0 < clicks == sum(one.get("clicks", 0) for one in said["arms"].values())
    assert 0 <= said["evidence"]["newest_click_age_s"] < 600
    assert said["streams"]["waiting"]["impressions"] == 0
    assert (said["versions"]["serving"], said["versions"]["waits_for"]) == (1, "3600 s between two trials")
    assert said["learner"] == {"updates": 7.0, "reward_mean": 0.25}
    assert said["paused"]["releases"]["why"] == "a sale"
    assert any("unseen resume" in one for one in said["do"])
    shown = run("status").stdout
    for words in (
        "1 serves",
        "reward +0.250",
        "3600 s between two trials",
        "releases by me: a sale",
        "holdback",
    ):
        assert words in shown


async def _lived(settings: Settings) -> None:
    """Let a shop have lived a week, whose releases are paused."""
    await write_a_week(settings)
    async with connect(settings.redis.state_url) as redis:
        collector = Collector(redis, settings.keys, settings.feedback, wall_clock)
        while await collector.step():
            pass
        pause = Pause(by="me", at_ms=wall_clock(), why="a sale")
        await Registry(redis, settings.keys).pause("releases", pause)
