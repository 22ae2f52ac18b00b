"""A gateway that starts while OpenSearch is away holds its templates against the index once it is back."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from serve_fakes import FakeRewriter

from agent.console import health
from agent.retrieval.catalogue import Catalogue
from agent.sections import OpenSearchSettings
from agent.serve.assemble import assemble
from agent.serve.fitting import fault_of
from agent.serve.gateway import make_app
from agent.settings import Settings
from tests.faults.proxy import FaultyProxy

TEMPLATE = {"body": {"query": {"$query": {"match": {"nome": "$user_query"}}}}}


async def told(parts: object) -> list[str]:
    return list((await health.told(parts))["faults"])  # type: ignore[arg-type]


@pytest.mark.parametrize("fits", [True, False])
async def test_templates_are_checked_when_opensearch_comes_back(
    fits: bool,  # noqa: FBT001
    redis_url: str,
    fake_opensearch_url: str,
    tenant: str,
    tmp_path: Path,
) -> None:
    if not fits:
        (tmp_path / "default.json").write_text(json.dumps(TEMPLATE))
    async with Catalogue(OpenSearchSettings(url=fake_opensearch_url, index=tenant)) as catalogue:
        await catalogue.create_index()
    with FaultyProxy(urlsplit(fake_opensearch_url).port or 9200) as way:
        settings = Settings.model_validate(
            {
                "tenant": tenant,
                "data_dir": str(tmp_path / "data"),
                "redis": {"state_url": redis_url, "partitions": 1},
                "opensearch": {
                    "url": f"http://127.0.0.1:{way.port}",
                    "index": tenant,
                    "templates": None if fits else tmp_path,
                },
            }
        )
        await asyncio.to_thread(way.refuses)
        parts = assemble(settings, FakeRewriter())
        app = make_app(parts)
        async with asyncio.timeout(30), app.router.lifespan_context(app):
            while (unchecked := fault_of("unchecked")) not in await told(parts):
                await asyncio.sleep(0.05)
            await asyncio.to_thread(way.passes)
            while unchecked in (faults := await told(parts)):
                await asyncio.sleep(0.05)
    unfit = [one for one in faults if "templates do not fit the index: default: " in one and "nome" in one]
    assert bool(unfit) is not fits, faults
