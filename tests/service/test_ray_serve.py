"""The product path: gateway and rewriter on Ray Serve, with the tiny model, real Redis, a search engine."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import certificates
import httpx
import psutil
import pytest
import ray
import torch
from certificates import Certificates
from listening import reached_from_elsewhere
from redis.asyncio import Redis

from agent.niceness import REWRITER
from agent.policy.call import UNSPLIT
from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION
from agent.retrieval.catalogue import Catalogue
from agent.settings import Settings
from agent.weights.registry import Move, Registry
from agent.weights.store import AdapterStore
from feedback import vitals
from feedback.stores import connect
from feedback.version_records import Manifest, Trial

pytestmark = [
    pytest.mark.timeout(180, func_only=True),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, in number
]
TENANT = f"ray{os.getpid()}"
QUERIES = ("sofa", "green sofa", "sofa bed")
REVOKED_WITHIN_S = 5.0
PRODUCTS = [f'{{"id": "p{i}", "title": "sofa number {i}"}}' for i in range(12)]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def settings(
    redis_url: str, fake_opensearch_url: str, tmp_path_factory: pytest.TempPathFactory, tls: Certificates
) -> Settings:
    return Settings.model_validate(
        {
            "tenant": TENANT,
            "data_dir": str(tmp_path_factory.mktemp("serve")),
            "redis": {"state_url": redis_url, "partitions": 2},
            "opensearch": {"url": fake_opensearch_url, "index": TENANT},
            "policy": {"model": "tiny"},
            "serve": {
                "port": 0,
                "admin_port": 0,
                "tls_cert": tls.cert,
                "tls_key": tls.key,
                "deadline_s": 5.0,
                "holdback_share": 0.0,
                "explore_share": 0.0,
                "poll_s": 0.1,
            },
        }
    )


@pytest.fixture(scope="module")
def gateway_url(settings: Settings) -> Iterator[str]:
    from agent.serve import app  # noqa: PLC0415 - its import warns, which only inside a test is allowed

    try:
        (url,) = app.start(settings)
        yield url
    finally:
        app.stop()


@pytest.fixture
async def http(gateway_url: str, settings: Settings, tls: Certificates) -> AsyncIterator[httpx.AsyncClient]:
    async with Catalogue(settings.opensearch) as catalogue:
        if await catalogue.create_index():
            await catalogue.load(PRODUCTS)
    async with httpx.AsyncClient(base_url=gateway_url, timeout=30, verify=tls.believed) as client:
        await until_ready(client)
        yield client


async def until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)


async def search(
    http: httpx.AsyncClient, query: str, client: str = "c", purpose: str = "evaluation"
) -> dict[str, object]:
    answer = await http.post(
        "/search", json={"user_query": query, "client_id": client, "purpose": purpose, "deadline_s": 20.0}
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def publish(settings: Settings, redis: Redis) -> int:
    """Publish an adapter that changes what the model writes; nobody gets it yet."""
    registry = Registry(redis, settings.keys)
    policy = Policy.load(settings.policy)
    version = await registry.next_version()
    state = {name: torch.full_like(t, 0.02 * version) for name, t in policy.adapter_state().items()}
    saved = AdapterStore(settings.weights_dir).save(version, state)
    await registry.publish(
        Manifest(
            version=version,
            parent=version - 1,
            base_model=policy.base_model,
            prompt_version=PROMPT_VERSION,
            uri=saved.uri,
            sha256=saved.sha256,
            n_bytes=saved.n_bytes,
            made_at_ms=int(time.time() * 1000),
            steps=1,
        )
    )
    return version


async def decide(settings: Settings, redis: Redis, **what: Any) -> None:  # noqa: ANN401 - Move's fields
    registry = Registry(redis, settings.keys)
    trial = await registry.trial()
    await registry.move(
        Move(stable=await registry.stable_version(), trial=trial.version if trial else 0, **what)
    )


async def test_opensearch_s_own_routes_are_answered_behind_the_proxy(
    http: httpx.AsyncClient, settings: Settings
) -> None:
    index = settings.opensearch.index
    ubi = {"user_query": "sofa", "client_id": "c"}
    body = {"query": {"match": {"title": "sofa"}}, "size": 3, "ext": {"ubi": ubi}}
    answer = await http.post(f"/{index}/_search", json=body)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["hits"]["hits"]) == 3
    assert answer.json()["ext"]["ubi"]["query_id"]
    assert (await http.get(f"/{index}/_doc/p%31")).json()["_id"] == "p1"
    for path in ("other/_search", f"{index}%2Cother/_search", f"{index}/_doc/.."):
        assert (await http.get(f"/{path}")).status_code == 403, path


@pytest.mark.usefixtures("http")
def test_the_gateway_goes_before_what_writes_ahead() -> None:
    """Ray's own default is niceness 15 for both: a verifier and a learner would go before shoppers."""
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    for name, niceness in (("Gateway", mine), ("Rewriter", max(mine, REWRITER))):
        title = f"ray::ServeReplica:unseen-{TENANT}:{name}"
        found = [p for p in psutil.process_iter(["cmdline"]) if title in " ".join(p.info["cmdline"] or ())]
        own = [one for one in found if os.getpid() in {parent.pid for parent in one.parents()}]
        assert own, title
        assert niceness in {os.getpriority(os.PRIO_PROCESS, t.id) for one in own for t in one.threads()}


