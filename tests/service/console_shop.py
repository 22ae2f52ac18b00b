"""A small shop with a console: real Redis, the stand-in for OpenSearch, a rewriter that says one word."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from fastapi import FastAPI
from log_clicks import click
from redis.asyncio import Redis
from reported_week import verdict
from serve_fakes import FakeRewriter

from agent.console import add_console
from agent.retrieval import Catalogue
from agent.serve.assemble import assemble
from agent.serve.gateway import make_app
from agent.settings import Settings
from agent.verify import VerdictWriter
from agent.watching.curves import EVERY_S, Sample
from agent.weights.registry import Move, Registry
from agent.weights.store import AdapterStore
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import FIELD
from feedback.evidence.crowds import MEMBER, as_stored
from feedback.evidence.reading import query_field
from feedback.stores import connect, forget
from feedback.version_records import Figure, Judgement, Manifest, Standing, State, Trial, Window

KEY = "the-key-of-the-console-0001"
OTHER_KEY = "the-key-of-somebody-else-01"
SHOP_KEY = "the-key-of-the-shop-itself-1"
JUDGED = 10_000
HOSTILE = "<img src=x onerror=alert(1)>"
RARE = "john doe garden street"
CROWD = as_stored(["a" * MEMBER, "b" * MEMBER], 2)
PRODUCTS = [
    *({"id": f"sofa{i}", "title": f"grey sofa number {i}"} for i in range(6)),
    *({"id": f"couch{i}", "title": f"couch cover {i}"} for i in range(6)),
    *({"id": f"lamp{i}", "title": f"desk lamp number {i}"} for i in range(12)),
]
verdict_of = partial(verdict, gain_sd=0.01)


@dataclass(frozen=True)
class Shop:
    """What a test looks at."""

    url: str
    """Of the admin port."""
    settings: Settings
    redis: Redis


def settings_of(redis_url: str, opensearch_url: str, folder: Path, tenant: str) -> Settings:
    settings = Settings.model_validate(
        {
            "tenant": tenant,
            "data_dir": str(folder),
            "redis": {"state_url": redis_url, "partitions": 2},
            "opensearch": {"url": opensearch_url, "index": tenant, "fields": ["title"]},
            "serve": {
                "admin_port": 0,
                "holdback_share": 0,
                "explore_share": 0,
                "raw_share": 0,
                "raw_examinations": 0,
            },
            "access": {
                "server_keys": [SHOP_KEY],
                "keys": {
                    "ops": {"key": KEY, "scopes": ["admin"]},
                    "anna": {"key": OTHER_KEY, "scopes": ["admin"]},
                },
            },
        }
    )
    feedback = settings.feedback.model_copy(update={"min_clients": 2})  # the tests' environment says 1
    return settings.model_copy(update={"feedback": feedback})


@asynccontextmanager
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    """Give the shop, seeded and served."""
    redis = connect(settings.redis.state_url)
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(PRODUCTS)
        await seed(redis, settings)
        parts = assemble(settings, FakeRewriter("lamp"))
        app: FastAPI = make_app(parts, has_admin_port=True)
        add_console(app, parts)
        async with app.router.lifespan_context(app):
            while len(parts.known.index) < JUDGED:
                await asyncio.sleep(0.02)
            yield Shop(parts.announce["admin_url"], settings, redis)
        await catalogue.drop_index()
    await forget(redis, settings.tenant)
    await redis.aclose()


async def seed(redis: Redis, settings: Settings) -> None:
    await _clicks(redis, settings)
    await _verdicts(redis, settings)
    await versions_anew(redis, settings)
    await _figures(redis, settings)


async def _clicks(redis: Redis, settings: Settings) -> None:
    """Let shoppers say couch and mean sofas."""
    numbers = itertools.count()
    for query, object_id, _ in itertools.product(("couch", "grey sofa"), ("sofa1", "sofa2"), range(3)):
        await click(redis, settings, wall_clock, numbers, query=query, object_id=object_id)
    collector = Collector(redis, settings.keys, settings.feedback, wall_clock)
    while await collector.step():
        pass
    await collector.release()


async def _verdicts(redis: Redis, settings: Settings) -> None:
    verdicts = [
        verdict_of("couch", "grey sofa", 0.31, support=12.0, searches=40.0),
        verdict_of(HOSTILE, HOSTILE, 0.02),
        verdict_of(RARE, "rake", 0.2),
        verdict_of("desk lamp", ""),
        verdict_of("odd thing", "", settled=False),
        verdict_of("worst of all", "harm", -0.2, p_harm=0.99),
    ]
    numbers = range(JUDGED - len(verdicts))
    verdicts += [verdict_of(f"query number {n}", f"word{n % 97}", 0.2 * math.sin(n)) for n in numbers]
    writer = VerdictWriter(redis, settings.keys)
    assert await writer.hold()
    await writer.write(verdicts)
    await writer.release()
    async with redis.pipeline(transaction=False) as pipe:
        for one in verdicts:
            if one.query != RARE:
                crowds = settings.keys.crowds(settings.keys.partition_of(one.query))
                pipe.hset(crowds, query_field("all", one.query), CROWD)
        await pipe.execute()


async def versions_anew(redis: Redis, settings: Settings) -> None:
    """Make four, and no others: one that served, one refused, one that serves, one on trial."""
    keys, made = settings.keys, int(await redis.get(settings.keys.version_seq()) or 0)
    told = (keys.standings(), keys.stable(), keys.trial(), keys.revoked(), keys.paused(), keys.audit())
    await redis.unlink(*told, *map(keys.version, range(1, made + 1)))
    registry, store = Registry(redis, settings.keys), AdapterStore(settings.weights_dir)
    await redis.set(settings.keys.version_seq(), 4)
    trial = Trial(version=4, stable=3, share=0.1, began_at_ms=wall_clock())
    window = Window(first=f"{wall_clock() - 9_000_000}-0", last=f"{wall_clock()}-0", rows=120)
    states = {1: State.FORMER, 2: State.REFUSED, 3: State.STABLE, 4: State.TRIAL}
    for number, state in states.items():
        saved = store.save(number, {"a": torch.tensor([float(number)])})
        manifest = Manifest(
            version=number, parent=number - 1, uri=saved.uri, sha256=saved.sha256, n_bytes=saved.n_bytes,
            made_at_ms=wall_clock() - (5 - number) * 7_200_000, steps=40 * number,
            window={"0": window}, base_model="tiny", prompt_version="v1",
        )  # fmt: skip
        await registry.publish(manifest)
        stable = await registry.stable_version()
        await registry.move(
            Move(
                stable=stable,
                trial=0,
                standings=(_standing(number, state),),
                serve=number if state in (State.FORMER, State.STABLE) else 0,
                begin=trial if state is State.TRIAL else None,
            )
        )


def _standing(number: int, state: State) -> Standing:
    figures = {
        "queries": Figure(value=200.0, least=50.0),
        "difference": Figure(value=-0.02 if state is State.REFUSED else 0.021, least=0.0),
        "difference_se": Figure(value=0.004),
        "divergence_nats": Figure(value=0.12, most=0.5),
    }
    reason = "difference below its limit" if state is State.REFUSED else "every figure holds"
    now_ms = wall_clock()
    gate = Judgement(at_ms=now_ms, stage="gate", state=state, reason=reason, by="release", figures=figures)
    return Standing(version=number, state=state, since_ms=now_ms, gain=0.013, judgements=(gate,))


async def _figures(redis: Redis, settings: Settings) -> None:
    """Write what the processes would have counted by now, and samples of ten minutes."""
    keys, now_ms = settings.keys, wall_clock()
    counts: dict[Any, Any] = {
        "impressions|stable|rewritten": 4000, "impressions|stable|raw": 2000, "impressions|holdback|raw": 700,
        "impressions|explore|rewritten": 800, "clicks|stable|rewritten": 1300, "clicks|stable|raw": 380,
        "clicks|holdback|raw": 130, "clicks|explore|rewritten": 190, "purchases|stable|rewritten": 96,
        "purchases|holdback|raw": 8, "dropped|no_page": 3,
    }  # fmt: skip
    await redis.hset(keys.counts(0), mapping=counts)
    await redis.zadd(keys.collectors(), {"collector-1": now_ms})
    await redis.hset(keys.vitals("learner"), mapping={"version": 4, "updates": 160, "reward_mean": 0.081})
    await redis.hset(keys.vitals("verifier"), mapping={"judged": JUDGED, "serving": 9993})
    await redis.hset(keys.vitals("release"), mapping={"stable": 3, "trial": 4})
    for n in range(1, 41):
        grown, waves = n / 41, 1 + 0.08 * math.sin(n / 3)
        slot_ms = (now_ms // (EVERY_S * 1000) - 41 + n) * EVERY_S * 1000
        arms = {
            "stable": (round(6000 * grown), round(1680 * grown**1.2), round(90 * grown)),
            "holdback": (round(700 * grown), round(130 * grown * waves), round(8 * grown)),
            "explore": (round(800 * grown), round(190 * grown * waves), 0),
        }
        sample = Sample(at_ms=slot_ms, arms=arms, reward=0.08 * grown * waves, verified=9993 * grown)
        await redis.xadd(keys.curves(), {FIELD: msgspec.json.encode(sample)}, id=f"{slot_ms}-1")
