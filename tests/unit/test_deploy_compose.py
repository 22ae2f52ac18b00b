"""Compose: the schema holds it, and names, ports, commands, keys and settings are the code's."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml
from deployed import (
    DEPLOY,
    PORTS,
    ROLES,
    commands,
    compose,
    compose_faults,
    key_files,
    loaded,
    targets,
    vllm_faults,
)
from serve_fakes import World

from agent.console import add_console
from agent.sections import Scope
from agent.serve.admin import check_admin
from agent.serve.gateway import make_app
from agent.serve.keys import with_keys
from tests.conftest import missing

FOLDER = DEPLOY / "compose"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - of the container, which alone is on that network
PROJECT = compose()
SERVICES = PROJECT["services"]
VLLM = compose("compose.vllm.yaml")
ALERTMANAGER = compose("compose.alertmanager.yaml")
ADDED = {"vllm": VLLM, "alertmanager": ALERTMANAGER}
"""Services that an overlay brings."""


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        missing("openssl: tests/install-packages installs it")
    folder = tmp_path_factory.mktemp("secrets")
    subprocess.run([FOLDER / "make-secrets", folder, "redis", folder], check=True)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "compose.yaml",
        "compose.alertmanager.yaml",
        "compose.grafana.yaml",
        "compose.gpu.yaml",
        "compose.vllm.yaml",
    ],
)
def test_the_specification_holds_it(name: str) -> None:
    assert compose_faults(compose(name)) == []
    assert set(compose(name)["services"]) <= set(SERVICES) | set(ADDED)


def test_the_schema_refuses_what_is_no_key() -> None:
    assert compose_faults({"services": {"redis": {"imagee": "redis"}}}) != []


def test_every_role_is_there_with_its_image_and_command() -> None:
    assert set(SERVICES) == {*ROLES, "redis", "opensearch", "prometheus", "grafana"}
    assert targets() <= commands()
    for role in ROLES:
        assert SERVICES[role]["build"]["target"] == role
        assert SERVICES[role]["image"].startswith(f"unseen-{role}:")
        assert (FOLDER / SERVICES[role]["build"]["context"] / SERVICES[role]["build"]["dockerfile"]).is_file()
        assert SERVICES[role]["user"] == "10001:10001"


@pytest.mark.parametrize("name", [*SERVICES, *ADDED])
def test_a_service_is_bounded_watched_and_has_no_rights(name: str) -> None:
    one = SERVICES.get(name) or ADDED[name]["services"][name]
    assert one["cpus"] > 0
    assert one["mem_limit"]
    assert one["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["read_only"] is (name != "opensearch")
    assert one.get("user", "1000") not in {"0", "root", "0:0"}
    assert not one["image"].endswith(":latest")
    assert "latest" not in one["image"]
    assert ":" in one["image"].replace(":-", "")


def test_only_the_gateway_is_published_and_its_console_to_this_machine() -> None:
    assert [name for name, one in SERVICES.items() if "ports" in one] == ["serve"]
    assert SERVICES["serve"]["ports"] == ["${UNSEEN_PUBLISH:-127.0.0.1:8000}:8000", "127.0.0.1:8001:8001"]
    assert [name for name, one in SERVICES.items() if "edge" in one["networks"]] == ["serve"]
    assert PROJECT["networks"]["inner"]["internal"] is True
    assert compose("compose.grafana.yaml")["services"]["grafana"]["ports"] == ["127.0.0.1:3000:3000"]


@pytest.mark.parametrize("role", ROLES)
def test_settings_are_known_and_ports_agree(
    role: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {k: re.sub(r"\$\{\w+:-(.*)\}", r"\1", v) for k, v in SERVICES[role]["environment"].items()}
    assert Path(environment["UNSEEN_CONFIG"]).name in SERVICES[role]["secrets"]
    settings = loaded(monkeypatch, environment, secrets / "unseen.toml")
    asked = " ".join(SERVICES[role]["healthcheck"]["test"])
    if role == "serve":
        assert settings.serve.host == EVERYWHERE
        assert f":{settings.serve.port}/readyz" in asked
        check_admin(settings)  # which has a key
        read = with_keys(settings).access
        assert {name: key.scopes for name, key in read.keys.items()} == {
            "prometheus": {Scope.METRICS},
            "operator": {Scope.ADMIN},
        }
        assert settings.serve.admin_port == 8001
        assert len(read.server_keys) == 1
        return
    port = getattr(settings.metrics, f"{role}_port")
    assert port == PORTS[role]
    assert f":{port}/metrics" in asked
    assert settings.metrics.host == EVERYWHERE


async def test_an_operator_with_the_key_opens_the_console_and_may_act(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = with_keys(loaded(monkeypatch, {}, secrets / "unseen.toml")).access
    world = World(access=access.model_dump())
    app = make_app(world.parts)
    add_console(app, world.parts)
    transport = httpx.ASGITransport(app=app.state.admin)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as http:
        for name, status in (("shop.key", 401), ("prometheus.key", 403), ("admin.key", 200)):
            key = {"authorization": f"Bearer {(secrets / name).read_text()}"}
            answer = await http.get("/console/api/who", headers=key)
            assert answer.status_code == status, name
            if status == 200:
                assert answer.json() == {"name": "operator", "acts": True, "tenant": "default"}


def test_the_key_files_that_the_settings_name_are_mounted(secrets: Path) -> None:
    del secrets
    text = (FOLDER / "make-secrets").read_text()
    named = set(re.findall(r'"\$keys/(\S+)"', text))
    assert named == set(key_files()) == {"shop.key", "prometheus.key", "admin.key"}
    assert named <= set(SERVICES["serve"]["secrets"])
    assert set(PROJECT["secrets"]) == {name for one in SERVICES.values() for name in one.get("secrets", ())}
    made = set(re.findall(r"once ([a-z.]+)|(\w+\.(?:key|password))(?= |;)", text))
    made = {name for pair in made for name in pair}
    assert {Path(one["file"]).name for one in (PROJECT["secrets"] | VLLM["secrets"]).values()} <= made


def test_secrets_are_made_once_and_for_few_eyes(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run([FOLDER / "make-secrets", secrets, "elsewhere", secrets], check=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o440}
    assert secrets.stat().st_mode & 0o777 == 0o750
    assert all(re.fullmatch(r"[0-9a-f]{64}", path.read_text()) for path in secrets.glob("*.key"))


def test_volumes_files_and_variables_exist() -> None:
    example = dict(
        line.split("=", 1)
        for line in (FOLDER / ".env.example").read_text().splitlines()
        if "=" in line and line[0] != "#"
    )
    text = "".join(path.read_text() for path in sorted(FOLDER.glob("compose*.yaml")))
    assert dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text)) == example
    named = PROJECT["volumes"] | ALERTMANAGER["volumes"]
    for one in (*SERVICES.values(), *ALERTMANAGER["services"].values()):
        for volume in one.get("volumes", ()):
            source = volume.split(":")[0]
            assert (FOLDER / source).exists() if source.startswith(".") else source in named


def test_prometheus_asks_every_role_where_it_shows_its_figures() -> None:
    jobs = {
        one["job_name"]: one
        for one in yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    }
    found = {job: one["dns_sd_configs"][0] for job, one in jobs.items()}
    assert {job: one["port"] for job, one in found.items()} == PORTS | {"gateway": 8001}
    assert {one["names"][0] for one in found.values()} == set(ROLES)
    assert (
        Path(jobs["gateway"]["authorization"]["credentials_file"]).name in SERVICES["prometheus"]["secrets"]
    )


def test_vllm_is_started_as_the_engine_needs_it_and_reached_with_its_key(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, serve = VLLM["services"]["vllm"], VLLM["services"]["serve"]
    environment = {k: v for k, v in SERVICES["serve"]["environment"].items() if "$" not in v}
    settings = loaded(monkeypatch, environment | serve["environment"], secrets / "unseen.toml")
    policy, command = settings.policy, [*server["entrypoint"], *server["command"]]
    assert (policy.engine, policy.vllm_url) == ("vllm", "http://vllm:8000")
    assert vllm_faults(command, server["environment"], policy) == []
    assert "--port=8000" in command
    assert (server["networks"], "ports" in server) == (["inner"], False)
    assert server["volumes"] == [f"{SERVICES['serve']['volumes'][0]}:ro"]  # adapters, at the same path
    (key,) = server["secrets"]
    assert serve["secrets"] == [key]
    assert str(policy.vllm_key_file) == f"/run/secrets/{key}"
    assert f"/run/secrets/{key}" in server["entrypoint"][2]
