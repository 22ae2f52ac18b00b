"""Drop-in searches while a version is on trial, and once it was rolled back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from agent.policy.plan import plan
from agent.serve.cache import RewriteCache
from agent.serve.metrics import PINS
from feedback.keys import Keys
from feedback.records import Arm, CachedRewrite, Rewrite
from feedback.stores import connect
from feedback.version_records import Standing, Trial
from tests.service.test_dropin_lists import FEW, SIZE, Shop, ids, shop_of
from tests.service.test_dropin_lists import patient as patient  # noqa: PLC0414 - for these, too

pytestmark = pytest.mark.timeout(300)  # the first one starts the engine
STABLE, CANARY = 1, 2
WORDS = {"couch": ("sofa", "cover"), "zebra": ("sofa", "yak"), "sofa": ("cover", "cover")}
"""What either version says to a query; raw finds for "couch" what it finds with "cover"."""
CLIENTS = [f"c-{n}" for n in range(16)]
"""So many that both arms have some in all but one of thirty thousand tenants."""
Search = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@asynccontextmanager
async def trial_of(
    urls: tuple[str, str],
    tenant: str,
    folder: Path,
    words: dict[str, tuple[str, str]],
    **more: Any,  # noqa: ANN401
) -> AsyncIterator[Shop]:
    """Serve with half of the clients on the newer version, both versions' words in the cache."""
    redis, keys = connect(urls[0]), Keys(tenant=tenant, partitions=1)
    cache = RewriteCache(redis, keys, ttl_s=60)
    for query, texts in words.items():
        for version, text in zip((STABLE, CANARY), texts, strict=True):
            said = CachedRewrite(rewrite=Rewrite(text=text, version=version), neighbours_seq=0)
            await cache.put(query, said, canary=version)
    for version in (STABLE, CANARY):
        stored: Any = redis.hset(
            keys.standings(), str(version), msgspec.json.encode(Standing(version=version))
        )
        await stored
    trial = Trial(version=CANARY, stable=STABLE, share=0.5, began_at_ms=0)
    await redis.mset({keys.stable(): STABLE, keys.trial(): msgspec.json.encode(trial)})
    await redis.aclose()
    async with shop_of(urls, tenant, folder=folder, **{"explore_share": 0, **more}) as shop:
        await _until_tried(shop)
        yield shop


async def _until_tried(shop: Shop) -> None:
    async with asyncio.timeout(10):
        while True:
            asked = [{"user_query": "lamp", "client_id": client} for client in CLIENTS]
            pages = [(await shop.http.post("/search", json=one)).json() for one in asked]
            if {page["arm"] for page in pages} == {"stable", "canary"}:
                return
            await asyncio.sleep(0.05)


def searching(shop: Shop, *, many: bool, beside: bool) -> Search:
    """Return what searches by `_search` or `_msearch`, with the template's body or one of the shop's own."""

    async def search(query: str, client: str, **page: Any) -> dict[str, Any]:  # noqa: ANN401
        body = shop.body(query, **page)
        if beside:
            body["aggs"] = {"names": {"terms": {"field": "object_id"}}}  # no template has it
        body["ext"]["ubi"] |= {"client_id": client, "user_query": query}
        return (await shop.msearch(body))[0] if many else await shop.search(body)

    return search


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(("canary", "trial"), [("cover", CANARY), ("", CANARY), ("Sofa", 0)])
async def test_a_page_counts_where_the_versions_lists_differ_and_is_its_own_version_s(  # noqa: PLR0913
    canary: str,
    trial: int,
    *,
    many: bool,
    beside: bool,
    redis_url: str,
    fake_opensearch_url: str,
    tenant: str,
    tmp_path: Path,
) -> None:
    urls = redis_url, fake_opensearch_url
    async with trial_of(urls, tenant, tmp_path, {"couch": ("sofa", canary)}) as shop:
        search = searching(shop, many=many, beside=beside)
        found = {client: await search("couch", client) for client in CLIENTS}
        pages = [one for one in await shop.pages(2 * len(CLIENTS)) if one.user_query == "couch"]
    by_id = {page.query_id: page for page in pages}
    lists = dict[Arm, list[str]]()
    for answer in found.values():
        page = by_id[answer["ext"]["ubi"]["query_id"]]
        assert (page.trial, list(page.object_ids)) == (trial, ids(answer))
        assert lists.setdefault(page.arm, ids(answer)) == ids(answer)
        assert ("aggregations" in answer, "_source" in answer["hits"]["hits"][0]) == (beside, True)
    assert set(lists) == {Arm.STABLE, Arm.CANARY}
    assert (lists[Arm.STABLE] != lists[Arm.CANARY]) == bool(trial)
    assert lists[Arm.STABLE][0].startswith("two-")


