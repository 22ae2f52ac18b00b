"""What `deploy/` holds, as data: services, Kubernetes' objects, systemd's units, commands of its README."""

import functools
import json
import re
import runpy
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from jsonschema import Draft202012Validator

from agent.cli import app
from agent.policy.smollm2 import FOLDER
from agent.sections import PolicySettings
from agent.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
README = (DEPLOY / "README.md").read_text()
TYPED = README + (DEPLOY / "runbook.md").read_text()
"""What operators are told to type."""
ROLES = ("serve", "collector", "verifier", "learner", "release", "exporter")
PORTS = {"collector": 9461, "verifier": 9462, "learner": 9463, "release": 9464, "exporter": 9460}
SCHEMAS = Path(__file__).parent / "schemas"
Tree = dict[str, Any]


def compose(name: str = "compose.yaml") -> Tree:
    return dict(yaml.safe_load((DEPLOY / "compose" / name).read_text()))


def images() -> dict[str, Any]:
    """Return what `deploy/images/packages.py` defines."""
    return runpy.run_path(str(DEPLOY / "images/packages.py"))


def targets() -> set[str]:
    """Return the Dockerfile's stages that are an image."""
    text = (DEPLOY / "images/Dockerfile").read_text()
    return set(re.findall(r"^FROM \S+-code AS (\S+)$", text, re.MULTILINE))


def objects(folder: Path) -> list[Tree]:
    """Return the Kubernetes objects in a kustomization's own files."""
    named = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    files = [folder / name for name in named if (folder / name).is_file()]
    return [one for path in files for one in yaml.safe_load_all(path.read_text())]


def faults(kind: str, tree: Mapping[str, Any]) -> list[str]:
    """Return what of an object its kind's schema refuses."""
    schema = _schema("kubernetes") | {"$ref": f"#/$defs/{kind}"}
    return [
        f"{'.'.join(map(str, e.absolute_path))}: {e.message}"
        for e in Draft202012Validator(schema).iter_errors(tree)
    ]


def compose_faults(tree: Mapping[str, Any]) -> list[str]:
    schema = {k: v for k, v in _schema("compose").items() if k != "id"}
    return [
        f"{'.'.join(map(str, e.absolute_path))}: {e.message}"
        for e in Draft202012Validator(schema).iter_errors(tree)
    ]


@functools.cache
def _schema(name: str) -> Tree:
    return dict(json.loads((SCHEMAS / f"{name}.json").read_text()))


def pod_of(one: Mapping[str, Any]) -> Tree:
    """Return the pod of a Deployment or a StatefulSet."""
    return dict(one["spec"]["template"]["spec"])


def pods(every: list[Tree]) -> Iterator[tuple[str, Tree, Tree]]:
    """Give each pod: its component, its labels, its spec."""
    for one in every:
        if one["kind"] == "RayService":
            cluster = one["spec"]["rayClusterConfig"]
            templates = [g["template"] for g in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
        elif one["kind"] in {"Deployment", "StatefulSet"}:
            templates = [one["spec"]["template"]]
        else:
            continue
        for template in templates:
            labels = template["metadata"]["labels"]
            yield labels["app.kubernetes.io/component"], labels, template["spec"]


def commands() -> set[str]:
    """Return the commands of our CLI."""
    return set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # it is a group


def loaded(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], config: Path) -> Settings:
    """Return the settings of a process with this environment; raises Permanent where one is unknown."""
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("UNSEEN_CONFIG", str(config))
    return Settings.load()


def vllm_faults(command: list[str], environment: Mapping[str, str], policy: PolicySettings) -> list[str]:
    """Return what a vLLM that is started so lacks for the engine."""
    text = " ".join(command)
    given = {one.partition("=")[0]: one.partition("=")[2] for one in command if one.startswith("--")}
    wanted = {
        "it serves what policy.model is": f"/data/cache/{FOLDER}" in text,
        "adapters come and go": environment.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") == "True",
        "adapters at all": "--enable-lora" in given,
        "log-probabilities after the temperature": given.get("--logprobs-mode") == "processed_logprobs",
        "no defaults of the model's own": given.get("--generation-config") == "vllm",
        "an adapter fits": int(given.get("--max-lora-rank", 0)) >= policy.lora_rank,
        "two versions in a batch": int(given.get("--max-loras", 0)) >= 2,
        "one more while they change": int(given.get("--max-cpu-loras", 0)) >= 3,
    }
    return [what for what, is_so in wanted.items() if not is_so]


def key_files() -> dict[str, list[str]]:
    """Return each key file of the gateway's that `make-secrets` names in its settings, with its scopes."""
    text = (DEPLOY / "compose/make-secrets").read_text()
    named = re.findall(r'^file = "\$keys/(\S+)"\nscopes = (\[.*\])$', text, re.MULTILINE)
    return {"shop.key": ["search", "events"]} | {name: json.loads(scopes) for name, scopes in named}


def block(title: str) -> str:
    """Return the commands of the README's block that begins with a comment."""
    found = re.search(rf"^    # {re.escape(title)}.*\n((?:    .+\n)+)", README, re.MULTILINE)
    assert found, title
    return re.sub(r"^    ", "", found[1], flags=re.MULTILINE)


def unit(name: str) -> dict[str, list[str]]:
    """Return a unit's settings, each with its values in order."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "systemd" / name).read_text().splitlines():
        key, is_one, value = line.partition("=")
        if is_one and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def environment_of(settings: Mapping[str, list[str]]) -> dict[str, str]:
    pairs = [word for line in settings["Environment"] for word in shlex.split(line)]
    return dict(pair.split("=", 1) for pair in pairs)
