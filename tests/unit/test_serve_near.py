"""What a gateway had the model write is what it takes for granted, at once and whatever Redis still holds."""

import asyncio
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from serve_client import ask, gateway
from serve_fakes import World
from typing_extensions import override

from agent.serve.asking import Kind, LiveRewrites, RewriteAsk
from agent.serve.cache import RewriteCache
from feedback.keys import Keys
from feedback.records import CachedRewrite, Earlier, Rewrite

OLD = CachedRewrite(rewrite=Rewrite(text="settee", version=4))
WAITS: dict[str, Any] = {"deadline_s": 5.0, "purpose": "evaluation"}


class SlowlyWritten:
    """A Redis in which the old words stand for as long as a test looks."""

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, _: str) -> bytes:
        self.asked += 1
        return msgspec.msgpack.encode(OLD)


class Replaced(World):
    """Version 5 serves; the cache holds version 4's words, near and far."""

    def __init__(self, near_s: float = 30.0, **serve: Any) -> None:  # noqa: ANN401
        super().__init__(**serve)
        self.known.stable_version = 5
        self.rewriter.version = 5
        self.redis = SlowlyWritten()
        self.cache = RewriteCache(cast("Redis", self.redis), Keys(), ttl_s=60, near_s=near_s)  # type: ignore[assignment]

    @property
    def kinds(self) -> list[Kind]:
        return [one.kind for one in self.rewriter.asked]


async def landed(world: World) -> None:
    async with asyncio.timeout(5):
        while not world.rewriter.finished:
            await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_after_a_live_answer_nobody_waits_for_the_same_words_again() -> None:
    world = Replaced()
    async with gateway(world) as http:
        pages = [await ask(http, **WAITS) for _ in "123"]
    assert [(page["source"], page["rewrite"]) for page in pages] == [
        ("model", "sofa"),
        ("cache", "sofa"),
        ("cache", "sofa"),
    ]
    assert world.kinds == [Kind.LIVE]


async def test_a_live_answer_that_came_too_late_answers_the_next_search() -> None:
    world = Replaced(deadline_s=0.02)
    world.rewriter.hold.clear()
    async with gateway(world) as http:
        late = await ask(http, **{**WAITS, "deadline_s": 0.02})
        assert (late["source"], late["rewrite"]) == ("cache", "settee")
        world.rewriter.hold.set()
        await landed(world)
        assert (await ask(http))["rewrite"] == "sofa"
    assert world.kinds == [Kind.LIVE]


async def test_words_refreshed_behind_a_page_answer_the_next_search() -> None:
    world = Replaced()
    async with gateway(world) as http:
        assert (await ask(http))["rewrite"] == "settee"
        await landed(world)
        assert (await ask(http, **WAITS))["rewrite"] == "sofa"
    assert world.kinds == [Kind.REFRESH]


async def test_a_gateway_that_takes_nothing_for_granted_asks_each_time() -> None:
    world = Replaced(near_s=0.0)
    async with gateway(world) as http:
        for _ in "12":
            assert (await ask(http, **WAITS))["source"] == "model"


async def test_what_is_taken_stands_where_the_rewriter_writes_it() -> None:
    class Empty(SlowlyWritten):
        @override
        async def get(self, _: str) -> Any:
            return None

    cache = RewriteCache(cast("Redis", Empty()), Keys(), ttl_s=60, near_s=30)
    history = (Earlier("sofa"),)
    told = RewriteAsk(query="couch", version=7, history=history, neighbours_seq=3)
    cache.take(told, Rewrite(text="bench", version=7))
    assert await cache.get("couch", 7, history=history) == CachedRewrite(
        rewrite=Rewrite(text="bench", version=7), neighbours_seq=3
    )
    assert [await cache.get("couch"), await cache.get("couch", 7)] == [None, None]


async def test_samples_and_what_is_no_text_are_no_answer_to_keep() -> None:
    kept: list[str] = []
    world = World()
    live = LiveRewrites(world.rewriter, keep=lambda ask, rewrite: kept.append(f"{ask.kind}: {rewrite.text}"))
    for kind, text in ((Kind.POOL, "sofa"), (Kind.LIVE, "\ud800"), (Kind.REFRESH, "sofa")):
        world.rewriter.text = text
        await live.within(RewriteAsk(query="couch", kind=kind), 5.0)
    assert kept == ["refresh: sofa"]
    await live.close()
