"""systemd: units that run our commands, hardened, in order; systemd's own check where it is installed."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployed import (
    DEPLOY,
    PORTS,
    README,
    ROLES,
    commands,
    environment_of,
    images,
    key_files,
    loaded,
    unit,
)

from agent.settings import Settings
from feedback.settings import RedisSettings
from tests.conftest import missing

FOLDER = DEPLOY / "systemd"
UNITS = {role: f"unseen-{role}{'@' if role == 'collector' else ''}.service" for role in ROLES}
PROGRAM = "/opt/unseen/current/.venv/bin/unseen"
MOST = max(part.le for part in RedisSettings.model_fields["partitions"].metadata if hasattr(part, "le"))
"""Collectors that find work: each takes a partition or more."""


def verified(units: Path, *names: str) -> str:
    """Return what systemd says against units."""
    _needs_systemd()
    paths = [units / name for name in names]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], check=False, capture_output=True, text=True
    )
    return "\n".join(line for line in done.stderr.splitlines() if "unseen" in line)


def _needs_systemd() -> None:
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze: tests/install-packages installs it")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program that exists in the place of ours."""
    for path in (*FOLDER.glob("*.service"), FOLDER / "unseen.target"):
        text = path.read_text().replace(PROGRAM, "/bin/true")
        (tmp_path / path.name).write_text(text)
    (tmp_path / "unseen-collector@1.service").write_text((tmp_path / UNITS["collector"]).read_text())
    return tmp_path


def test_every_role_has_a_unit_and_the_target_wants_them_all() -> None:
    assert {path.name for path in FOLDER.glob("*.service")} == set(UNITS.values())
    wanted = " ".join(unit("unseen.target")["Wants"]).split()
    assert {name.replace("@1", "@").replace("@2", "@") for name in wanted} == set(UNITS.values())
    assert unit("unseen.target")["WantedBy"] == ["multi-user.target"]


def test_systemd_takes_them(units: Path) -> None:
    names = [name.replace("@", "@1") for name in UNITS.values()]
    assert verified(units, "unseen.target", *names) == ""


def test_systemd_finds_little_that_they_may_do(units: Path) -> None:
    """Its own measure runs from 0 to 100; a unit without any of these settings has 96."""
    _needs_systemd()
    paths = [str(units / name.replace("@", "@1")) for name in UNITS.values()]
    argv = ["systemd-analyze", "security", "--offline=true", "--threshold=20", *paths]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-300:]


def test_systemd_refuses_what_is_no_setting(units: Path) -> None:
    broken = units / "unseen-serve.service"
    broken.write_text(broken.read_text().replace("ProtectSystem=", "ProtectSystems="))
    assert "ProtectSystems" in verified(units, broken.name)


@pytest.mark.parametrize("role", ROLES)
def test_a_unit_runs_its_command_again_and_again(role: str) -> None:
    found = unit(UNITS[role])
    (command,) = found["ExecStart"]
    assert command.startswith("/bin/sh -c " if role == "collector" else PROGRAM)
    assert command.rstrip("'").endswith(f"{PROGRAM} {role}")
    assert role in commands()
    assert (found["Restart"], found["RestartSec"], found["StartLimitIntervalSec"]) == (
        ["always"],
        ["2"],
        ["0"],
    )
    assert found["PartOf"] == found["WantedBy"] == ["unseen.target"]
    assert "redis-server.service" in found["After"][0]


@pytest.mark.parametrize("role", ROLES)
def test_a_unit_is_hardened(role: str) -> None:
    found = unit(UNITS[role])
    assert found["User"] == found["Group"] == ["unseen"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["CapabilityBoundingSet"] == [""]
    for name in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictNamespaces"):
        assert found[name] == ["yes"], name
    assert "MemoryMax" in found
    writes = images()["ROLES"][role] != "light"
    assert found.get("ReadWritePaths") == (["/var/lib/unseen"] if writes else None)
    assert found.get("StateDirectory") == (["unseen"] if writes else None)


@pytest.mark.parametrize("role", ROLES)
def test_settings_are_known_and_secrets_are_credentials(
    role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = unit(UNITS[role])
    environment = environment_of(found)
    config = tmp_path / "unseen.toml"
    config.write_text("")
    settings = loaded(monkeypatch, environment, config)
    credentials = dict(one.split(":") for one in found["LoadCredential"])
    assert environment["UNSEEN_CONFIG"] == "%d/unseen.toml"
    assert set(credentials) == {"unseen.toml", *(key_files() if role == "serve" else ())}
    assert all(path == f"/etc/unseen/{name}" for name, path in credentials.items())
    if role not in ("serve", "collector"):
        assert getattr(settings.metrics, f"{role}_port") == PORTS[role]


def port_of_collector(instance: str) -> str:
    """Run a collector's command as systemd would, with one in the place of ours that prints the port."""
    (command,) = unit(UNITS["collector"])["ExecStart"]
    line = command.replace("%i", instance).replace("$$", "$")
    argv = shlex.split(line.replace(f"{PROGRAM} collector", "printenv UNSEEN_METRICS__COLLECTOR_PORT"))
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def scraped() -> dict[str, dict[str, Any]]:
    """Return what Prometheus is to do, by job."""
    found = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    return {one["job_name"]: one for one in found["scrape_configs"]}


def test_each_collector_has_a_port_of_its_own_that_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "unseen.toml"
    config.write_text("")
    ports = [port_of_collector(str(n)) for n in range(1, MOST + 1)]
    assert (ports[0], ports[1], ports[9]) == ("9471", "9472", "9480")
    assert len({*ports, *map(str, PORTS.values())}) == MOST + len(PORTS)
    environment = {"UNSEEN_METRICS__COLLECTOR_PORT": ports[-1]}
    assert loaded(monkeypatch, environment, config).metrics.collector_port == 9470 + MOST


def test_prometheus_asks_the_units_of_the_target_where_they_show_their_figures() -> None:
    each = {job: one["static_configs"][0] for job, one in scraped().items()}
    asked = {
        job: {target.removeprefix("127.0.0.1:") for target in one["targets"]} for job, one in each.items()
    }
    collectors = re.findall(r"unseen-collector@(\w+)\.service", " ".join(unit("unseen.target")["Wants"]))
    own = {role: {str(port)} for role, port in PORTS.items()}
    assert asked == own | {
        "collector": set(map(port_of_collector, collectors)),
        "gateway": {str(Settings().serve.admin_port)},
    }
    assert [one["labels"] for one in each.values()] == [{"tenant": "default"}] * len(each)


def test_prometheus_sends_the_gateway_alone_the_key_that_it_is_given() -> None:
    said = {job: one["authorization"] for job, one in scraped().items() if "authorization" in one}
    name, _, path = unit("prometheus.conf")["LoadCredential"][0].partition(":")
    assert said == {"gateway": {"credentials_file": f"/run/credentials/prometheus.service/{name}"}}
    assert path == f"/etc/unseen/{name}"
    assert key_files()[name] == ["metrics"]
    assert "systemd/prometheus.conf /etc/systemd/system/prometheus.service.d/unseen.conf\n" in README
