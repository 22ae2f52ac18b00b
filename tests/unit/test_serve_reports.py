"""Shops that search themselves: /rewrite says with what, /queries is told what was shown."""

import json
from typing import Any

import httpx
import pytest
from serve_client import gateway
from serve_fakes import CLICK, NOW_MS, QUERY_ID, SIGNER, KeptServed, World, verdict

from agent.serve import bodies
from agent.serve.known import OnTrial
from feedback.errors import Permanent
from feedback.records import Arm, CachedRewrite, Rewrite, Rung
from feedback.version_records import Trial


async def rewrite(http: httpx.AsyncClient, **more: object) -> dict[str, Any]:
    asked = {"user_query": "Couch", "client_id": "c1", "session_id": "s1", "size": 2, **more}
    answer = await http.post("/rewrite", json=asked)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def report(said: dict[str, Any], **more: object) -> dict[str, Any]:
    return {
        "query_id": said["query_id"],
        "client_id": "c1",
        "user_query": "couch",
        "query_response_hit_ids": ["new-1", "raw-1", "raw-2"],
        "timestamp": "2026-11-23T09:30:00Z",
        **more,
    }


async def test_a_page_that_the_shop_showed_becomes_an_impression_with_what_rewrite_said() -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        said = await rewrite(http)
        answer = await http.post("/queries", json=report(said))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    (shown,) = world.writer.impressions
    assert (shown.query_id, shown.user_query, shown.client_id) == (
        said["query_id"],
        "Couch",
        SIGNER.client("c1"),
    )
    assert (shown.session_id, shown.shown_at_ms, shown.arm) == (SIGNER.session("s1"), NOW_MS, Arm.STABLE)
    assert (shown.rung, shown.rewrite) == (Rung.VERIFIED, Rewrite(text="sofa"))
    assert shown.object_ids == ("new-1", "raw-1")  # the first page has two
    assert shown.raw_object_ids == ()
    assert world.catalogue.asked == []


async def test_the_page_of_a_raw_query_is_its_own_raw_list() -> None:
    world = World(verdict("couch", "sofa"), holdback_share=0.999)
    async with gateway(world) as http:
        said = await rewrite(http)
        await http.post("/queries", json={"queries": [report(said)]})
    (shown,) = world.writer.impressions
    assert (said["source"], shown.arm) == ("raw:holdback", Arm.HOLDBACK)
    assert shown.raw_object_ids == shown.object_ids == ("new-1", "raw-1")


async def test_nothing_is_tried_out_on_pages_that_cannot_be_drafted() -> None:
    world = World(verdict("couch", "", proposals=("settee",)), explore_share=0.999)
    async with gateway(world) as http:
        assert (await rewrite(http))["source"] == "raw:silent"


def trying(share: float, words: str = "bench") -> World:
    """Return a gateway with a trial whose versions' words, of the newer one these, are in the cache."""
    world = World()
    world.known.stable_version = 1
    trial = Trial(version=2, stable=1, share=share, began_at_ms=0)
    world.known.trial = OnTrial(trial=trial, gain=0.0)
    for version, text in ((1, "settee"), (2, words)):
        cached = CachedRewrite(rewrite=Rewrite(text=text, version=version), neighbours_seq=0)
        world.cache.canaries[version, "couch"] = cached
    return world


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize(("words", "trial"), [("bench", 2), ("", 2), ("Settee", 0)])
async def test_a_page_of_the_shop_s_counts_for_a_trial_where_the_versions_words_differ(
    share: float, words: str, trial: int
) -> None:
    world = trying(share, words)
    async with gateway(world) as http:
        said = await rewrite(http)
        await http.post("/queries", json=report(said))
    (shown,) = world.writer.impressions
    assert (said["version"], shown.arm) == ((2, Arm.CANARY) if share else (1, Arm.STABLE))
    assert (shown.trial, world.catalogue.asked) == (trial, [])


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_it_does_not_count_while_one_of_the_versions_must_be_asked(share: float) -> None:
    world = trying(share)
    del world.cache.canaries[2, "couch"]
    async with gateway(world) as http:
        said = await rewrite(http)
        await http.post("/queries", json=report(said))
    assert world.writer.impressions[0].trial == 0
    assert [ask.version for ask in world.rewriter.asked] == [2]


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_how_a_trial_s_versions_answer_the_shop_is_counted_for_the_brake(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = KeptServed()
    monkeypatch.setattr("agent.serve.searching.Served", lambda: served)
    world = trying(share)
    async with gateway(world) as http:
        await rewrite(http)
        world.rewriter.fails = True
        await rewrite(http, user_query="hose")
        world.rewriter.hold.clear()
        await rewrite(http, user_query="table", deadline_s=0.05)
        await rewrite(http, client_id="")  # in no arm
    arm = "canary" if share else "stable"
    counts = {"asked": 3, "live": 2, "failed": 1, "late": 1}
    assert served.counts(2) == {f"{arm}|{what}": n for what, n in counts.items()}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"query_id": "0b2c8e1e-uuid"}, "ask /rewrite"),
        ({"query_id": ""}, "ask /rewrite"),
        ({"query_id": QUERY_ID}, "forgotten"),
        ({"query_id": "01-forged"}, "must be one that"),
        ({"client_id": "c2"}, "client_id: is not whom"),
        ({"client_id": ""}, "client_id: missing"),
        ({"user_query": "hose"}, "user_query: is not what"),
        ({"user_query": 5}, "user_query"),
        ({"query_response_hit_ids": ["a", "a"]}, "names an object twice"),
        ({"query_response_hit_ids": ["x" * 513]}, "1 to 512 characters"),
        ({"query_response_hit_ids": "a"}, "query_response_hit_ids"),
        ({"timestamp": "2026-11-23T09:24:59Z"}, "before /rewrite was asked"),
        ({"timestamp": "2026-11-23T09:35:01Z"}, "in the future"),
        ({"timestamp": "yesterday"}, "timestamp"),
    ],
)
async def test_a_report_of_something_else_is_refused_and_the_others_are_taken(
    change: dict[str, object], why: str
) -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        said = await rewrite(http)
        answer = await http.post("/queries", json=[report(said, **change), report(said)])
    assert (answer.status_code, answer.json()["accepted"]) == (422, 1)
    assert answer.json()["refused"][0]["index"] == 0
    assert why in answer.json()["refused"][0]["reason"]
    assert len(world.writer.impressions) == 1


