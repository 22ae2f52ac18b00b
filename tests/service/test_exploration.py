"""How often a query is asked and what exploring costs, from a real collector's Redis."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from explored_pages import explored
from prometheus_client import REGISTRY

from agent.errors import Permanent
from agent.evaluate.exploration import read
from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION, Prompt
from agent.scoring.offpolicy import Method
from agent.sections import PolicySettings
from agent.settings import Settings
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore
from feedback.clock import ManualClock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import FIELD, StreamWriter
from feedback.evidence.popularity import Popularity, band_of
from feedback.exploring.spending import Spending
from feedback.keys import Keys
from feedback.records import Action, Arm, Band, Choice, Draw, Event, Impression, Rung
from feedback.settings import FeedbackSettings, RedisSettings
from feedback.stores import connect
from feedback.version_records import Manifest

TINY = PolicySettings(model="tiny", lora_layers=2)
SETTINGS = FeedbackSettings(min_clients=1, head_searches=50, torso_searches=10)


async def shop(url: str, keys: Keys, clock: ManualClock) -> None:
    """Show 80 pages: every fourth explores, and half of those get a click; the others get one each."""
    redis = connect(url)
    writer = StreamWriter(redis, keys, SETTINGS)
    for i in range(80):
        explored = i % 4 == 0
        page = Impression(
            query_id=keys.new_query_id("couch"),
            tenant=keys.tenant,
            user_query="couch",
            client_id=f"c{i}",
            shown_at_ms=clock(),
            arm=Arm.EXPLORE if explored else Arm.STABLE,
            rung=Rung.RAW,
            source="raw",
            object_ids=("a", "b"),
            band=Band.TAIL,
            chance=0.25,
        )
        event = Event(
            event_id=f"e{i}",
            query_id=page.query_id,
            tenant=keys.tenant,
            client_id=page.client_id,
            action_name=Action.CLICK,
            object_id="a",
            occurred_at_ms=clock(),
        )
        odd = msgspec.structs.replace(page, query_id=keys.new_query_id("couch"), purpose="prefetch")
        await writer.add_impressions([page, odd])
        if i % 8:
            await writer.add_event(event)
    collector = Collector(redis, keys, SETTINGS, clock)
    while await collector.step():
        pass
    await collector.release()
    await redis.aclose()


async def test_a_query_s_searches_are_counted_and_its_band_follows(redis_url: str, tenant: str) -> None:
    keys, clock = Keys(tenant=tenant, partitions=2), ManualClock(1_700_000_000_000)
    await shop(redis_url, keys, clock)
    redis = connect(redis_url)
    clock.advance(SETTINGS.half_life_s)
    popularity = Popularity(redis, keys, SETTINGS, clock)
    searches = await popularity.searches(" Couch")
    assert searches is not None
    assert searches == pytest.approx(40)  # 80, a half-life ago
    assert band_of(searches, SETTINGS) is Band.TORSO
    assert [band_of(n, SETTINGS) for n in (50, 9.9)] == [Band.HEAD, Band.TAIL]
    assert await popularity.searches("sofa") == 0
    await redis.aclose()


async def test_without_redis_nobody_can_tell_and_nobody_waits() -> None:
    redis = connect("redis://127.0.0.1:1/0")
    popularity = Popularity(redis, Keys(), SETTINGS, ManualClock(0))
    assert await popularity.searches("couch") is None
    began_s = time.monotonic()
    assert [await popularity.searches(f"q{i}") for i in range(1000)] == [None] * 1000
    assert time.monotonic() - began_s < 0.5
    await redis.aclose()


async def test_what_exploring_costs_is_a_metric_and_a_command(redis_url: str, tenant: str) -> None:
    keys, clock = Keys(tenant=tenant, partitions=8), ManualClock(time.time_ns() // 1_000_000)
    await shop(redis_url, keys, clock)
    redis = connect(redis_url)
    (whole, tail) = await Spending(redis, keys, SETTINGS, clock).step()
    await redis.aclose()
    assert (whole.band, tail.band, whole.searches, whole.explored) == ("all", "tail", 80, 20)
    assert (whole.clicks, whole.clicks_otherwise, whole.cost) == pytest.approx((0.5, 1.0, 0.5))
    assert whole.interval is None  # 20 shoppers explored
    labels = {"band": "tail", "bound": "mean"}
    assert REGISTRY.get_sample_value("unseen_explore_cost_clicks_per_search", labels) == tail.cost
    env = os.environ | {"UNSEEN_TENANT": tenant, "UNSEEN_REDIS__STATE_URL": redis_url}
    command = (sys.executable, "-m", "agent.cli", "exploration", "--json")
    told = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.PIPE)
    said, _ = await told.communicate()
    assert json.loads(said)["bands"]["all"] == whole.figures()


async def test_what_explore_pages_tell_of_other_policies(redis_url: str, tenant: str, tmp_path: Path) -> None:
    settings = Settings(
        tenant=tenant, data_dir=tmp_path, redis=RedisSettings(state_url=redis_url), policy=TINY
    )
    policy, prompt = Policy.load(TINY), Prompt(query="couch")
    saved = AdapterStore(settings.weights_dir).save(3, policy.adapter_state())
    samples = policy.sample([prompt], n=2, seed=0)[0]
    redis = connect(redis_url)
    manifest = Manifest(
        version=3,
        parent=0,
        base_model=policy.base_model,
        prompt_version=PROMPT_VERSION,
        uri=saved.uri,
        sha256=saved.sha256,
        n_bytes=saved.n_bytes,
        made_at_ms=0,
        steps=1,
    )
    await Registry(redis, settings.keys).publish(manifest)
    for i in range(600):  # the first sample's page is liked as often as not, the second's always
        draw = Draw(
            choices=tuple(
                Choice(
                    text=s.text, token_ids=s.token_ids, logprob=sum(s.token_logprobs), probability=0.5, page=n
                )
                for n, s in enumerate(samples, start=1)
            ),
            taken=i % 2,
            base_model=policy.base_model,
            prompt_version=PROMPT_VERSION,
        )
        page = msgspec.structs.replace(
            explored(query_id=f"q{i}", client=f"c{i % 90}", rewrite=samples[i % 2]),
            draw=draw,
            preference=1.0 if i % 2 else (-1.0 if i % 4 else 1.0),
        )
        await redis.xadd(settings.keys.explored(i % 8), {FIELD: msgspec.json.encode(page)})
    await redis.aclose()
    told = (await read(settings, days=1, policies=["samples", "proposals", "latest"]))["policies"]
    assert told["samples"]["snips"]["value"] == pytest.approx(0.5)
    assert told["samples"]["effective"] == pytest.approx(600)
    assert told["proposals"] == {"pages": 0, "effective": 0.0, **dict.fromkeys(get_args(Method))}
    assert told["latest"]["snips"]["value"] == pytest.approx(0.5, abs=1e-3)  # the same weights
    with pytest.raises(Permanent, match="'lates' is none of samples"):
        await read(settings, days=1, policies=["lates"])


@pytest.mark.parametrize("landmark", [b"soon:2592000", b"0:2592000"])
async def test_what_is_no_number_is_nobody_s_number(
    redis_url: str, tenant: str, landmark: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedback.evidence.popularity.LOOK_S", 5.0)  # too slow an answer is None too
    keys, redis = Keys(tenant=tenant), connect(redis_url)
    await redis.set(keys.landmark(), landmark)
    await redis.hset(keys.queries(keys.partition_of("couch")), "all|couch", "often")
    assert await Popularity(redis, keys, SETTINGS, ManualClock(0)).searches("couch") is None
    await redis.aclose()