async def test_weights_swap_under_load_and_no_request_fails(
    http: httpx.AsyncClient, settings: Settings
) -> None:
    redis = connect(settings.redis.state_url)
    answers: list[dict[str, object]] = []
    before = await Registry(redis, settings.keys).stable_version()
    wanted = version = 0

    async def shopper(me: int) -> None:
        turn = 0
        while not (wanted and answers and answers[-1]["version"] == wanted and turn > 5):
            turn += 1
            answers.append(await search(http, f"query {me} of turn {turn}"))

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for me in range(4):
            group.create_task(shopper(me))
        while len(answers) < 8:
            await asyncio.sleep(0.02)
        for _ in range(2):
            wanted = 0
            version = await publish(settings, redis)
            await decide(settings, redis, serve=version)
            while version not in {answer["version"] for answer in answers}:
                await asyncio.sleep(0.02)
        wanted = version
    versions = [answer["version"] for answer in answers]
    assert set(versions) == {before, version - 1, version}
    assert {answer["source"] for answer in answers} <= {"model", "raw:silent"}
    assert all(answer["hits"] is not None for answer in answers)
    await redis.aclose()


async def test_some_clients_get_a_canary_and_nobody_does_seconds_after_it_was_revoked(
    http: httpx.AsyncClient, settings: Settings
) -> None:
    redis = connect(settings.redis.state_url)
    stable = await publish(settings, redis)
    await decide(settings, redis, serve=stable)
    canary = await publish(settings, redis)
    trial = Trial(version=canary, stable=stable, share=0.5, began_at_ms=0)
    await decide(settings, redis, begin=trial)
    shoppers = [(query, f"c{i}") for query in QUERIES for i in range(6)]

    async def seen() -> set[tuple[object, object]]:
        pages = await asyncio.gather(*(search(http, *shopper, purpose="search") for shopper in shoppers))
        return {(page["arm"], page["version"]) for page in pages}

    async with asyncio.timeout(60):
        while await seen() != {("stable", stable), ("canary", canary)}:
            pass
    keys = [settings.keys.rewrite(q, template="default", segment=UNSPLIT, canary=canary) for q in QUERIES]
    async with asyncio.timeout(10):
        while await redis.exists(*keys) < len(keys):
            await asyncio.sleep(0.01)
    await decide(settings, redis, end_trial=True, revoke=frozenset({canary}))
    async with asyncio.timeout(REVOKED_WITHIN_S):
        while await seen() != {("stable", stable)}:
            pass
    assert await seen() == {("stable", stable)}
    assert await redis.exists(*keys) == len(keys)  # the cache is as full as it was
    await redis.aclose()


