"""A shop whose rewriter asks vLLM: replica and gateway on a real Redis, the server a stand-in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from engine_world import TINY, alone, noise
from prometheus_client import generate_latest
from serve_fakes import SECRET
from vllm_stand_in import VllmStandIn, standing_in

from agent.policy.prompt import PROMPT_VERSION, Prompt
from agent.retrieval.catalogue import Catalogue
from agent.serve.assemble import assemble
from agent.serve.cache import RewriteCache
from agent.serve.gateway import make_app
from agent.serve.replica import RewriterReplica
from agent.settings import Settings
from agent.weights.registry import Move, Registry
from agent.weights.store import AdapterStore
from feedback.stores import connect
from feedback.version_records import Manifest, Trial

torch.set_num_threads(1)
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated"),  # peft's business
    pytest.mark.timeout(120),
]
PRODUCTS = ['{"id": "couch-1", "title": "Couch cover"}', '{"id": "sofa-1", "title": "Sofa"}']
WORDS = ("couch", "sofa", "rake", "hoe", "lamp", "desk", "chair", "stool", "bench", "shelf")
QUERIES = (f"{a} {b}" for a in WORDS for b in WORDS)
"""Fresh ones: an answer in the cache would hide what the engine does."""


class Shop:
    """A gateway before one replica, whose engine is vLLM."""

    def __init__(self, settings: Settings, server: VllmStandIn, http: httpx.AsyncClient) -> None:
        self.settings, self.server, self.http = settings, server, http
        self.redis = connect(settings.redis.state_url)
        self.registry = Registry(self.redis, settings.keys)
        self.store = AdapterStore(settings.weights_dir)
        self.replica = RewriterReplica(settings)

    async def publish(self, version: int, state: dict[str, torch.Tensor] | None = None) -> None:
        saved = self.store.save(version, noise(version) if state is None else state)
        manifest = Manifest(
            version=version,
            parent=0,
            base_model="tiny-1",
            prompt_version=PROMPT_VERSION,
            uri=saved.uri,
            sha256=saved.sha256,
            n_bytes=saved.n_bytes,
            made_at_ms=0,
            steps=1,
        )
        await self.registry.publish(manifest)

    async def move(self, **more: Any) -> None:  # noqa: ANN401 - Move's fields
        stable, trial = await self.registry.stable_version(), await self.registry.trial()
        await self.registry.move(Move(stable=stable, trial=trial.version if trial else 0, **more))

    async def search(self, query: str = "") -> dict[str, Any]:
        body = {"user_query": query or next(QUERIES), "client_id": "c"}
        answer = await self.http.post("/search", json=body)
        assert answer.status_code == 200, answer.text
        return {**dict(answer.json()), "query": body["user_query"]}

    async def until(self, source: str) -> dict[str, Any]:
        """Search until a page comes from there."""
        async with asyncio.timeout(60):
            for _ in count():
                if (page := await self.search())["source"] == source:
                    return page
                await asyncio.sleep(0.05)
        raise AssertionError

    async def serving(self, stable: int, canary: int = 0) -> None:
        async with asyncio.timeout(60):
            while (self.replica.rewriter.version, self.replica.rewriter.canary) != (stable, canary):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def open_shop(settings: Settings, server: VllmStandIn) -> AsyncIterator[Shop]:
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(PRODUCTS)
    client = httpx.AsyncClient(base_url="http://gateway")
    shop = Shop(settings, server, client)
    app = make_app(assemble(settings, shop.replica))
    client._transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    shop.replica.start()
    async with app.router.lifespan_context(app), client:
        async with asyncio.timeout(60):
            while not await shop.replica.ready():
                await asyncio.sleep(0.05)
        yield shop
    await shop.replica.stop()
    await shop.redis.aclose()


@pytest.fixture
async def shop(redis_url: str, fake_opensearch_url: str, tenant: str, tmp_path: Path) -> AsyncIterator[Shop]:
    with standing_in() as server:
        settings = settings_for(redis_url, fake_opensearch_url, tenant, tmp_path, server.url)
        async with open_shop(settings, server) as shop:
            yield shop


def settings_for(
    redis: str,
    opensearch: str,
    tenant: str,
    folder: Path,
    vllm: str,
    **serve: Any,  # noqa: ANN401
) -> Settings:
    shares = {"holdback_share": 0, "explore_share": 0, "raw_share": 0, "poll_s": 0.05, "pool_samples": 2}
    return Settings.model_validate(
        {
            "tenant": tenant,
            "data_dir": folder,
            "access": {"secret": SECRET},
            "redis": {"state_url": redis, "partitions": 2, "timeout_s": 5},
            "opensearch": {"url": opensearch, "index": tenant, "timeout_s": 10},
            "policy": {**TINY, "engine": "vllm", "vllm_url": vllm, "vllm_timeout_s": 15},
            "serve": {**shares, "deadline_s": 15, **serve},
        }
    )


def counted(source: str) -> float:
    lines = generate_latest().decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("unseen_searches_total{") and f'source="{source}"' in line
    )


async def test_shoppers_get_what_the_served_version_writes_and_its_samples_are_kept(shop: Shop) -> None:
    await shop.publish(1)
    await shop.move(serve=1)
    await shop.serving(1)
    page = await shop.until("model")
    ((own,),) = alone(1).sample([Prompt(query=page["query"])], n=1, greedy=True)
    cache = RewriteCache(shop.redis, shop.settings.keys, ttl_s=60)
    async with asyncio.timeout(60):
        while (cached := await cache.get(page["query"])) is None:
            await asyncio.sleep(0.02)
        while not (pool := await cache.pool(page["query"])).samples:
            await asyncio.sleep(0.02)
    assert (cached.rewrite.text, cached.rewrite.token_ids) == (own.text, own.token_ids)
    assert {one.version for one in (cached.rewrite, *pool.samples)} == {1}
    assert {one.temperature for one in pool.samples} == {shop.settings.policy.temperature}
    assert all(len(one.token_ids) == len(one.token_logprobs) for one in pool.samples)


async def test_two_versions_answer_and_a_revoked_one_is_unloaded(shop: Shop) -> None:
    for version in (1, 2):
        await shop.publish(version)
    await shop.move(serve=1)
    await shop.move(begin=Trial(version=2, stable=1, share=0.5, began_at_ms=0))
    await shop.serving(1, 2)
    assert {name.split("-")[-2] for name in shop.server.model.loaded} == {"1", "2"}
    await shop.move(end_trial=True, revoke=frozenset({2}))
    await shop.serving(1)
    async with asyncio.timeout(60):
        while len(shop.server.model.loaded) > 1:
            await asyncio.sleep(0.02)
    assert {name.split("-")[-2] for name in shop.server.model.loaded} == {"1"}
    assert (await shop.until("model"))["hits"] is not None


async def test_while_vllm_is_away_pages_are_raw_and_counted_and_it_comes_back_by_itself(shop: Shop) -> None:
    await shop.publish(1)
    await shop.move(serve=1)
    await shop.serving(1)
    await shop.until("model")
    before = counted("raw:failed")
    shop.server.kill()
    for _ in range(3):
        page = await shop.search("couch without a server")
        assert page["source"] == "raw:failed"
        assert [hit["object_id"] for hit in page["hits"]] == ["couch-1"]
    assert counted("raw:failed") == before + 3
    shop.replica.check()  # nobody replaces the replica for it
    shop.server.start()
    await shop.until("model")
    assert len(shop.server.model.loaded) == 1


async def test_a_version_that_comes_while_vllm_is_away_is_taken_up_once_it_is_back(shop: Shop) -> None:
    shop.server.kill()
    await shop.publish(1)
    await shop.move(serve=1)
    async with asyncio.timeout(60):
        while not shop.replica._said.get("weights_failures", "0").strip("0"):
            await asyncio.sleep(0.02)
    assert shop.replica.rewriter.version == 0
    shop.server.start()
    await shop.serving(1)
    await shop.until("model")


async def test_a_version_that_does_not_fit_is_refused_and_the_former_goes_on(shop: Shop) -> None:
    await shop.publish(1)
    await shop.publish(2, {"model.layers.1.mlp.up_proj.lora_A.weight": torch.zeros(4, 64)})
    await shop.move(serve=1)
    await shop.serving(1)
    await shop.move(serve=2)
    async with asyncio.timeout(60):
        while shop.replica._said.get("weights_failures") != "1":
            await asyncio.sleep(0.02)
    assert shop.replica.rewriter.version == 1
    await shop.until("model")
    assert shop.replica._said["weights_failures"] == "1"  # tried once


async def test_past_the_deadline_the_page_is_raw_and_the_late_rewrite_fills_the_cache(
    redis_url: str, fake_opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    with standing_in() as server:
        settings = settings_for(redis_url, fake_opensearch_url, tenant, tmp_path, server.url, deadline_s=0.2)
        async with open_shop(settings, server) as shop:
            server.slow_s = 1.0
            query = next(QUERIES)
            assert (await shop.search(query))["source"] == "raw:deadline"
            cache = RewriteCache(shop.redis, settings.keys, ttl_s=60)
            async with asyncio.timeout(60):
                while await cache.get(query) is None:
                    await asyncio.sleep(0.02)
