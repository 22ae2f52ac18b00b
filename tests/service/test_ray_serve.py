"""The product path: gateway and rewriter on Ray Serve, with the tiny model, real Redis, a search engine."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import ray
import torch
from redis.asyncio import Redis

from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION
from agent.retrieval.catalogue import Catalogue
from agent.settings import Settings
from agent.weights import AdapterStore, Registry
from feedback.records import Manifest
from feedback.stores import connect

pytestmark = [
    pytest.mark.timeout(180, func_only=True),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, in number
]
TENANT = f"ray{os.getpid()}"
PRODUCTS = [f'{{"id": "p{i}", "title": "sofa number {i}"}}' for i in range(12)]


@pytest.fixture(scope="module")
def settings(redis_url: str, fake_opensearch_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.model_validate(
        {
            "tenant": TENANT,
            "data_dir": str(tmp_path_factory.mktemp("serve")),
            "redis": {"state_url": redis_url, "partitions": 2},
            "opensearch": {"url": fake_opensearch_url, "index": TENANT},
            "policy": {"model": "tiny"},
            "serve": {
                "port": 0,
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
        yield app.start(settings)
    finally:
        app.stop()


@pytest.fixture
async def http(gateway_url: str, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with Catalogue(settings.opensearch) as catalogue:
        if await catalogue.create_index():
            await catalogue.load(PRODUCTS)
    async with httpx.AsyncClient(base_url=gateway_url, timeout=30) as client:
        await until_ready(client)
        yield client


async def until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)


async def search(http: httpx.AsyncClient, query: str) -> dict[str, object]:
    answer = await http.post(
        "/search", json={"user_query": query, "client_id": "c", "purpose": "evaluation", "deadline_s": 20.0}
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def publish(settings: Settings, redis: Redis) -> int:
    """Publish an adapter that changes what the model writes, and let it serve."""
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
    await registry.promote(version)
    return version


async def test_weights_swap_under_load_and_no_request_fails(
    http: httpx.AsyncClient, settings: Settings
) -> None:
    redis = connect(settings.redis.state_url)
    answers: list[dict[str, object]] = []
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
            while version not in {answer["version"] for answer in answers}:
                await asyncio.sleep(0.02)
        wanted = version
    versions = [answer["version"] for answer in answers]
    assert set(versions) == {0, 1, 2}
    assert {answer["source"] for answer in answers} <= {"model", "raw:silent"}
    assert all(answer["hits"] is not None for answer in answers)
    await redis.aclose()


async def test_the_announced_url_is_the_gateway_s(http: httpx.AsyncClient, settings: Settings) -> None:
    redis = connect(settings.redis.state_url)
    async with asyncio.timeout(10):
        while not (said := await redis.hget(settings.keys.vitals("gateway"), "url")):
            await asyncio.sleep(0.05)
    assert said == str(http.base_url).rstrip("/").encode()
    await redis.aclose()


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

    assert serve.status().applications["unseen"].status == "RUNNING"
