"""Kubernetes: the schemas hold every object, and names, ports, labels and settings agree with each other."""

import re
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
    faults,
    images,
    loaded,
    objects,
    pod_of,
    pods,
    vllm_faults,
)

from agent.settings import Settings

RAYS_OWN = pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")
"""Of pydantic, when Ray Serve is first imported."""
BASE = DEPLOY / "kubernetes/base"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - of the pod; network policies say who reaches it
OVERLAYS = sorted((DEPLOY / "kubernetes/overlays").iterdir())
OBJECTS = objects(BASE)
PODS = list(pods(OBJECTS))
VLLM = objects(DEPLOY / "kubernetes/overlays/vllm")
"""What its overlay adds."""
ASKS_GPU = {"gpu": {"learner", "gateway"}, "vllm": {"learner", "vllm"}}
WORKERS = [role for role in ROLES if role != "serve"]
COMPONENT = "app.kubernetes.io/component"


def of_kind(kind: str, every: list[dict[str, Any]] = OBJECTS) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in every if one["kind"] == kind}


@pytest.mark.parametrize("one", [*OBJECTS, *VLLM], ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_the_schema_holds_it(one: dict[str, Any]) -> None:
    assert faults(one["kind"], one) == []


def test_the_schemas_refuse_what_is_no_key() -> None:
    for kind, path in (
        ("Deployment", "template"),
        ("RayService", "rayClusterConfig"),
        ("ServiceMonitor", "endpoints"),
    ):
        one = next(iter(of_kind(kind).values()))
        assert faults(kind, one | {"spec": one["spec"] | {f"{path}s": {}}}) != []


def test_every_file_is_used() -> None:
    for folder in (BASE, *OVERLAYS):
        said = yaml.safe_load((folder / "kustomization.yaml").read_text())
        used = {*said["resources"], *(patch["path"] for patch in said.get("patches", ()))}
        assert {path.name for path in folder.iterdir()} == {
            "kustomization.yaml",
            *(u for u in used if "/" not in u),
        }
        assert all((folder / one).exists() for one in used)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_an_overlay_names_objects_paths_and_images_that_exist(overlay: Path) -> None:
    said = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    used = {container["image"] for _, _, pod in PODS for container in pod["containers"]}
    assert (
        {one["name"] for one in said["images"]}
        == used - {"redis:8.2.1-bookworm"}
        == {f"unseen-{r}" for r in ROLES}
    )
    for patch in said["patches"]:
        target = of_kind(patch["target"]["kind"])[patch["target"]["name"]]
        for step in yaml.safe_load((overlay / patch["path"]).read_text()):
            *parents, last = step["path"].strip("/").split("/")
            at: Any = target
            for name in parents:
                at = at[int(name)] if isinstance(at, list) else at[name]
            assert (last in at) is (step["op"] == "replace"), step["path"]


@pytest.mark.timeout(120)  # Ray Serve is read
@RAYS_OWN
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_what_kustomize_makes_of_an_overlay_is_held_by_the_schemas(overlay: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, whose kustomize renders it, is missing (Debian's, of 2021, does not read it)")
    done = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, text=True, check=True)
    made = list(yaml.safe_load_all(done.stdout))
    assert len(made) == len(OBJECTS) + len(objects(overlay))
    assert [fault for one in made for fault in faults(one["kind"], one)] == []
    assert {one["metadata"].get("namespace") for one in made if one["kind"] != "Namespace"} == {"unseen"}
    asks_gpu = {role for role, _, pod in pods(made) if "nvidia.com/gpu" in str(pod)}
    assert asks_gpu == ASKS_GPU.get(overlay.name, set())
    assert set(of_kind("Deployment", made)) == {*WORKERS, *of_kind("Deployment", objects(overlay))}
    _holds_serve_config(of_kind("RayService", made)["unseen-gateway"], gpu=overlay.name == "gpu")


@pytest.mark.timeout(120)  # Ray Serve is read
@RAYS_OWN
def test_ray_takes_what_it_is_told_to_serve() -> None:
    _holds_serve_config(of_kind("RayService")["unseen-gateway"], gpu=False)


def _holds_serve_config(service: dict[str, Any], *, gpu: bool) -> None:
    from ray.serve.schema import ServeDeploySchema  # noqa: PLC0415 - warns: see RAYS_OWN

    from agent.serve import on_cluster  # noqa: PLC0415
    from agent.serve.app import name_of  # noqa: PLC0415

    config = ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))
    (application,) = config.applications
    assert application.name == name_of(Settings())
    assert application.import_path == f"{on_cluster.__name__}:{on_cluster.build.__name__}"
    named = {one.name: one for one in application.deployments}
    assert set(named) == {"Gateway", "Rewriter"}
    group = service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert named["Gateway"].num_replicas == group["replicas"] == group["minReplicas"] == group["maxReplicas"]
    assert named["Gateway"].max_replicas_per_node == 1  # so that the admin port is 8001
    cpus = sum(one.num_replicas * one.ray_actor_options.num_cpus for one in named.values())
    assert cpus <= group["replicas"] * int(limits["cpu"])
    gpus = named["Rewriter"].num_replicas * (named["Rewriter"].ray_actor_options.num_gpus or 0)
    assert gpus == group["replicas"] * int(limits.get("nvidia.com/gpu", 0))
    assert bool(gpus) is gpu
    assert config.http_options.port == 8000


