"""The same tests for a real OpenSearch and for the stand-in: what passes on one holds on the other."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.errors import SearchFailed
from agent.policy.plan import Plan, plan
from agent.retrieval import Catalogue
from agent.sections import OpenSearchSettings, PlanSettings
from feedback.records import Form

pytestmark = pytest.mark.timeout(300)  # the first one starts the engine
PRODUCTS = [
    '{"product_id": "b", "title": "Red sofa", "category": "Living room"}',
    '{"product_id": "a", "title": "Blue sofa", "category": "Living room"}',
    '{"product_id": "c", "title": "Garden hose", "price": 12.5}',
    '{"product_id": "d", "title": "Sofas and chairs for gardens", "tags": ["x", {"y": 1}]}',
]


def settings_for(url: str, index: str) -> OpenSearchSettings:
    return OpenSearchSettings(url=url, index=index)


@pytest.fixture(params=["opensearch_url", "fake_opensearch_url"])
async def catalogue(request: pytest.FixtureRequest, tenant: str) -> AsyncIterator[Catalogue]:
    async with Catalogue(settings_for(request.getfixturevalue(request.param), tenant)) as own:
        assert await own.create_index()
        yield own


def raw(text: str) -> Plan:
    return Plan(user_query=text)


async def test_equal_scores_come_in_the_order_of_the_id(catalogue: Catalogue) -> None:
    report = await catalogue.load([f'{{"id": "{i}", "title": "same words"}}' for i in "hgfedcba"])
    assert (report.loaded, report.rejected) == (8, [])
    results = await catalogue.search(raw("same words"), size=3, offset=1)
    assert results.object_ids == ("b", "c", "d")
    assert results.total == 8
    assert len(set(results.scores)) == 1
    assert results.titles == ("same words",) * 3


async def test_english_analysis_finds_other_forms_of_a_word(catalogue: Catalogue) -> None:
    await catalogue.load(PRODUCTS)
    assert set((await catalogue.search(raw("GARDENS"))).object_ids) == {"c", "d"}
    assert await catalogue.count() == 4


async def test_every_bad_line_is_named_and_the_others_load(catalogue: Catalogue) -> None:
    lines: list[str | bytes] = [
        "{",
        PRODUCTS[0],
        "",
        '{"title": "no id"}',
        PRODUCTS[0],
        "[1]",
        b'{"id": 7, "title": "seven"}',
    ]
    seen: list[tuple[int, int]] = []
    report = await catalogue.load(lines, batch=3, progress=lambda read, loaded: seen.append((read, loaded)))
    assert report.loaded == 2
    assert [(r.line_no, r.object_id) for r in report.rejected] == [(1, ""), (4, ""), (5, "b"), (6, "")]
    assert report.rejected[2].reason == "repeats the id of line 2"
    assert seen == [(4, 1), (7, 2)]
    assert (await catalogue.search(raw("seven"))).object_ids == ("7",)


async def test_loading_a_product_again_replaces_it(catalogue: Catalogue) -> None:
    await catalogue.load(PRODUCTS)
    await catalogue.load([{"object_id": "c", "title": "Lamp"}])
    assert await catalogue.count() == 4
    assert (await catalogue.search(raw("hose"))).object_ids == ()
    await catalogue.delete(["c", "unknown"])
    assert await catalogue.count() == 3


async def test_added_words_fill_a_page_that_raw_leaves_empty(catalogue: Catalogue) -> None:
    await catalogue.load(PRODUCTS)
    assert (await catalogue.search(raw("couch"))).object_ids == ()
    added = await catalogue.search(plan("couch", "sofa", PlanSettings()))
    assert set(added.object_ids) == {"a", "b", "d"}


async def test_a_rerank_keeps_the_shops_own_result_set(catalogue: Catalogue, tmp_path: Path) -> None:
    await catalogue.load(PRODUCTS)
    described = {"body": {"query": {"$query": {"match": {"title": "$user_query"}}}}, "mode": "rerank"}
    (tmp_path / "default.json").write_text(json.dumps(described))
    async with Catalogue(catalogue._settings.model_copy(update={"templates": tmp_path})) as rerank:
        results = await rerank.search(plan("sofa", "hose blue", PlanSettings()))
    assert results.object_ids[0] == "a"
    assert set(results.object_ids) == {"a", "b", "d"}


async def test_a_whole_rewrite_leads_and_the_own_words_follow(catalogue: Catalogue) -> None:
    await catalogue.load(PRODUCTS)
    instead = Plan(user_query="blue red", terms=("hose",), form=Form.INSTEAD, own_weight=0.1)
    assert (await catalogue.search(instead)).object_ids[0] == "c"
    alone = Plan(user_query="blue red", terms=("hose",), form=Form.INSTEAD, own_weight=0.0)
    assert (await catalogue.search(alone)).object_ids == ("c",)


async def test_many_searches_at_once_answer_in_order_and_are_counted(catalogue: Catalogue) -> None:
    await catalogue.load(PRODUCTS)
    plans = [raw("hose"), raw("nothing"), raw("blue sofa")] * 30
    found = await catalogue.msearch(plans, purpose="verify")
    assert [r.object_ids[:1] for r in found] == [("c",), (), ("a",)] * 30
    assert found[0].documents == ()
    assert catalogue.limiter.counts == {"verify": 90}


@pytest.mark.parametrize("text", ['" OR title:*', "a AND (b", "x" * 512, "~^*?{}[]", "½ ünï 沙发"])
async def test_the_shoppers_words_are_never_query_syntax(catalogue: Catalogue, text: str) -> None:
    await catalogue.load(PRODUCTS)
    assert (await catalogue.search(plan(text, text, PlanSettings()))).total == 0


async def test_a_missing_index_is_a_failed_search_and_no_empty_page(catalogue: Catalogue) -> None:
    async with Catalogue(catalogue._settings.model_copy(update={"index": "missing-index"})) as other:
        with pytest.raises(SearchFailed):
            await other.search(raw("sofa"))
        with pytest.raises(SearchFailed):
            await other.msearch([raw("sofa")], purpose="verify")
        assert not await other.ready()
    assert await catalogue.ready()


async def test_an_existing_index_is_left_alone_unless_it_is_to_be_replaced(catalogue: Catalogue) -> None:
    await catalogue.load(PRODUCTS)
    assert not await catalogue.create_index()
    assert await catalogue.count() == 4
    assert await catalogue.create_index(replace=True)
    assert await catalogue.count() == 0


async def test_what_opensearch_refuses_is_named_with_its_reason(opensearch_url: str, tenant: str) -> None:
    async with Catalogue(settings_for(opensearch_url, tenant)) as own:
        await own.create_index()
        report = await own.load([*PRODUCTS, '{"id": "e", "title": {"not": "text"}}'])
    assert report.loaded == 4
    assert [(r.line_no, r.object_id) for r in report.rejected] == [(5, "e")]
    assert "title" in report.rejected[0].reason