async def announced(settings: Settings) -> dict[str, str]:
    redis: Any = connect(settings.redis.state_url)
    async with asyncio.timeout(10):
        while not (said := (await vitals.read(redis, settings.keys)).of["gateway"]):
            await asyncio.sleep(0.05)
    await redis.aclose()
    return dict(said)


async def test_the_announced_url_is_the_gateway_s(http: httpx.AsyncClient, settings: Settings) -> None:
    url = (await announced(settings))["url"]
    assert url == str(http.base_url).rstrip("/")
    assert url.startswith("https://")


async def test_metrics_and_documentation_are_on_a_port_of_their_own(
    http: httpx.AsyncClient, settings: Settings, tls: Certificates
) -> None:
    url = (await announced(settings))["admin_url"]
    async with httpx.AsyncClient(base_url=url, verify=tls.believed) as admin:
        assert "unseen_searches_total" in (await admin.get("/metrics")).text
        assert "/search" in (await admin.get("/openapi.json")).json()["paths"]
    for path in ("/metrics", "/openapi.json"):
        assert (await http.get(path)).status_code == 404


async def test_nobody_without_https_or_without_the_authority_is_answered(http: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient(base_url=str(http.base_url).replace("https", "http")) as plain:
        with pytest.raises(httpx.RemoteProtocolError):
            await plain.get("/healthz")
    async with httpx.AsyncClient(base_url=http.base_url) as stranger:
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await stranger.get("/healthz")


@pytest.mark.usefixtures("gateway_url")
def test_nothing_of_ours_listens_where_another_machine_reaches() -> None:
    listening, elsewhere = reached_from_elsewhere(psutil.Process())
    assert {"raylet", "gcs_server"} <= listening
    assert elsewhere == []


@pytest.mark.usefixtures("gateway_url")
def test_ray_answers_nobody_without_its_token() -> None:
    asked = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    asked += ["--address", ray.get_runtime_context().gcs_address]
    token = os.environ["RAY_AUTH_TOKEN"]
    assert len(token) == 64
    for given, is_right in (("0" * 64, False), (token, True)):
        environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": given}
        done = subprocess.run(asked, env=environment, capture_output=True, check=False, timeout=60)
        assert (done.returncode == 0) is is_right, done.stderr[-2000:]


async def test_bad_input_is_refused_through_the_proxy_too(http: httpx.AsyncClient) -> None:
    assert (await http.post("/search", content=b"\x00{")).status_code == 422
    assert (await http.post("/search", json={"user_query": "", "client_id": "c"})).status_code == 422
    assert (await http.post("/events", content=b"[" * 100_000)).status_code == 400
    assert (await http.post("/events", content=b"x" * 2_000_000)).status_code == 413


async def test_a_replica_that_dies_is_replaced_and_shoppers_notice_nothing(
    http: httpx.AsyncClient,
) -> None:
    assert (await search(http, "before the death"))["source"] in {"model", "raw:silent"}
    names = [a["name"] for a in ray.util.list_named_actors(all_namespaces=True) if "Rewriter" in a["name"]]
    assert len(names) == 1
    ray.kill(ray.get_actor(names[0], namespace="serve"), no_restart=True)
    page = await http.post("/search", json={"user_query": "sofa just then", "client_id": "c"})
    assert page.status_code == 200
    assert page.json()["total"] == 12
    await until_ready(http)
    async with asyncio.timeout(60):
        turn = 0
        while (await search(http, f"after the death {turn}"))["source"] not in {"model", "raw:silent"}:
            turn += 1
    from ray import serve  # noqa: PLC0415 - as above

    assert serve.status().applications[f"unseen-{TENANT}"].status == "RUNNING"
