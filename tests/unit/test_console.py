"""The console: its tables and curves, and who may reach and change what."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from keyed_gateway import bearer
from redis.exceptions import ResponseError
from serve_fakes import NOW_MS, World, verdict
from starlette.routing import Route
from typing_extensions import override

from agent.console import add_console
from agent.console.bodies import TryBody
from agent.console.crowds import public
from agent.console.files import FOLDER, read_files
from agent.console.health import faults
from agent.console.queries import JudgedQueries, Wanted, row, table
from agent.console.trying import Trying
from agent.sections import Scope
from agent.serve.gateway import make_app
from agent.serve.scopes import NEEDS, Free
from agent.watching.curves import LATELY, Curves, Sample, curve, lift_over_raw, sample_of
from feedback.collecting.counts import parse_counts
from feedback.evidence.crowds import CrowdReader
from feedback.evidence.neighbours import VerifiedIndex
from feedback.records import CachedRewrite, Rewrite, Verified
from feedback.vitals import Vitals

KEY, SHOP_KEY = "a-key-for-the-console-0001", "a-key-for-the-whole-shop-1"
KEYED = {"server_keys": [SHOP_KEY], "keys": {"ops": {"key": KEY, "scopes": ["admin"]}}}
OURS = {"x-unseen-console": "1"}
PAUSE = {"what": "learning", "why": "a look at it"}
CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("promote", {"version": 2, "serving": 1, "why": "a good one"}),
    ("roll_back", {"serving": 1, "why": "a bad one"}),
    ("pause", PAUSE),
    ("resume", PAUSE),
    ("did", {"action": "click", "query_id": "q", "object_id": "o", "shopper": "console-0123456789"}),
]


@asynccontextmanager
async def console(world: World) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(world.parts)
    add_console(app, world.parts)
    transport = httpx.ASGITransport(app=app.state.admin, client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as http:
        yield http
    await world.state.aclose()


def test_each_route_of_the_console_is_for_admins_but_its_files() -> None:
    world = World()
    app = make_app(world.parts)
    before = len(app.state.admin.router.routes)
    add_console(app, world.parts)
    added = [one for one in app.state.admin.router.routes[before:] if isinstance(one, Route)]
    needs = {one.path: NEEDS.get(one.name) for one in added}
    files = {"/console", "/console/", "/console/{name}", "/console/door.json"}
    assert {path for path, need in needs.items() if need is Free.PAGE} == files
    assert {need for path, need in needs.items() if path not in files} == {Scope.ADMIN}
    assert len(needs) == len(app.state.admin.router.routes) - before


async def test_without_an_admin_key_the_page_is_there_and_nothing_of_the_shop() -> None:
    async with console(World(access=KEYED)) as http:
        page = await http.get("/console/")
        assert page.status_code == 200
        assert (await http.get("/console/door.json")).json() == {"keyed": True}
        for key in ({}, bearer(SHOP_KEY)):
            assert (await http.get("/console/api/queries", headers=key)).status_code == 401
            assert (await http.post("/console/api/pause", headers=OURS | key, json=PAUSE)).status_code == 401
        assert (await http.get("/console/api/who", headers=bearer(KEY))).json()["name"] == "ops"


@pytest.mark.parametrize(("route", "body"), CHANGES)
async def test_nothing_changes_without_a_key_though_the_port_is_open(
    route: str, body: dict[str, Any]
) -> None:
    async with console(World()) as http:
        assert (await http.get("/console/api/who")).json()["acts"] is False
        answer = await http.post(f"/console/api/{route}", headers=OURS, json=body)
        assert (answer.status_code, "access.keys" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize(("route", "body"), [*CHANGES, ("try", {"user_query": "couch"})])
@pytest.mark.parametrize("headers", [{}, {**OURS, "sec-fetch-site": "cross-site"}])
async def test_no_other_page_in_the_browser_can_have_anything_changed(
    route: str, body: dict[str, Any], headers: dict[str, str]
) -> None:
    async with console(World(access=KEYED)) as http:
        answer = await http.post(f"/console/api/{route}", headers=headers | bearer(KEY), json=body)
        assert (answer.status_code, "own page" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize("body", [{"what": "learning"}, {"what": "learning", "why": "  x "}])
async def test_a_change_needs_a_reason(body: dict[str, str]) -> None:
    async with console(World(access=KEYED)) as http:
        answer = await http.post("/console/api/pause", headers=OURS | bearer(KEY), json=body)
        assert (answer.status_code, answer.json()["detail"][:3]) == (422, "why")


async def test_browsers_run_the_consoles_own_files_alone_and_cache_no_answer() -> None:
    async with console(World()) as http:
        for name in ("", *read_files()):
            answer = await http.get(f"/console/{name}")
            assert answer.status_code == 200
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await http.get("/console/nothing.js")).status_code == 404
        again = await http.get("/console/app.js", headers={"if-none-match": read_files()["app.js"].tag})
        assert (again.status_code, again.content) == (304, b"")
        assert (await http.get("/console/api/who")).headers["cache-control"] == "no-store"


def test_no_file_of_the_page_takes_html_or_names_another_place() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "http:",
            "https:",
            " style=",
        ):
            assert word not in text, f"{path.name}: {word}"


async def test_redis_away_is_said() -> None:
    async with console(World()) as http:
        answer = await http.get("/console/api/versions")
        assert (answer.status_code, answer.json()["error"]) == (503, "store_away")
        told = (await http.get("/console/api/health")).json()
        assert (told["ready"], told["needs"]["redis"]) == (False, False)


async def test_trying_a_query_leaves_no_page_and_shows_both() -> None:
    world = World(verdict("couch", "sofa"))
    async with console(world) as http:
        told = (await http.post("/console/api/try", headers=OURS, json={"user_query": "couch"})).json()
        await asyncio.sleep(0)
    assert (told["rewrite"], told["rung"], told["query_id"]) == ("sofa", "verified", None)
    assert told["shown"][0] == {"rank": 1, "object_id": "new-1", "title": "new-1", "other_rank": None}
    assert told["shown"][1]["other_rank"] == 1
    assert [one["object_id"] for one in told["raw"][:2]] == ["raw-1", "raw-2"]
    assert {purpose for *_, purpose in world.catalogue.asked} == {"console"}
    assert world.writer.impressions == []


async def test_as_a_shopper_page_and_click_count_under_a_pseudonym() -> None:
    world = World(verdict("couch", "sofa"), access=KEYED)
    shopper = "console-0123456789ab"
    app = make_app(world.parts)
    add_console(app, world.parts)
    transport = httpx.ASGITransport(app=app.state.admin, client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8001", headers=OURS | bearer(KEY)
    ) as http:
        body = {"user_query": "couch", "shopper": shopper}
        told = (await http.post("/console/api/try", json=body)).json()
        did = {"action": "purchase", "query_id": told["query_id"], "object_id": "new-1", "shopper": shopper}
        assert (await http.post("/console/api/did", json=did)).status_code == 202
        foreign = {**did, "query_id": "00-not-ours"}
        assert (await http.post("/console/api/did", json=foreign)).status_code == 422
        assert (await http.post("/console/api/try", json={**body, "shopper": "ann"})).status_code == 422
        await world.impressions.flush()
    (page,), (event,) = world.writer.impressions, world.writer.events
    assert page.application == "console"
    assert page.query_id == event.query_id == told["query_id"]
    assert page.client_id == event.client_id != shopper
    assert event.action_name.value == "purchase"
    await world.state.aclose()


def test_the_table_sorts_searches_and_cuts() -> None:
    gains = {"red sofa": 0.3, "blue sofa": -0.2, "lamp": 0.1}
    all_ = [verdict_with(query, "word", gain) for query, gain in gains.items()]
    all_ += [verdict_with("quiet", "", 0.0), verdict_with("open", "", 0.0, settled=False)]
    worst = table(all_, Wanted())
    assert [one["query"] for one in worst["rows"]] == ["blue sofa", "lamp", "red sofa"]
    best = table(all_, Wanted(descending=True, size=2, page=2))
    assert ([one["query"] for one in best["rows"]], best["pages"], best["total"]) == (["blue sofa"], 2, 3)
    assert [one["query"] for one in table(all_, Wanted(search="SOFA ", sort="query"))["rows"]] == [
        "blue sofa",
        "red sofa",
    ]
    assert table(all_, Wanted(page=9))["page"] == 1
    assert [one["query"] for one in table(all_, Wanted(verdict="silent"))["rows"]] == ["quiet"]
    assert [one["query"] for one in table(all_, Wanted(verdict="open"))["rows"]] == ["open"]
    assert table(all_, Wanted(verdict="all"))["total"] == 5


def verdict_with(query: str, text: str, gain: float, **more: Any) -> Verified:  # noqa: ANN401
    return msgspec.structs.replace(verdict(query, text), gain=gain, **more)


def test_a_row_bounds_the_gain() -> None:
    told = row(verdict_with("couch", "sofa", 0.1, gain_sd=0.05))
    assert (told["low"], told["high"]) == (pytest.approx(0.002), pytest.approx(0.198))  # 1.96 deviations


class Crowds(CrowdReader):
    """Hides what a test says, and counts the looks."""

    def __init__(self, *hidden: str) -> None:
        self.hidden = set(hidden)
        self.looks: list[int] = []

    @override
    async def visible(self, names: Any) -> set[str]:
        names = list(names)
        self.looks.append(len(names))
        return set(names) - self.hidden


async def test_what_few_asked_is_neither_shown_nor_found_nor_counted() -> None:
    index = VerifiedIndex()
    for query in ("couch", "john doe"):
        index.put(f"all|{query}", verdict(query, "sofa"))
    world = World()
    judged = JudgedQueries(index, Crowds("all|john doe"), world.settings)
    assert (await judged.page(Wanted()))["total"] == 1
    assert (await judged.page(Wanted(search="john")))["total"] == 0
    assert await judged.may_show("Couch ")
    assert not await judged.may_show("John DOE")
    await world.state.aclose()


async def test_ten_thousand_rows_are_put_together_once_for_many_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.console.queries.FRESH_S", 20.0)  # however slow the machine is
    index, crowds, world = VerifiedIndex(), Crowds(), World()
    for n in range(10_000):
        index.put(f"all|query {n}", verdict(f"query {n}", "word"))
    judged = JudgedQueries(index, crowds, world.settings)
    told = [await judged.page(Wanted(page=page, size=50)) for page in range(1, 6)][-1]
    assert (len(told["rows"]), told["total"], told["pages"]) == (50, 10_000, 200)
    assert crowds.looks == [10_000]
    index.put("all|query x", verdict("query x", "word"))
    await judged.page(Wanted())
    assert crowds.looks == [10_000]  # what changed waits a moment
    await world.state.aclose()


async def test_after_a_change_only_new_queries_are_asked_for_and_all_of_them_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.console.queries.FRESH_S", 0.0)
    monkeypatch.setattr("agent.console.queries.LOOKED_S", 3600.0)
    index, crowds, world = VerifiedIndex(), Crowds("all|john doe"), World()
    for query in ("couch", "john doe", "lamp"):
        index.put(f"all|{query}", verdict(query, "word"))
    judged = JudgedQueries(index, crowds, world.settings)
    assert (await judged.page(Wanted()))["total"] == 2
    index.put("all|couch", verdict("couch", "sofa"))
    index.put("all|rug", verdict("rug", "carpet"))
    index.put("all|lamp", None)
    told = await judged.page(Wanted(sort="query"))
    assert {one["query"]: one["text"] for one in told["rows"]} == {"couch": "sofa", "rug": "carpet"}
    assert crowds.looks == [3, 1]
    crowds.hidden = {"all|rug"}
    monkeypatch.setattr("agent.console.queries.LOOKED_S", 0.0)
    rows = (await judged.page(Wanted(sort="query")))["rows"]
    assert [one["query"] for one in rows] == ["couch", "john doe"]
    assert crowds.looks == [3, 1, 3]
    await world.state.aclose()


@pytest.mark.parametrize(("kind", "part"), [("nearest", "lenders"), ("policy", "prompt")])
async def test_who_lent_words_is_named_only_where_enough_asked_it(kind: str, part: str) -> None:
    entries = [{"query": query, "text": "sofa", "similarity": 0.7} for query in ("grey couch", "John Doe")]
    told = await public({"kind": kind, part: entries}, Crowds("all|john doe"))
    assert told == {"kind": kind, part: entries[:1], "unnamed": 1}
    assert await public({"kind": "raw"}, Crowds()) == {"kind": "raw"}


async def test_try_names_no_lender_that_few_asked() -> None:
    world = World(verdict("grey couch", "sofa"), verdict("couch grey", "sofa"))
    world.cache.rewrites["couch greys"] = CachedRewrite(rewrite=Rewrite(text="sofa", version=0))
    hidden = Crowds("all|couch grey")
    app = make_app(world.parts)
    told = await Trying(app, world.parts, hidden).search(TryBody(user_query="couch greys"))
    assert told["origin"]["kind"] == "policy"
    assert [one["query"] for one in told["origin"]["prompt"]] == ["grey couch"]
    assert "couch grey" not in json.dumps(told["origin"])
    assert told["origin"]["unnamed"] == 1
    await world.state.aclose()


def arms(**counted: tuple[int, int, int]) -> dict[str, tuple[int, int, int]]:
    return counted


def test_lift_is_of_all_outside_holdback_over_those_in_it() -> None:
    told = lift_over_raw(
        arms(holdback=(100, 20, 0), stable=(300, 80, 0), explore=(100, 20, 0), log=(0, 99, 0))
    )
    assert told is not None
    assert told["mean"] == pytest.approx(0.25)  # 100 clicks of 400 pages over 20 of 100
    # log(1.25) +- 1.96 sqrt(1/100 + 1/20)
    assert told["low"] == pytest.approx(-0.2265, abs=1e-3)
    assert told["high"] == pytest.approx(1.0201, abs=1e-3)


def test_few_clicks_say_nothing_of_a_lift() -> None:
    assert lift_over_raw(arms(holdback=(100, 9, 0), stable=(100, 50, 0))) is None
    assert lift_over_raw(arms(stable=(100, 50, 0))) is None


def test_a_rate_is_of_the_last_samples_and_a_long_curve_keeps_its_end() -> None:
    samples = [Sample(at_ms=n, arms=arms(stable=(10 * n, min(50, n), 0))) for n in range(101)]
    points = curve(samples, shown=20)
    assert [one["at_ms"] for one in points[-2:]] == [94, 100]  # every sixth
    assert points[-1]["click_through"] == {"stable": 0.0}  # none of the last 20 samples' 200 pages
    middle = next(one for one in points if one["at_ms"] == 40)
    assert middle["click_through"]["stable"] == pytest.approx(LATELY / (10 * LATELY))
    assert points[0]["click_through"] == curve(samples[:5], shown=1)[0]["click_through"]


@pytest.mark.parametrize("error", ["MISCONF", "READONLY"])
async def test_a_store_that_takes_no_samples_ends_nothing(
    error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, stop, asked = World(), asyncio.Event(), 0
    curves = Curves(world.state, world.settings.keys, world.clock)

    async def sample() -> None:
        nonlocal asked
        asked += 1
        stop.set()
        raise ResponseError(f"{error} it takes no writes")

    monkeypatch.setattr(curves, "sample", sample)
    await curves.run(stop)
    assert asked == 1
    await world.state.aclose()


def test_a_sample_counts_by_arm() -> None:
    fields = [
        ("impressions|stable|raw", "3"),
        ("impressions|stable|rewritten", "4"),
        ("clicks|holdback|raw", "2"),
        ("would|verified", "5"),
    ]
    said = Vitals(of={"learner": {"reward_mean": "nan"}, "verifier": {"serving": "7"}})
    assert sample_of(parse_counts(fields), said, NOW_MS) == Sample(
        at_ms=NOW_MS,
        arms=arms(stable=(7, 0, 0), holdback=(0, 2, 0)),
        would={"verified": 5},
        reward=None,
        verified=7.0,
    )


def test_each_fault_is_said_and_none_where_all_is_well() -> None:
    well = {"silent": [], "dead_letters": 0, "memory_share": 0.2, "shed": 0}
    gateways = {"one": {"templates": "fit"}, "two": {"templates": "unchecked"}}
    speaks = {"gateway": {"pulse": "1"}, "collector": {}, "learner": {"version": "1"}}
    assert faults({"redis": True}, Vitals(of=speaks), well, {}) == []
    (unchecked,) = faults({"redis": True}, Vitals(of=speaks, each={"gateway": gateways}), well, {})
    assert "not held against the index yet" in unchecked  # by one of the two
    ill = {"silent": ["collector"], "dead_letters": 2, "memory_share": 0.95, "shed": 1}
    said = faults({"opensearch": False}, Vitals(of={"learner": {}}), ill, {"releases": object()})
    assert said == [
        "opensearch does not answer",
        "the collector does not speak",
        "the learner does not speak",
        "releases is paused",
        "2 dead letters: unseen dead list",
        "Redis has used 95% of its memory",
        "1 records were shed since the store began: unseen_shed_total says which",
    ]