@pytest.mark.parametrize(
    ("component", "pod"),
    [(c, p) for c, _, p in [*PODS, *pods(VLLM)]],
    ids=[c for c, *_ in [*PODS, *pods(VLLM)]],
)
def test_no_pod_has_more_rights_than_it_needs(component: str, pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == (999 if component == "redis" else 10001)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        rights = container["securityContext"]
        assert (rights["readOnlyRootFilesystem"], rights["allowPrivilegeEscalation"]) == (True, False)
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        claims = {
            one["metadata"]["name"] for one in of_kind("StatefulSet")["redis"]["spec"]["volumeClaimTemplates"]
        }
        assert mounted <= {volume["name"] for volume in pod["volumes"]} | claims


def test_what_is_mounted_or_read_exists() -> None:
    maps, claims = of_kind("ConfigMap"), of_kind("PersistentVolumeClaim")
    for _, _, pod in PODS:
        for volume in pod["volumes"]:
            kind = next(key for key in volume if key != "name")
            if kind == "configMap":
                assert volume[kind]["name"] in maps
            elif kind == "persistentVolumeClaim":
                assert volume[kind]["claimName"] in claims
            elif kind == "secret":
                assert volume[kind]["secretName"] == "unseen"
        for container in pod["containers"]:
            assert all(one["configMapRef"]["name"] in maps for one in container.get("envFrom", ()))


@pytest.mark.parametrize("role", WORKERS)
def test_a_worker_runs_its_command_and_shows_its_figures(role: str) -> None:
    one = of_kind("Deployment")[role]
    (container,) = pod_of(one)["containers"]
    assert container["args"] == [role]
    assert role in commands()
    assert container["ports"] == [{"name": "metrics", "containerPort": PORTS[role]}]
    assert one["spec"]["selector"]["matchLabels"] == {COMPONENT: role}
    assert container["startupProbe"]["httpGet"] == {"path": "/metrics", "port": "metrics"}
    has_data = any("persistentVolumeClaim" in volume for volume in pod_of(one)["volumes"])
    assert has_data is (images()["ROLES"][role] != "light")


def test_learner_and_release_are_one_each() -> None:
    for role in ("learner", "release", "exporter"):
        spec = of_kind("Deployment")[role]["spec"]
        assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")


def test_settings_are_known_and_say_the_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = of_kind("ConfigMap")["unseen"]["data"]
    config = tmp_path / "unseen.toml"
    config.write_text("")
    settings = loaded(monkeypatch, data, config)
    assert {role: getattr(settings.metrics, f"{role}_port") for role in PORTS} == PORTS
    assert settings.serve.admin_host == settings.metrics.host == EVERYWHERE
    gateway = next(pod for component, _, pod in PODS if component == "gateway")
    assert {"name": "admin", "containerPort": settings.serve.admin_port} in gateway["containers"][0]["ports"]
    mount = next(m for m in gateway["containers"][0]["volumeMounts"] if m["name"] == "secrets")
    assert data["UNSEEN_CONFIG"] == f"{mount['mountPath']}/unseen.toml"


def test_the_exporters_first_scrape_may_wait_for_a_store_that_is_away() -> None:
    (container,) = pod_of(of_kind("Deployment")["exporter"])["containers"]
    assert container["startupProbe"]["timeoutSeconds"] == 10 > 2 * Settings().redis.timeout_s


def test_the_documented_patch_opens_the_way_to_an_opensearch_outside() -> None:
    text = re.search(r"^    (patches:\n(?:    .*\n)+)", README, re.MULTILINE)
    assert text
    (patch,) = yaml.safe_load(re.sub(r"^    ", "", text[1], flags=re.MULTILINE))["patches"]
    policy = of_kind(patch["target"]["kind"])[patch["target"]["name"]]
    (step,) = yaml.safe_load(patch["patch"])
    assert (step["op"], step["path"]) == ("replace", "/spec/egress/1")
    redis, opensearch = policy["spec"]["egress"]
    assert opensearch["ports"] == [{"protocol": "TCP", "port": 9200}]
    made = policy | {"spec": policy["spec"] | {"egress": [redis, step["value"]]}}
    assert faults("NetworkPolicy", made) == []
    assert step["value"]["ports"] == [{"protocol": "TCP", "port": 443}]
    assert "ipBlock" in step["value"]["to"][0]


def test_redis_is_told_the_same_in_both_places() -> None:
    lines = (DEPLOY / "compose/redis.conf").read_text().splitlines()
    here = of_kind("ConfigMap")["redis"]["data"]["redis.conf"].splitlines()
    assert [line for line in lines if not line.startswith(("#", "aclfile"))] == [
        line for line in here if not line.startswith("aclfile")
    ]


def selected(selector: dict[str, Any]) -> set[str]:
    """Return the components that a selector's labels and expressions find."""
    found = set()
    for component, labels, _ in PODS:
        fits = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
        for rule in selector.get("matchExpressions", ()):
            fits &= (labels.get(rule["key"]) in rule["values"]) is (rule["operator"] == "In")
        if fits:
            found.add(component)
    return found


def allowed(at: str, way: str, other: str, port: int) -> bool:
    """Tell whether a component's policies let another of ours in at a port (ingress), or it there."""
    side = "from" if way == "ingress" else "to"
    for policy in of_kind("NetworkPolicy").values():
        if at not in selected(policy["spec"]["podSelector"]):
            continue
        for rule in policy["spec"].get(way, ()):
            ports = [(one["port"], one.get("endPort", one["port"])) for one in rule.get("ports", ())]
            fits = not ports or any(low <= port <= high for low, high in ports)
            if fits and any(
                other in selected(peer["podSelector"]) for peer in rule[side] if "podSelector" in peer
            ):
                return True
    return False


def test_who_may_talk_to_whom() -> None:
    ours = {component for component, *_ in PODS}
    assert ours == {*WORKERS, "gateway", "ray-head", "redis"}
    assert {one for one in ours if allowed("redis", "ingress", one, 6379)} == ours - {"redis"}
    assert {one for one in ours if allowed(one, "egress", "redis", 6379)} == ours - {"redis"}
    for port in (6379, 8000, 8265, 10001, 20000):  # Ray's own are any
        for way in ("ingress", "egress"):  # each keeps it by itself
            open_ = {(a, b) for a in ours - {"redis"} for b in ours - {"redis"} if allowed(a, way, b, port)}
            assert open_ == {(a, b) for a in ("gateway", "ray-head") for b in ("gateway", "ray-head")}
    nothing = of_kind("NetworkPolicy")["nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_budgets_and_services_find_pods_and_their_ports() -> None:
    for budget in of_kind("PodDisruptionBudget").values():
        assert selected(budget["spec"]["selector"]) == {budget["metadata"]["name"]}
    for service in of_kind("Service").values():
        found = selected({"matchLabels": service["spec"]["selector"]})
        (port,) = service["spec"]["ports"]
        for component, _, pod in PODS:
            named = {one["name"] for container in pod["containers"] for one in container["ports"]}
            assert component not in found or port["targetPort"] in named
    assert selected({"matchLabels": of_kind("Service")["workers-metrics"]["spec"]["selector"]}) == set(
        WORKERS
    )


def test_prometheus_finds_its_services_and_names_jobs_by_component() -> None:
    for monitor in of_kind("ServiceMonitor").values():
        labels = monitor["spec"]["selector"]["matchLabels"]
        (service,) = [one for one in of_kind("Service").values() if one["metadata"].get("labels") == labels]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] == service["spec"]["ports"][0]["name"]
        assert {one["targetLabel"] for one in endpoint["relabelings"]} == {"job", "tenant"}


def test_vllm_is_asked_by_gateway_nodes_alone_and_started_as_the_engine_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = yaml.safe_load((DEPLOY / "kubernetes/overlays/vllm/gateway.yaml").read_text())
    config = tmp_path / "unseen.toml"
    config.write_text("")
    environment = {step["path"].rpartition("/")[2]: step["value"] for step in steps}
    policy = loaded(monkeypatch, environment, config).policy
    service = of_kind("Service", VLLM)["vllm"]["spec"]
    assert (policy.engine, policy.vllm_url) == ("vllm", f"http://vllm:{service['ports'][0]['port']}")
    deployment = of_kind("Deployment", VLLM)["vllm"]
    (container,) = pod_of(deployment)["containers"]
    said = {one["name"]: one["value"] for one in container["env"]}
    assert vllm_faults([*container["command"], *container["args"]], said, policy) == []
    assert deployment["spec"]["replicas"] == 1
    mount = {one["name"]: one for one in container["volumeMounts"]}["data"]
    gateway = next(pod for component, _, pod in PODS if component == "gateway")["containers"][0]
    assert {"name": "data", "mountPath": mount["mountPath"]} in gateway[
        "volumeMounts"
    ]  # adapters, at one path
    assert mount["readOnly"] is True
    policies = of_kind("NetworkPolicy", VLLM)
    (rule,) = policies["vllm"]["spec"]["ingress"]
    assert selected(rule["from"][0]["podSelector"]) == {"gateway"}
    assert selected(policies["rewriters"]["spec"]["podSelector"]) == {"gateway"}
    labels = next(labels for _, labels, _ in pods(VLLM))
    assert policies["rewriters"]["spec"]["egress"][0]["to"] == [{"podSelector": {"matchLabels": labels}}]
    assert service["selector"] == labels == policies["vllm"]["spec"]["podSelector"]["matchLabels"]
    for policy_name in ("stores", "redis"):  # and it asks neither
        assert "vllm" in str(of_kind("NetworkPolicy")[policy_name]["spec"])
