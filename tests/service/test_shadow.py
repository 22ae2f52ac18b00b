"""Shadow on a real Redis and a search engine: from raw pages to what would have been done."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from serve_fakes import FakeRewriter
from typer.testing import CliRunner

from agent.cli import app
from agent.evaluate.shadowing import asked_in_shadow
from agent.retrieval.catalogue import Catalogue
from agent.serve.assemble import assemble
from agent.serve.gateway import make_app
from agent.settings import Settings
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.evidence.ledger_days import last_rows
from feedback.records import Arm
from feedback.stores import connect, forget
from tests.service.test_paging import PRODUCTS

CLIENTS = 6


async def shopped(settings: Settings, redis: Redis) -> None:
    """Let clients ask couch, click on a sofa that raw shows last, and have it collected."""
    gateway = make_app(assemble(settings, FakeRewriter(text="sofa")))
    transport = httpx.ASGITransport(app=gateway)
    async with (
        gateway.router.lifespan_context(gateway),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        for n in range(CLIENTS):
            asked = {"user_query": "couch", "client_id": f"c{n}", "size": 17}
            page = (await http.post("/search", json=asked)).json()
            assert (page["arm"], page["source"]) == ("shadow", "raw:shadow")
            clicked = next(hit for hit in page["hits"] if hit["object_id"].startswith("two-"))
            event = {
                "action_name": "click",
                "query_id": page["query_id"],
                "client_id": f"c{n}",
                "object_id": clicked["object_id"],
            }
            assert (await http.post("/events", json=event)).status_code == 202
        async with asyncio.timeout(20):
            while sum([await redis.xlen(settings.keys.impressions(p)) for p in range(2)]) < CLIENTS:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("engine", ["fake_opensearch_url", "opensearch_url"])
@pytest.mark.timeout(300)  # the first one starts the engine
async def test_shadow_tells_what_would_have_been_searched_and_what_it_would_have_gained(
    engine: str,
    redis_url: str,
    tenant: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree = {
        "tenant": tenant,
        "data_dir": str(tmp_path),
        "redis": {"state_url": redis_url, "partitions": 2},
        "opensearch": {"url": request.getfixturevalue(engine), "index": tenant},
        "serve": {"shadow": True},
    }
    settings = Settings.model_validate(tree)
    redis = connect(redis_url)
    try:
        async with Catalogue(settings.opensearch) as catalogue:
            await catalogue.create_index()
            await catalogue.load(PRODUCTS)
            await shopped(settings, redis)
        collector = Collector(redis, settings.keys, settings.feedback, wall_clock)
        while await collector.step():
            pass
        await collector.release()
        counts = await read_counts(redis, settings.keys)
        assert counts.of("impressions", arm=Arm.SHADOW, rewritten=False) == CLIENTS
        assert counts.would == {"policy": CLIENTS}
        rows = await last_rows(redis, settings.keys, wall_clock(), days=1, most=1000)
        (couch,) = asked_in_shadow(rows).values()
        assert (couch.shown, couch.clicks, couch.asked_by) == (CLIENTS, CLIENTS, CLIENTS)
        said = await asyncio.to_thread(told, tree, monkeypatch)
        assert (said["pages"], said["rungs"]["policy"], said["rewritten_share"]) == (CLIENTS, CLIENTS, 1.0)
        (query,) = said["queries"]
        assert [query[name] for name in ("query", "rung", "text")] == ["couch", "policy", "sofa"]
        assert query["gain"]["low"] > 0  # what is both is what was clicked, and the rewrite puts it first
        assert said["gain"]["mean"] == pytest.approx(query["gain"]["mean"])
    finally:
        await forget(redis, tenant)
        await redis.aclose()


def told(tree: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what the command says, which a person can read too."""
    for section, values in tree.items():
        for name, value in values.items() if isinstance(values, dict) else ():
            monkeypatch.setenv(f"UNSEEN_{section}__{name}".upper(), str(value))
    monkeypatch.setenv("UNSEEN_TENANT", tree["tenant"])
    shown = CliRunner().invoke(app, ["shadow"])
    assert shown.exit_code == 0, shown.output
    assert "What is asked most" in shown.output
    answer = CliRunner().invoke(app, ["shadow", "--json"])
    assert answer.exit_code == 0, answer.output
    return dict(json.loads(answer.stdout))