async def test_a_report_without_what_was_shown_says_nothing() -> None:
    world = World()
    async with gateway(world) as http:
        content = report(await rewrite(http))
        del content["query_response_hit_ids"]
        answer = await http.post("/queries", json=content)
    assert "query_response_hit_ids: missing" in answer.json()["detail"]


async def test_pages_of_search_are_not_reported_nor_those_of_nobody() -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        searched = (await http.post("/search", json={"user_query": "couch", "client_id": "c1"})).json()
        nobody = await rewrite(http, client_id="")
        answer = await http.post("/queries", json=[report(searched), report(nobody)])
    why = [one["reason"] for one in answer.json()["refused"]]
    assert "is of /search" in why[0]
    assert "without one" in why[1]


async def test_a_stream_that_is_away_is_a_503() -> None:
    world = World(verdict("couch", "sofa"))
    async with gateway(world) as http:
        said = await rewrite(http)
        world.writer.fails = True
        answer = await http.post("/queries", json=report(said))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/x-ndjson; charset=utf-8"])
async def test_lines_of_ndjson_are_events_and_a_bad_line_spoils_no_other(kind: str) -> None:
    world = World()
    lines = [json.dumps(CLICK), "", "{", json.dumps({**CLICK, "object_id": "p"})]
    async with gateway(world) as http:
        body = "\r\n".join(lines).encode()
        answer = await http.post("/events", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["accepted"]) == (422, 2)
    assert answer.json()["refused"][0]["index"] == 1
    assert "line: is no JSON" in answer.json()["refused"][0]["reason"]
    assert [event.object_id for event in world.writer.events] == ["o", "p"]


@pytest.mark.parametrize("path", ["/events", "/queries"])
async def test_a_batch_of_ndjson_has_1_to_1000_lines(path: str) -> None:
    world = World()
    async with gateway(world) as http:
        for body in (b"", b"\n\n", b"{}\n" * 1001):
            answer = await http.post(path, content=body, headers={"content-type": "application/x-ndjson"})
            assert answer.status_code == 422
            assert "1 to 1000" in answer.json()["detail"]


def test_too_many_lines_are_refused_before_any_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    monkeypatch.setattr(bodies, "_line", decoded.append)
    bodies.batch_of(b"a\n" * 1000, "application/x-ndjson", name="events")
    assert len(decoded) == 1000
    with pytest.raises(Permanent, match="1 to 1000"):
        bodies.batch_of(b"a\n" * 1001, "application/x-ndjson", name="events")
    assert len(decoded) == 1000


async def test_an_event_comes_alone_in_a_list_or_under_its_name() -> None:
    world = World()
    async with gateway(world) as http:
        for body in (CLICK, [CLICK], {"events": [CLICK]}):
            assert (await http.post("/events", json=body)).status_code == 202
    assert len(world.writer.events) == 3
