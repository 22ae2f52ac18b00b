"""Against a server of a few lines that misbehaves to order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from odd_opensearch import PAGE, odd_opensearch, pages_for
from prometheus_client import REGISTRY
from serve_fakes import FakeRewriter

from agent.errors import SearchFailed
from agent.policy.plan import Plan
from agent.retrieval import Catalogue
from agent.retrieval.connection import Crowded
from agent.retrieval.forwarding import Forwarder
from agent.sections import OpenSearchSettings
from agent.serve.assemble import assemble
from agent.settings import Settings

RAW = Plan(user_query="x")


def settings_of(url: str, more: Mapping[str, float]) -> OpenSearchSettings:
    return OpenSearchSettings.model_validate({"url": url, **more})


@asynccontextmanager
async def catalogue_of(
    answer: Callable[[int], tuple[int, object] | None],
    *,
    held: asyncio.Event | None = None,
    asked: asyncio.Semaphore | None = None,
    **settings: float,
) -> AsyncIterator[Catalogue]:
    """A server that answers the n-th request with a status and a body, or hangs up on None.

    ``held``: not before it is set; ``asked`` is released by each.
    """
    async with (
        odd_opensearch(lambda n, _: answer(n), held=held, asked=asked) as url,
        Catalogue(settings_of(url, settings)) as catalogue,
    ):
        yield catalogue


async def test_a_connection_that_the_server_closed_while_idle_is_tried_again() -> None:
    async with catalogue_of(lambda n: None if n == 2 else (200, PAGE)) as catalogue:
        for _ in range(2):
            results = await catalogue.search(RAW)
            assert (results.object_ids, results.scores, results.took_ms) == (("a",), (1.5,), 3)


async def test_a_server_that_always_hangs_up_is_a_failed_search() -> None:
    async with catalogue_of(lambda _: None) as catalogue:
        with pytest.raises(SearchFailed):
            await catalogue.search(RAW)


async def test_an_answer_for_a_part_of_the_shards_is_no_answer() -> None:
    async with catalogue_of(lambda _: (200, {**PAGE, "_shards": {"failed": 1}})) as catalogue:
        with pytest.raises(SearchFailed, match="part of its shards"):
            await catalogue.search(RAW)


async def test_one_failed_item_of_many_fails_them_all() -> None:
    items = {"responses": [PAGE, {"error": {"type": "broken", "reason": "of a query"}, "status": 500}]}
    async with catalogue_of(lambda _: (200, items)) as catalogue:
        with pytest.raises(SearchFailed, match=r"^OpenSearch failed a search: broken$"):
            await catalogue.msearch([RAW, RAW], purpose="verify")


@pytest.mark.parametrize("inside", [False, True])
async def test_a_refusal_slows_the_background_down_and_not_the_shoppers(*, inside: bool) -> None:
    refused = {"error": {"reason": "queue full"}, "status": 429}
    reply = (200, {"responses": [refused]}) if inside else (429, refused)
    async with catalogue_of(lambda _: reply) as catalogue:
        with pytest.raises(SearchFailed):
            await catalogue.msearch([RAW], purpose="verify")
        assert catalogue.limiter.limit == 1
        with pytest.raises(SearchFailed):
            await catalogue.search(RAW)
        assert catalogue.limiter.limit == 1


async def test_no_more_shoppers_wait_for_a_hung_opensearch_than_the_setting_says() -> None:
    held = asyncio.Event()
    async with catalogue_of(lambda _: (200, PAGE), held=held, most_waiting=20) as catalogue:
        waiting = [asyncio.ensure_future(catalogue.search(RAW)) for _ in range(20)]
        await asyncio.sleep(0)
        for search in (catalogue.search(RAW), catalogue.msearch([RAW], purpose="search")):
            with pytest.raises(SearchFailed, match="20 searches before this one"):
                await search
        held.set()
        assert {results.object_ids for results in await asyncio.gather(*waiting)} == {("a",)}
        assert (await catalogue.search(RAW)).object_ids == ("a",)


async def test_a_slow_opensearch_is_asked_over_as_many_connections_as_may_wait() -> None:
    held, asked = asyncio.Event(), asyncio.Semaphore(0)

    def answer(_: int) -> tuple[int, object]:
        return 200, PAGE

    async with catalogue_of(answer, held=held, asked=asked, most_waiting=20) as catalogue:
        waiting = [asyncio.ensure_future(catalogue.search(RAW)) for _ in range(20)]
        async with asyncio.timeout(4):
            for _ in range(20):
                await asked.acquire()
        held.set()
        await asyncio.gather(*waiting)


async def test_a_request_that_is_passed_on_waits_no_longer_than_the_setting() -> None:
    async def trickle(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    settings = OpenSearchSettings(timeout_s=0.05)
    forwarder = Forwarder(settings, httpx.MockTransport(trickle))
    async with asyncio.timeout(5):
        with pytest.raises(SearchFailed, match="TimeoutError"):
            await forwarder.send("GET", "/products/_search", "", {}, b"")
    await forwarder.close()


async def test_what_is_passed_on_waits_at_the_same_door_and_is_counted() -> None:
    held, statuses = asyncio.Event(), iter([200, 429, 503, 404])

    async def answer(_: httpx.Request) -> httpx.Response:
        await held.wait()
        return httpx.Response(next(statuses), json={})

    def count(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    def counts() -> list[float]:
        return [
            count("unseen_opensearch_turned_away_total"),
            count("unseen_opensearch_failures_total", kind="forwarded"),
            count("unseen_opensearch_seconds_count", kind="forwarded"),
        ]

    settings = OpenSearchSettings(most_waiting=2)
    before = counts()
    async with Catalogue(settings) as catalogue:
        forwarder = Forwarder(settings, httpx.MockTransport(answer), door=catalogue.door)

        async def send() -> int:
            return (await forwarder.send("GET", "/products/_search", "", {}, b"")).status

        waiting = [asyncio.ensure_future(send()) for _ in range(2)]
        await asyncio.sleep(0)  # lets them begin
        with pytest.raises(Crowded, match="no answer yet to 2 searches"):
            await send()
        with pytest.raises(Crowded):
            await catalogue.search(RAW)
        held.set()
        told = [*sorted(await asyncio.gather(*waiting)), await send(), await send()]
        await forwarder.close()
    assert told == [200, 429, 503, 404]
    assert [after - one for after, one in zip(counts(), before, strict=True)] == [2, 2, 4]


async def test_in_a_gateway_its_own_searches_and_its_clients_pass_one_door(tmp_path: Path) -> None:
    held, asked = asyncio.Event(), asyncio.Semaphore(0)
    async with odd_opensearch(lambda *_: (200, PAGE), held=held, asked=asked) as url:
        settings = Settings.model_validate(
            {"data_dir": str(tmp_path), "opensearch": {"url": url, "most_waiting": 1}}
        )
        parts = assemble(settings, FakeRewriter())
        assert parts.forwarder is not None
        assert parts.close is not None
        waiting = asyncio.ensure_future(parts.forwarder.send("GET", "/products/_search", "", {}, b""))
        async with asyncio.timeout(4):
            await asked.acquire()
        with pytest.raises(Crowded):
            await parts.catalogue.search(RAW)
        held.set()
        assert (await waiting).status == 200
        await parts.close()


async def test_what_nobody_waits_for_goes_to_the_address_of_its_own() -> None:
    made = {"front": 0, "back": 0}

    def counting(place: str) -> Callable[[int, bytes], tuple[int, object]]:
        def answer(_: int, body: bytes) -> tuple[int, object]:
            made[place] += 1
            return 200, pages_for(body) if body.count(b"\n") > 1 else PAGE

        return answer

    async with odd_opensearch(counting("front")) as front, odd_opensearch(counting("back")) as back:
        settings = OpenSearchSettings(url=front, background_url=back)
        async with Catalogue(settings) as catalogue:
            await catalogue.search(RAW)
            await catalogue.msearch([RAW, RAW], purpose="search")
            assert made == {"front": 2, "back": 0}
            await catalogue.search(RAW, purpose="console")
            await catalogue.msearch([RAW, RAW], purpose="verify")
            assert made == {"front": 2, "back": 2}
