"""How an operator reaches what is deployed: the console's port, a key that opens it, the command line.

Held for each recipe: the processes have the key, and what the documents say to type leads there. That the key
opens the console: `test_deploy_compose.py`.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from deployed import DEPLOY, README, TYPED, compose, environment_of, key_files, objects, pods, unit

from agent.settings import Settings

SYSTEMD = DEPLOY / "systemd"
PROGRAM = "/opt/unseen/current/.venv/bin/unseen"
SERVICES = compose()["services"]
OBJECTS = objects(DEPLOY / "kubernetes/base")
PODS = {component: pod for component, _, pod in pods(OBJECTS)}
CREDENTIALS = "/run/credentials/run-u1.service"
STUB = f"""#!/usr/bin/env python3
# Stands for systemd-run: sets what it is told, and runs the command with the credential there.
import os, sys
words = sys.argv[1:]
own = words[: words.index("/bin/sh")]
for word in own:
    name, _, value = word.removeprefix("--setenv=").partition("=")
    if word.startswith("--setenv="):
        os.environ[name] = value
print(*own)
os.environ["CREDENTIALS_DIRECTORY"] = "{CREDENTIALS}"
sys.stdout.flush()
os.execv("/bin/sh", words[len(own):])
"""


def service_of(name: str) -> tuple[int, str]:
    """Return a Kubernetes service's port and the component of its pods."""
    (found,) = [one for one in OBJECTS if (one["kind"], one["metadata"]["name"]) == ("Service", name)]
    return found["spec"]["ports"][0]["port"], found["spec"]["selector"]["app.kubernetes.io/component"]


@pytest.mark.parametrize("component", ["gateway", "ray-head"])  # either may read the settings
def test_kubernetes_gateways_hold_every_key_that_the_settings_name(component: str) -> None:
    pod: dict[str, Any] = PODS[component]
    (secret,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    assert {one["key"] for one in secret["items"]} == {"unseen.toml", *key_files()}
    assert all(one["key"] == one["path"] for one in secret["items"])
    assert ["admin"] in key_files().values()
    (container,) = pod["containers"]
    mount = next(m for m in container["volumeMounts"] if m["name"] == "secrets")
    assert f"make-secrets /tmp/unseen redis {mount['mountPath']}\n" in README


def test_in_kubernetes_the_documented_way_leads_to_the_consoles_port_and_its_key() -> None:
    ((name, here, there),) = re.findall(r"kubectl -n unseen port-forward svc/(\S+) (\d+):(\d+)", README)
    port, component = service_of(name)
    assert here == there == str(Settings().serve.admin_port) == str(port)
    assert component == "gateway"
    (key,) = re.findall(r'get secret unseen -o go-template=.*index \.data "(\S+)"', README)
    assert key_files()[key] == ["admin"]


def test_in_kubernetes_what_is_typed_runs_where_the_settings_and_the_data_are() -> None:
    named = re.findall(r"kubectl -n unseen exec -it (\w+)/(\S+) -- unseen (\w+)", TYPED)
    assert {command for _, _, command in named} == {"versions", "rollback", "doctor"}
    for kind, name, command in named:
        component = service_of(name)[1] if kind == "svc" else name
        (container,) = PODS[component]["containers"]
        assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]
        assert {"configMapRef": {"name": "unseen"}} in container["envFrom"]
        assert command != "doctor" or component == "gateway"  # which has the keys that it looks at
    assert "UNSEEN_DATA_DIR=/data" in (DEPLOY / "images/Dockerfile").read_text()


def test_in_compose_what_is_typed_runs_where_the_settings_and_the_data_are() -> None:
    named = re.findall(r"docker\s+compose exec (\w+) unseen (\w+)", TYPED)
    assert {command for _, command in named} == {"versions", "rollback", "doctor"}
    for service, command in named:
        assert "data:/data" in SERVICES[service]["volumes"], service
        assert "unseen.toml" in SERVICES[service]["secrets"]
        assert command != "doctor" or set(key_files()) <= set(SERVICES[service]["secrets"])
    assert "`deploy/compose/secrets/admin.key`" in README


def test_compose_shows_the_console_to_its_machine_and_says_the_way() -> None:
    port = Settings().serve.admin_port
    assert f"127.0.0.1:{port}:{port}" in SERVICES["serve"]["ports"]
    assert set(key_files()) <= set(SERVICES["serve"]["secrets"])
    for recipe in ("systemd", "Compose"):
        assert f"| {recipe} | `ssh -L {port}:127.0.0.1:{port} HOST` |" in README
    assert f"`http://127.0.0.1:{port}/console/`" in README


def test_systemds_keys_lie_where_the_settings_of_the_document_say() -> None:
    """The last word of `make-secrets` is where the gateway's unit has its credentials."""
    assert "make-secrets /etc/unseen 127.0.0.1 /run/credentials/unseen-serve.service\n" in README
    given = dict(one.split(":") for one in unit("unseen-serve.service")["LoadCredential"])
    assert {name: given[name] for name in key_files()} == {
        name: f"/etc/unseen/{name}" for name in key_files()
    }
    assert "`/etc/unseen/admin.key`" in README


def test_the_command_line_has_the_units_settings_folders_and_user(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.write_text('#!/bin/sh\nenv\necho "$@"\n')
    script = (SYSTEMD / "unseen").read_text()
    assert PROGRAM in script
    (tmp_path / "unseen").write_text(script.replace(PROGRAM, str(ours)))
    (tmp_path / "systemd-run").write_text(STUB)
    for one in tmp_path.iterdir():
        one.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SUDO_USER": "anna"}
    argv = [str(tmp_path / "unseen"), "rollback", "3", "--why", "it is bad"]
    done = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True)
    told, *lines = done.stdout.splitlines()
    assert lines[-1] == "rollback 3 --why it is bad"
    found = unit("unseen-release.service")
    settings = environment_of(found) | {"UNSEEN_CONFIG": f"{CREDENTIALS}/unseen.toml", "LOGNAME": "anna"}
    for name in ("UNSEEN_CONFIG", "UNSEEN_DATA_DIR", "UNSEEN_CACHE_DIR", "HF_HUB_OFFLINE", "LOGNAME"):
        assert f"{name}={settings[name]}" in lines
    as_units = {f"--uid={found['User'][0]}", f"--gid={found['Group'][0]}"} | {
        f"--property={name}={found[name][0]}" for name in ("LoadCredential", "EnvironmentFile", "UMask")
    }
    assert as_units <= set(told.split())


def test_the_command_line_is_put_where_documents_call_it() -> None:
    assert os.access(SYSTEMD / "unseen", os.X_OK)
    assert "ln -s /opt/unseen/current/deploy/systemd/unseen /usr/local/sbin/unseen\n" in README
    assert TYPED.count("sudo /usr/local/sbin/unseen ") == 2