async def test_a_page_does_not_count_where_other_words_find_the_same(
    redis_url: str, fake_opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    words = {"couch": ("cover", "")}
    async with trial_of((redis_url, fake_opensearch_url), tenant, tmp_path, words) as shop:
        search = searching(shop, many=False, beside=False)
        for client in CLIENTS:
            await search("couch", client)
        pages = [one for one in await shop.pages(2 * len(CLIENTS)) if one.user_query == "couch"]
    assert {(page.arm, page.trial) for page in pages} == {(Arm.STABLE, 0), (Arm.CANARY, 0)}


@pytest.mark.parametrize("many", [False, True])
async def test_the_other_version_s_list_is_looked_at_without_documents_and_costs_no_page(
    *, many: bool, redis_url: str, fake_opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    real, seen = httpx.AsyncHTTPTransport(), list[list[Any]]()

    async def answer(request: httpx.Request) -> httpx.Response:
        lines = [json.loads(line) for line in request.content.splitlines()]
        seen.append([line for line in lines if line])
        if any(line.get("_source") is False for line in lines):
            return httpx.Response(500, json={"error": "no"})
        return await real.handle_async_request(request)

    async with trial_of(
        (redis_url, fake_opensearch_url),
        tenant,
        tmp_path,
        WORDS,
        transport=httpx.MockTransport(answer),
    ) as shop:
        found = await searching(shop, many=many, beside=True)("couch", CLIENTS[0])
        pages = await shop.pages(len(CLIENTS) + 1)
    await real.aclose()
    looked = [line for lines in seen for line in lines if line.get("_source") is False]
    assert [("aggs" in line, line["size"], line["from"]) for line in looked] == [(False, SIZE, 0)]
    assert (len(ids(found)), "aggregations" in found, pages[-1].trial) == (SIZE, True, 0)
    assert list(pages[-1].object_ids) == ids(found)


async def test_a_search_of_no_template_is_not_made_again_in_a_trial_either(
    redis_url: str, fake_opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    urls = redis_url, fake_opensearch_url
    async with trial_of(urls, tenant, tmp_path, WORDS, template=FEW) as shop:
        found = {
            beside: [await searching(shop, many=False, beside=beside)("zebra", client) for client in CLIENTS]
            for beside in (True, False)
        }
    assert not any(ids(one) for one in found[True])
    assert any(ids(one) for one in found[False])  # the template's min_hits


async def test_answers_of_either_arm_are_counted_for_the_brake(
    redis_url: str, fake_opensearch_url: str, tenant: str, tmp_path: Path
) -> None:
    redis: Any = connect(redis_url)
    async with trial_of((redis_url, fake_opensearch_url), tenant, tmp_path, WORDS) as shop:
        async with asyncio.timeout(10):
            while not (before := await _counts(redis, shop)):
                await asyncio.sleep(0.05)
        search = searching(shop, many=False, beside=False)
        for query in WORDS:
            for client in CLIENTS:
                await search(query, client)
        pages = [one for one in await shop.pages(4 * len(CLIENTS)) if one.user_query in WORDS]
        shown = {arm: [page for page in pages if page.arm is arm] for arm in (Arm.STABLE, Arm.CANARY)}
        async with asyncio.timeout(10):
            while sum(_more(await _counts(redis, shop), before, "asked").values()) < len(pages):
                await asyncio.sleep(0.05)
        counts = await _counts(redis, shop)
    assert _more(counts, before, "asked") == {arm: len(shown[arm]) for arm in shown}
    empty = {arm: sum(not page.object_ids for page in shown[arm]) for arm in shown}
    assert _more(counts, before, "empty") == empty
    assert (empty[Arm.STABLE], empty[Arm.CANARY]) == (0, len(shown[Arm.CANARY]) / len(WORDS))
    await redis.aclose()


async def _counts(redis: Any, shop: Shop) -> dict[str, int]:  # noqa: ANN401
    found = await redis.hgetall(shop.settings.keys.served(CANARY))
    return {name.decode(): int(n) for name, n in found.items()}


def _more(now: dict[str, int], before: dict[str, int], what: str) -> dict[Arm, int]:
    names = {arm: f"{arm.value}|{what}" for arm in (Arm.STABLE, Arm.CANARY)}
    return {arm: now.get(name, 0) - before.get(name, 0) for arm, name in names.items()}


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(("explore_share", "version"), [(0.0, 1), (0.999, 3)])
async def test_what_follows_a_page_of_a_version_that_was_revoked_is_raw(  # noqa: PLR0913
    explore_share: float,
    version: int,
    *,
    many: bool,
    redis_url: str,
    fake_opensearch_url: str,
    tenant: str,
    tmp_path: Path,
) -> None:
    urls = redis_url, fake_opensearch_url
    redis: Any = connect(redis_url)
    async with shop_of(urls, tenant, folder=tmp_path, explore_share=explore_share) as shop:
        search = searching(shop, many=many, beside=False)
        raw = await shop.catalogue.search(plan("couch", "", shop.settings.plan), size=100)
        first = await search("couch", "c-1")
        query_id = first["ext"]["ubi"]["query_id"]
        before = await search("couch", "c-1", offset=SIZE, query_id=query_id)
        await redis.sadd(shop.settings.keys.revoked(), version)
        counted = _revoked()
        async with asyncio.timeout(5):
            while _revoked() == counted:
                await search("couch", "c-1", offset=SIZE, query_id=query_id)
                await asyncio.sleep(0.05)
        offsets = range(SIZE, 24, SIZE)
        pages = [await search("couch", "c-1", offset=at, query_id=query_id) for at in offsets]
    left = (
        [one for one in raw.object_ids if one not in ids(first)] if explore_share else raw.object_ids[SIZE:]
    )
    assert [one for page in pages for one in ids(page)] == list(left)
    assert [*ids(first), *ids(before)] != list(raw.object_ids[: 2 * SIZE])
    assert {page["ext"]["ubi"]["query_id"] for page in pages} == {query_id}
    await redis.aclose()


def _revoked() -> float:
    return float(PINS.labels(found="revoked")._value.get())
