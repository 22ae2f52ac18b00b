"""One small Ray for all tests of learning; sessions over a toy shop."""

import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))

from toy import QUERIES, ToyCatalogue, ToyEvidence, toy_settings, toy_stores

from agent.learner.session import LearnerSession
from feedback.stores import connect

Build = Callable[..., Coroutine[Any, Any, LearnerSession]]


@pytest_asyncio.fixture
async def build(tmp_path: Path, tenant: str, redis_url: str) -> AsyncIterator[Build]:
    redis = connect(redis_url)
    made: list[LearnerSession] = []

    async def build(
        *, shuffled: bool = False, catalogue: ToyCatalogue | None = None, **learner: object
    ) -> LearnerSession:
        settings = toy_settings(tmp_path, tenant, redis_url, **learner)
        evidence = ToyEvidence(QUERIES, settings.keys, shuffled=shuffled)
        stores = toy_stores(settings, redis, evidence, catalogue or ToyCatalogue())
        made.append(await LearnerSession.build(settings, stores))
        return made[-1]

    yield build
    for session in made:
        await session.close()
    await redis.aclose()
