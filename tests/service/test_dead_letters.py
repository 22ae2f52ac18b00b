"""Dead letters on a real Redis, through the command: listed, shown, put back, dropped."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner, Result

from agent.cli import app
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.collecting.counts import read_counts
from feedback.delivery.dead_letters import DeadLetters, Which
from feedback.keys import Keys
from feedback.link_records import Place, Sold
from feedback.records import Arm, Impression, Rung
from feedback.settings import FeedbackSettings
from feedback.stores import connect, forget

T = TypeVar("T")
SETTINGS = FeedbackSettings(min_clients=1)


class Shop:
    """A store that is asked outside of any event loop, as a command asks it."""

    def __init__(self, url: str, tenant: str) -> None:
        self.url, self.keys = url, Keys(tenant=tenant, partitions=2)

    def do(self, work: Callable[[Redis], Awaitable[T]]) -> T:
        async def run() -> T:
            redis: Redis = connect(self.url, 10.0)
            try:
                return await work(redis)
            finally:
                await redis.aclose()

        return asyncio.run(run())

    def send(self, stream: str, *stored: bytes) -> None:
        async def work(redis: Redis) -> None:
            for one in stored:
                await redis.xadd(stream, {"r": one})

        self.do(work)

    def collect(self) -> None:
        async def work(redis: Redis) -> None:
            collector = Collector(redis, self.keys, SETTINGS, wall_clock)
            while await collector.step():
                pass
            await collector.release()

        self.do(work)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["dead", *words])

    def json(self, *words: str) -> Any:  # noqa: ANN401 - decoded JSON
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def shop(redis_url: str, tenant: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("UNSEEN_REDIS__STATE_URL", redis_url)
    monkeypatch.setenv("UNSEEN_REDIS__PARTITIONS", "2")
    monkeypatch.setenv("UNSEEN_TENANT", tenant)
    shop = Shop(redis_url, tenant)
    yield shop
    shop.do(lambda redis: forget(redis, tenant))


def page(keys: Keys, query: str = "couch") -> bytes:
    return msgspec.json.encode(
        Impression(
            query_id=keys.new_query_id(query), tenant=keys.tenant, user_query=query, client_id="ann",
            shown_at_ms=wall_clock(), arm=Arm.STABLE, rung=Rung.RAW, source="raw", object_ids=("A",),
        )
    )  # fmt: skip


def test_letters_are_listed_by_reason_which_names_the_field_and_shown_whole(shop: Shop) -> None:
    p = shop.keys.partition_of("couch")
    late = page(shop.keys).replace(b'"shown_at_ms":', b'"shown_at_ms":"x","was":')
    shop.send(shop.keys.impressions(p), late, late)
    shop.send(shop.keys.events(1 - p), b"{no json")
    shop.collect()
    said = shop.json("list")
    assert said["by_reason"] == {
        "impressions: Expected `int`, got `str` - at `$.shown_at_ms`": 2,
        "events: JSON is malformed: object keys must be strings (byte N)": 1,
    }
    assert (said["in_all"], said["evicted"]) == (3, 0)
    assert shop.json("list", "--stream", "events")["in_all"] == 1
    assert shop.json("list", "--partition", str(p), "--reason", "SHOWN_AT")["in_all"] == 2
    assert shop.json("list", "--older-than-s", "3600")["in_all"] == 0
    (letter,) = shop.json("list", "--partition", str(1 - p))["letters"]
    assert shop.json("show", letter["address"])["stored"] == "{no json"
    assert "no letter's address" in str(shop.run("show", "x").exception)
    assert "there is no dead letter" in str(shop.run("show", f"{p}:1-1").exception)
    assert "--partition" in str(shop.run("list", "--partition", "2").exception)


def test_a_letter_put_back_is_read_again_and_is_a_letter_no_more(shop: Shop) -> None:
    p = shop.keys.partition_of("couch")
    shop.send(shop.keys.impressions(p), page(shop.keys))

    async def set_aside(redis: Redis) -> None:  # as an older release would, that could not read it
        found: Any = await redis.xrange(shop.keys.impressions(p))
        (entry,) = found
        stored: dict[Any, Any] = {
            "reason": "unknown",
            "stream": shop.keys.impressions(p),
            "id": entry[0],
            "r": entry[1][b"r"],
        }
        await redis.xadd(shop.keys.dead(p), stored)
        await redis.delete(shop.keys.impressions(p))

    shop.do(set_aside)
    shop.send(shop.keys.events(p), b"?")
    shop.collect()
    assert shop.json("replay", "--all") == {"replayed": 2, "left": 0}
    assert shop.json("list")["in_all"] == 0
    shop.collect()
    assert shop.json("list")["in_all"] == 1  # what can never be read is a letter again
    counts = shop.do(lambda redis: read_counts(redis, shop.keys))
    assert counts.of("impressions") == 1
    assert "not both" in str(shop.run("replay").exception)
    assert "not both" in str(shop.run("replay", f"{p}:1-1", "--all").exception)


def test_a_letter_goes_back_to_no_stream_that_is_full_and_without_its_field_to_none(shop: Shop) -> None:
    small = FeedbackSettings(min_clients=1, stream_maxlen=1000)
    stream = shop.keys.events(0)
    shop.send(stream, b"?")
    shop.do(lambda redis: redis.xadd(stream, {"other": b"?"}))
    shop.collect()

    async def work(redis: Redis) -> list[str]:
        letters = DeadLetters(redis, shop.keys, small)
        found = [one async for one in letters.find(Which(), wall_clock())]
        for _ in range(1000):
            await redis.xadd(stream, {"r": b"?"})
        said = []
        for one in found:
            try:
                await letters.replay(one)
            except Exception as error:  # noqa: BLE001 - the test says which
                said.append(type(error).__name__)
        assert len([one async for one in letters.find(Which(), wall_clock())]) == 2
        await redis.delete(stream)
        return said

    assert shop.do(work) == ["Full", "Permanent"]


def test_a_link_that_could_not_be_read_is_put_back_to_the_links(shop: Shop) -> None:
    shop.send(shop.keys.links(1), b"?")
    shop.collect()
    assert shop.json("list", "--stream", "links")["in_all"] == 1
    assert shop.json("replay", "--all") == {"replayed": 1, "left": 0}
    assert shop.do(lambda redis: redis.xlen(shop.keys.links(1))) == 1


def test_a_link_that_cannot_be_applied_is_a_letter_and_holds_nothing_up(shop: Shop) -> None:
    p = shop.keys.partition_of("couch")
    shown = shop.keys.new_query_id("couch")
    place = Place(shown, "all", "couch", Arm.STABLE, 0, 10**17, 1, 0, 0, rewritten=False, unshaped=True)
    sold = Sold(
        tenant=shop.keys.tenant, client="c", object_id="A", query_id=shown, rev=1, event_id="o",
        at_ms=wall_clock(), place=place,
    )  # fmt: skip
    shop.send(shop.keys.links(p), msgspec.json.encode(sold))
    shop.send(shop.keys.impressions(p), page(shop.keys))
    shop.collect()
    (letter,) = shop.json("list", "--stream", "links")["letters"]
    assert letter["reason"] == "place.shown_at_ms: 100000000000000000 is out of range"
    assert shop.do(lambda redis: read_counts(redis, shop.keys)).of("impressions") == 1
    assert shop.do(lambda redis: redis.xlen(shop.keys.links(p))) == 0


def test_dropping_asks_first(shop: Shop) -> None:
    shop.send(shop.keys.events(0), b"?", b"!")
    shop.collect()
    refused = CliRunner().invoke(app, ["dead", "drop", "--all"], input="n\n")
    assert refused.exit_code == 1
    first, _ = shop.json("list")["letters"]
    assert shop.json("drop", first["address"], "--yes") == {"dropped": 1}
    assert shop.json("drop", "--stream", "events", "--yes") == {"dropped": 1}
    assert shop.json("list")["in_all"] == 0


def test_letters_past_the_bound_give_way_and_are_counted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedback.collecting.commit.DEAD_MAXLEN", 3)
    shop.send(shop.keys.events(0), *(str(n).encode() for n in range(5)))
    shop.collect()
    said = shop.json("list")
    assert (said["in_all"], said["evicted"]) == (3, 2)
    assert shop.json("show", said["letters"][0]["address"])["stored"] == "2"  # the oldest two are gone
