"""The gateway with everything behind it fake, and Redis away: what a shopper gets, whatever fails."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest
from serve_client import admin_port, ask, gateway
from serve_fakes import NOW_MS, RAW, SIGNER, FakeCatalogue, FakeRewriter, World, verdict
from typing_extensions import override

from agent.errors import SearchFailed
from agent.policy.plan import Plan
from agent.retrieval.results import Results
from agent.serve.arms import arm_of
from agent.serve.asking import Kind, LiveRewrites, RewriteAsk
from feedback.records import Arm, Band, CachedRewrite, LendingTerms, Rewrite, Rung, SamplePool


class HungCatalogue(FakeCatalogue):
    """Fails the first request and says nothing to the others."""

    @override
    async def msearch(self, plans: Sequence[Plan], **_: object) -> list[Results]:
        self.asked += [(plan, 0, 0, "") for plan in plans]
        if len(self.asked) > len(plans):
            await asyncio.Event().wait()
        raise SearchFailed("too slow")


async def test_a_verified_rewrite_is_searched_and_its_impression_holds_both_lists() -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        page = await ask(http, "  Couch ", session_id="s1", size=3)
    assert (page["rung"], page["source"], page["rewrite"]) == ("verified", "verified", "sofa")
    assert (page["user_query"], page["searched"], page["arm"]) == ("Couch", "Couch sofa", "stable")
    assert [(hit["object_id"], hit["ordinal"]) for hit in page["hits"]] == [
        ("new-1", 1),
        ("raw-1", 2),
        ("raw-2", 3),
    ]
    assert page["hits"][0]["document"] == {"title": "new-1"}
    (shown,) = world.writer.impressions
    assert shown.query_id == page["query_id"]
    assert shown.object_ids == ("new-1", "raw-1", "raw-2")
    assert shown.raw_object_ids == ("raw-1", "raw-2", "raw-3")
    assert shown.shown_at_ms == NOW_MS
    assert (shown.rung, shown.rewrite) == (Rung.VERIFIED, Rewrite(text="sofa"))
    assert (shown.client_id, shown.session_id) == (SIGNER.client("c1"), SIGNER.session("s1"))


async def test_a_raw_page_is_its_own_raw_list() -> None:
    world = World(verdict("couch", ""))
    async with gateway(world) as http:
        page = await ask(http, size=2)
    assert (page["rung"], page["source"], page["rewrite"]) == ("raw", "raw:silent", "")
    assert world.writer.impressions[0].object_ids == ("raw-1", "raw-2")
    assert world.writer.impressions[0].raw_object_ids == ("raw-1", "raw-2")


async def test_a_live_rewrite_in_time_is_served_with_its_version() -> None:
    world = World()
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["rung"], page["source"], page["rewrite"], page["version"]) == ("policy", "model", "sofa", 1)


async def test_past_the_deadline_the_raw_page_comes_and_the_rewrite_is_finished() -> None:
    world = World(deadline_s=0.02)
    world.rewriter.hold.clear()
    async with gateway(world) as http:
        page = await ask(http)
        assert (page["rung"], page["source"]) == ("raw", "raw:deadline")
        again = await ask(http)
        assert again["source"] == "raw:deadline"
        assert len(world.rewriter.asked) == 1  # the second waited for the first one's rewrite
        world.rewriter.hold.set()
        async with asyncio.timeout(5):
            while not world.rewriter.finished:
                await asyncio.sleep(0)
    assert world.rewriter.finished == 1


async def test_a_rewriter_that_fails_costs_the_rewrite_and_not_the_page() -> None:
    world = World()
    world.rewriter.fails = True
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["source"], len(page["hits"])) == ("raw:failed", 10)


async def test_a_cache_that_hangs_costs_the_deadline_and_not_the_page() -> None:
    world = World(deadline_s=0.02)
    world.cache.hangs = True
    world.rewriter.hold.clear()
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["source"], len(page["hits"])) == ("raw:deadline", 10)


async def test_a_cached_rewrite_answers_and_an_older_version_is_refreshed_behind_it() -> None:
    world = World()
    world.known.stable_version = 5
    world.cache.rewrites["couch"] = CachedRewrite(rewrite=Rewrite(text="settee", version=4))
    async with gateway(world) as http:
        page = await ask(http)
        assert (page["source"], page["rewrite"], page["version"]) == ("cache", "settee", 4)
        waits = await ask(http, deadline_s=5.0, purpose="evaluation")
    assert [one.kind for one in world.rewriter.asked] == [Kind.REFRESH, Kind.LIVE]
    assert (waits["source"], waits["rewrite"]) == ("model", "sofa")  # who waits gets today's answer


async def test_a_revoked_version_answers_nobody() -> None:
    world = World()
    world.known.revoked = frozenset({1, 4})
    world.cache.rewrites["couch"] = CachedRewrite(rewrite=Rewrite(text="settee", version=4))
    async with gateway(world) as http:
        page = await ask(http)
    assert page["source"] == "raw:revoked"
    assert ("couch", 0) in world.cache.forgot  # the next search looks whether it was written anew


async def test_a_version_that_gains_too_little_speaks_in_the_explore_arm_alone() -> None:
    world = World(min_policy_gain=0.01)
    world.cache.rewrites["couch"] = CachedRewrite(rewrite=Rewrite(text="settee", version=4))
    async with gateway(world) as http:
        world.known.policy_gain = 0.01
        assert (await ask(http))["source"] == "raw:unproven"
        assert not world.rewriter.asked
        world.known.policy_gain = 0.02
        assert (await ask(http))["source"] == "raw:unproven"  # the cached words are another version's
        world.known.stable_version = 4
        assert (await ask(http))["rewrite"] == "settee"
        world.known.revoked = frozenset({4})
        assert (await ask(http))["rung"] == "raw"


async def test_where_only_the_rewritten_search_is_refused_the_shops_own_is_answered() -> None:
    world = World(verdict("couch", "sofa"))
    world.catalogue.refuses = frozenset({"sofa"})
    async with gateway(world) as http:
        page = await ask(http)
        assert (page["rung"], page["source"]) == ("raw", "raw:refused")
        assert [hit["object_id"] for hit in page["hits"]] == list(RAW[:10])
        world.catalogue.refuses = frozenset({"sofa", ""})
        answer = await http.post("/search", json={"user_query": "couch", "client_id": "c1"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "OpenSearch refuses the search as it is: too odd"
    (shown,) = world.writer.impressions
    assert shown.object_ids == shown.raw_object_ids


async def test_only_opensearch_s_own_failure_is_an_error() -> None:
    world = World(verdict("couch", "sofa"))
    world.catalogue.fails = True
    async with gateway(world) as http:
        answer = await http.post("/search", json={"user_query": "couch", "client_id": "c1"})
    assert answer.status_code == 503
    assert answer.json() == {"error": "search_failed", "detail": "no shard is there"}
    assert answer.headers["Retry-After"] == "1"


async def test_all_searches_of_a_page_together_have_one_time_out() -> None:
    world = World(explore_share=0.999)
    opensearch = world.settings.opensearch.model_copy(update={"timeout_s": 0.1})
    world.settings = world.settings.model_copy(update={"opensearch": opensearch})
    world.cache.pools["couch"] = SamplePool(samples=(Rewrite(text="settee"),))
    world.catalogue = HungCatalogue()
    async with gateway(world) as http:
        answer = await http.post("/search", json={"user_query": "couch", "client_id": "c1"})
    assert (answer.status_code, answer.json()["error"]) == (503, "search_failed")
    assert answer.json()["detail"] == "OpenSearch gave no answer within 0.1 s"
    assert world.writer.impressions == []


async def test_holdback_clients_get_raw_whatever_is_known() -> None:
    world = World(verdict("couch", "sofa"), holdback_share=0.999)
    async with gateway(world) as http:
        page = await ask(http)
        judged = await ask(http, purpose="evaluation")
    assert (page["arm"], page["source"]) == ("holdback", "raw:holdback")
    assert (judged["arm"], judged["source"]) == ("stable", "verified")
    assert len(world.writer.impressions) == 1  # an evaluation is not shown to anybody


async def test_a_share_of_searches_for_a_verified_query_stays_raw() -> None:
    world = World(verdict("couch", "sofa"), raw_share=0.999)
    async with gateway(world) as http:
        page = await ask(http)
        judged = await ask(http, purpose="evaluation")
    assert (page["source"], judged["source"]) == ("raw:share", "verified")


async def test_a_query_with_few_searches_keeps_a_larger_raw_share() -> None:
    world = World(verdict("couch", "sofa", searches=30.0), raw_examinations=1e6, most_raw_share=0.999)
    async with gateway(world) as http:
        assert (await ask(http))["source"] == "raw:share"


async def test_pages_that_are_not_those_of_the_verdict_suspend_it_until_there_is_another() -> None:
    world = World(verdict("couch", "sofa", seq=7))
    async with gateway(world) as http:
        assert (await ask(http))["source"] == "verified"
        world.catalogue.raw = world.catalogue.raw[1:]  # a product is gone
        moved = await ask(http)
        assert (moved["rung"], moved["source"], moved["rewrite"]) == ("raw", "raw:moved", "")
        assert [hit["object_id"] for hit in moved["hits"]] == [f"raw-{i}" for i in range(2, 12)]
        assert (await ask(http))["source"] == "raw:suspended"
        assert (await ask(http, purpose="evaluation"))["source"] == "raw:suspended"
        world.known.index.put("all|couch", verdict("couch", "sofa", seq=8, fingerprint=""))
        assert (await ask(http))["source"] == "verified"
    assert [one.source for one in world.writer.impressions][:3] == ["verified", "raw:moved", "raw:suspended"]
    assert world.writer.impressions[1].object_ids == world.writer.impressions[1].raw_object_ids


async def test_pages_are_compared_only_where_they_can_be() -> None:
    world = World(verdict("couch", "sofa"))
    world.catalogue.raw = world.catalogue.raw[1:]
    async with gateway(world) as http:
        assert (await ask(http, size=9))["source"] == "verified"  # not as deep as the verdict
        assert (await ask(http, query="Couch"))["source"] == "verified"  # verified as "couch"
        assert (await ask(http, size=20))["source"] == "raw:moved"


async def test_the_explore_arm_draws_from_the_pool_and_interleaves() -> None:
    world = World(explore_share=0.999)
    drawn = Rewrite(text="sofa", token_ids=(1, 2), token_logprobs=(-0.5, -0.1), version=3, made_at_ms=9)
    world.cache.pools["couch"] = SamplePool(samples=(drawn,))
    async with gateway(world) as http:
        page = await ask(http, size=4)
        further = await ask(http, size=4, offset=4, client_id="c2")  # whose first page is not known
    assert (page["arm"], page["source"], page["rewrite"]) == ("explore", "explore", "sofa")
    assert further["source"] == "raw:further_page"
    (shown,) = world.writer.impressions
    assert shown.rewrite == drawn
    assert shown.arm is Arm.EXPLORE
    assert set(shown.object_ids[:2]) == {"new-1", "raw-1"}
    assert len(shown.teams) == 4
    assert shown.teams[shown.object_ids.index("new-1")] == "rewrite"
    assert shown.teams[shown.object_ids.index("raw-1")] == "both"  # ranks 1 and 2


async def test_the_explore_arm_shows_what_shoppers_proposed_and_lacks_evidence() -> None:
    world = World(verdict("couch", "", proposals=("settee",)), explore_share=0.999)
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["source"], page["rewrite"]) == ("explore", "settee")


async def test_the_explore_arm_tries_out_what_judged_queries_would_lend_before_it_is_known_to_pay() -> None:
    near = verdict("red couch", "sofa", wanted=(("new-1", 0.9),))
    for own in ((), (verdict("couch", "settee"),)):  # also where the query is judged: it tells of loans
        world = World(near, *own, explore_share=0.999)
        world.known.index.terms = LendingTerms()
        async with gateway(world) as http:
            page = await ask(http)
        assert (page["source"], page["rewrite"]) == ("explore", "sofa red")
        draw = world.writer.impressions[0].draw
        assert draw is not None
        assert [(one.text, one.probability, one.token_ids) for one in draw.choices] == [
            ("sofa red couch", 1.0, ())
        ]


async def test_a_draw_says_how_likely_each_page_was() -> None:
    world = World(verdict("couch", "", proposals=("settee",)), explore_share=0.999)
    texts = ("sofa", "Sofa", "couch", "")  # two that find one page, two that are the raw query
    samples = tuple(Rewrite(text=t, token_ids=(i,), token_logprobs=(-1.0, -0.5)) for i, t in enumerate(texts))
    pool = SamplePool(samples=samples, examples=(("bed", ""),), base_model="m", prompt_version="v")
    world.cache.pools["couch"] = pool
    world.catalogue.found["settee"] = ("new-2",)
    async with gateway(world) as http:
        pages = [await ask(http, size=3) for _ in range(2)]
    first, second = (one.draw for one in world.writer.impressions)
    assert first is not None
    assert second is not None
    assert [choice.text for choice in first.choices] == ["settee", *texts]
    assert [choice.probability for choice in first.choices] == [0.5] + 4 * [0.125]
    assert [choice.page for choice in first.choices] == [1, 2, 2, 0, 0]
    assert [choice.logprob for choice in first.choices] == [0.0] + 4 * [-1.5]
    assert (first.examples, first.base_model, first.prompt_version) == ((("bed", ""),), "m", "v")
    assert first.choices[first.taken].text == world.writer.impressions[0].rewrite.text  # type: ignore[union-attr]
    assert first.object_ids[0] == {0: "raw-1", 1: "new-2", 2: "new-1"}[first.choices[first.taken].page]
    assert len(world.catalogue.asked) <= 3 + 2  # three lists the first time, raw and the drawn one the second
    assert {page["source"] for page in pages} <= {"explore", "raw:silent"}


async def test_where_the_other_lists_cannot_be_had_the_shopper_still_gets_a_page() -> None:
    world = World(verdict("couch", "", proposals=("settee", "sofa")), explore_share=0.999)
    world.catalogue.most = 2
    async with gateway(world) as http:
        page = await ask(http, size=3)
    assert page["hits"]
    assert world.writer.impressions[0].draw is None


async def test_without_a_pool_the_explore_arm_climbs_the_ladder_and_asks_for_samples() -> None:
    world = World(verdict("couch", "sofa"), explore_share=0.999)
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["arm"], page["source"]) == ("explore", "verified")
    assert [one.kind for one in world.rewriter.asked] == [Kind.POOL]


async def test_an_older_version_s_pool_is_drawn_from_and_made_anew() -> None:
    world = World(explore_share=0.999)
    world.cache.pools["couch"] = SamplePool(samples=(Rewrite(text="settee", version=1),))
    world.known.stable_version = 1
    async with gateway(world) as http:
        assert (await ask(http))["rewrite"] == "settee"
        assert not world.rewriter.asked
        world.known.stable_version = 2
        assert (await ask(http))["rewrite"] == "settee"
    assert [one.kind for one in world.rewriter.asked] == [Kind.POOL]


async def test_requests_for_pools_leave_room_for_live_ones() -> None:
    client = FakeRewriter()
    client.hold.clear()
    live = LiveRewrites(client, most=2)
    for query in ("one", "two", "three"):
        live.start(RewriteAsk(query=query, kind=Kind.POOL))
    assert live.start(RewriteAsk(query="four", kind=Kind.POOL)) is None
    assert live.start(RewriteAsk(query="four", kind=Kind.LIVE)) is not None
    await live.close()


async def test_a_further_page_continues_the_verified_list_and_makes_no_impression() -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        page = await ask(http, size=2, offset=2)
        unknown = await ask(http, "hose", offset=10)
    assert [(hit["object_id"], hit["ordinal"]) for hit in page["hits"]] == [("raw-2", 3), ("raw-3", 4)]
    assert unknown["source"] == "raw:further_page"
    assert world.writer.impressions == []


async def test_a_rewrite_of_the_query_s_own_words_is_the_raw_query() -> None:
    world = World()
    world.rewriter.text = "couch couch"
    async with gateway(world) as http:
        page = await ask(http)
    assert (page["rung"], page["source"], page["version"]) == ("raw", "raw:silent", 1)
    assert world.writer.impressions[0].rewrite == Rewrite(text="couch couch", version=1)


async def test_neighbours_stand_in_the_prompt_those_without_a_rewrite_too() -> None:
    world = World(verdict("red couch cover", ""), verdict("hose", "pipe"))
    async with gateway(world) as http:
        await ask(http, "couch")
    assert world.rewriter.asked[0].examples == (("red couch cover", ""),)


async def test_rewrite_says_what_would_be_searched_and_searches_nothing() -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        answer = (await http.post("/rewrite", json={"user_query": "couch"})).json()
    assert {key: answer[key] for key in ("searched", "rewrite", "form", "rung", "source", "version")} == {
        "searched": "couch sofa",
        "rewrite": "sofa",
        "form": "add",
        "rung": "verified",
        "source": "verified",
        "version": 0,
    }
    assert world.catalogue.asked == []


async def test_readyz_names_what_is_missing() -> None:
    world = World()
    world.rewriter.fails = True
    async with gateway(world) as http:
        assert (await http.get("/healthz")).status_code == 200
        missing = await http.get("/readyz")
        assert (missing.status_code, missing.json()["missing"]) == (503, ["redis", "rewriter"])
        enough = await http.get("/readyz", params={"needs": "opensearch"})
        assert (enough.status_code, enough.json()["missing"]) == (200, [])


async def test_readyz_refuses_a_need_that_it_does_not_know() -> None:
    async with gateway(World()) as http:
        assert (await http.get("/readyz", params={"needs": "opensaerch"})).status_code == 422


async def test_a_query_that_grows_past_the_limit_in_keys_is_refused() -> None:
    async with gateway(World()) as http:
        answer = await http.post("/search", json={"user_query": "\ufdfa" * 29})  # 18 characters each
    assert answer.status_code == 422


@pytest.mark.parametrize("text", ["\ud800 sofa", "sofa " * 10_000], ids=["a lone surrogate", "no end"])
async def test_what_a_model_wrote_that_is_no_text_is_the_raw_query_and_stops_nothing(text: str) -> None:
    world = World()
    world.rewriter.text = text
    async with gateway(world) as http:
        page = await ask(http)
        assert page["source"] == "raw:failed"
        await world.impressions.flush()
        assert (await http.get("/healthz")).status_code == 200
    (shown,) = world.writer.impressions
    assert shown.rewrite is None


async def test_metrics_count_searches_by_arm_rung_and_source() -> None:
    world = World(verdict("couch", "sofa"))
    line = 'unseen_searches_total{arm="stable",purpose="search",rung="verified",source="verified"}'

    async def count(http: httpx.AsyncClient) -> float:
        lines = (await http.get("/metrics")).text.splitlines()
        return sum(float(one.rpartition(" ")[2]) for one in lines if one.startswith(line))

    async with gateway(world) as http, admin_port(world) as admin:
        before = await count(admin)
        await ask(http)
        assert await count(admin) == before + 1


async def test_openapi_has_examples_for_every_request() -> None:
    async with admin_port(World()) as http:
        paths = (await http.get("/openapi.json")).json()
    schemas = paths["components"]["schemas"]
    assert schemas["SearchRequest"]["examples"]
    assert schemas["RewriteRequest"]["examples"]
    for path, examples in (("/events", {"ubi", "flat"}), ("/queries", {"ubi"})):
        body = paths["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert set(body["examples"]) == examples
        assert "$ref" not in str(body)


@pytest.mark.parametrize("client", ["a", "b", "c"])
async def test_the_arm_is_the_client_s(client: str) -> None:
    world = World(holdback_share=0.4)
    async with gateway(world) as http:
        page = await ask(http, client_id=client)
    assert page["arm"] == arm_of(SIGNER.client(client), "default", world.settings.serve).value


async def test_a_client_s_searches_of_a_query_explore_together_and_say_how_likely_that_was() -> None:
    world = World(explore_share=0.3)
    world.popularity.asked["hose"] = 1000.0
    world.popularity.asked["rake"] = None
    clients = [f"c{i}" for i in range(40)]
    async with gateway(world) as http:
        arms = [[(await ask(http, client_id=c))["arm"] for c in clients] for _ in range(2)]
        await ask(http, "hose")
        unknown = await ask(http, "rake", client_id="c2")
    assert arms[0] == arms[1]
    assert 3 < arms[0].count("explore") < 22  # 12 expected, standard deviation 2.9
    shown = world.writer.impressions
    assert all(page.band is Band.TAIL for page in shown[:80])
    assert all(page.chance == pytest.approx(0.3) for page in shown[:80])
    assert shown[80].band is Band.HEAD
    assert shown[80].chance < 0.05
    assert (unknown["arm"], shown[81].band, shown[81].chance) == ("stable", None, 0.0)


async def test_a_live_rewrite_that_the_clicks_around_do_not_speak_for_is_not_served() -> None:
    world = World(verdict("couch red", "", wanted=((RAW[0], 1.0),)))
    async with gateway(world) as http:
        refused = await ask(http, "couch rad")
        free = await ask(http, "hose")
    assert (refused["rung"], refused["source"], refused["version"]) == ("raw", "raw:not_held", 1)
    assert (free["rung"], free["source"]) == ("policy", "model")
