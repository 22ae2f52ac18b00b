"""A search with what its session asked before: in the prompt, in the cache, and never in the way."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from serve_client import ask, gateway
from serve_fakes import NOW_MS, SIGNER, World, verdict
from typing_extensions import override

from agent.sections import PolicySettings
from agent.serve.asking import Kind
from agent.serve.choice import Asked
from agent.serve.histories import Histories
from agent.serve.metrics import HISTORIES
from feedback.collecting.sessions import SessionEntry
from feedback.records import Arm, CachedRewrite, Earlier, Rewrite

BEFORE = (Earlier("couch", clicked=True), Earlier("lounge"))


def entry(kind: str, query: str, ago_ms: int) -> tuple[bytes, float]:
    one = SessionEntry(
        cast("Any", kind), "all", query, Arm.STABLE, unshaped=True, query_id=f"{query}-{ago_ms}"
    )
    return msgspec.json.encode(one), float(NOW_MS - ago_ms)


NEWEST_FIRST = [entry("q", "lounge", 10_000), entry("c", "couch", 19_000), entry("q", "couch", 20_000)]


class Sessions:
    """A Redis that holds one session's entries; counts how often it was asked."""

    def __init__(self, entries: Sequence[tuple[bytes, float]], error: Exception | None = None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._entries = entries
        self._error = error

    async def zrange(self, key: str, start: int, end: int, **_: object) -> list[tuple[bytes, float]]:
        self.asked.append((key, start, end))
        if self._error:
            raise self._error
        return list(self._entries)


def histories(world: World, sessions: Sessions) -> Histories:
    return Histories(cast("Redis", sessions), world.settings)


def world_with(*entries: tuple[bytes, float], history: int = 3, **serve: Any) -> tuple[World, Sessions]:  # noqa: ANN401
    """Return a world whose gateway knows a session."""
    world = World(**serve)
    world.settings = world.settings.model_copy(update={"policy": PolicySettings(history=history)})
    return world, Sessions(entries or NEWEST_FIRST)


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    """Let gateways read sessions from a stand-in."""

    def remember(sessions: Sessions) -> None:
        monkeypatch.setattr(
            "agent.serve.gateway.Histories", lambda _, settings: Histories(cast("Redis", sessions), settings)
        )

    return remember


def counted(outcome: str) -> float:
    return float(HISTORIES.labels(outcome=outcome)._value.get())


async def test_the_policy_is_asked_with_what_the_session_asked_before(remembering: Any) -> None:  # noqa: ANN401
    world, sessions = world_with(deadline_s=5.0)
    remembering(sessions)
    async with gateway(world) as http:
        page = await ask(http, "settee", session_id="s1")
    assert (page["source"], page["rewrite"]) == ("model", "sofa")
    assert [one.history for one in world.rewriter.asked] == [BEFORE]
    (shown,) = world.writer.impressions
    assert shown.history == BEFORE
    assert [key for key, *_ in sessions.asked] == [
        world.settings.keys.session(SIGNER.client("c1"), SIGNER.session("s1"))
    ]


@pytest.mark.parametrize(("history", "session_id"), [(0, "s1"), (3, "")])
async def test_without_the_setting_or_a_session_nothing_is_read_and_nothing_is_other_than_before(
    remembering: Any,  # noqa: ANN401
    history: int,
    session_id: str,
) -> None:
    world, sessions = world_with(history=history, deadline_s=5.0)
    remembering(sessions)
    async with gateway(world) as http:
        await ask(http, "settee", session_id=session_id)
    assert sessions.asked == []
    assert [one.history for one in world.rewriter.asked] == [()]
    assert world.writer.impressions[0].history == ()


async def test_a_verified_rewrite_stays_the_query_s_alone(remembering: Any) -> None:  # noqa: ANN401
    world, sessions = world_with(deadline_s=5.0)
    remembering(sessions)
    world.known.index.put("all|settee", verdict("settee", "bench"))
    async with gateway(world) as http:
        page = await ask(http, "settee", session_id="s1")
    assert page["source"] == "verified"
    assert sessions.asked == []


async def test_words_of_another_history_do_not_answer_and_words_of_its_own_do(remembering: Any) -> None:  # noqa: ANN401
    world, sessions = world_with(deadline_s=5.0)
    remembering(sessions)
    world.cache.rewrites["couch+ > lounge+ > settee"] = CachedRewrite(
        rewrite=Rewrite(text="other", version=1)
    )
    async with gateway(world) as http:
        assert (await ask(http, "settee", session_id="s1"))["source"] == "model"
        world.cache.rewrites["couch+ > lounge- > settee"] = CachedRewrite(
            rewrite=Rewrite(text="own", version=1)
        )
        page = await ask(http, "settee", session_id="s1")
    assert (page["source"], page["rewrite"]) == ("cache", "own")


async def test_until_there_are_words_for_the_session_those_for_the_query_stand_in(remembering: Any) -> None:  # noqa: ANN401
    world, sessions = world_with(deadline_s=0.05)
    remembering(sessions)
    world.cache.rewrites["settee"] = CachedRewrite(rewrite=Rewrite(text="plain", version=1))
    async with gateway(world) as http:
        page = await ask(http, "settee", session_id="s1")
        assert (page["source"], page["rewrite"]) == ("cache", "plain")
        waits = await ask(http, "settee", session_id="s1", deadline_s=5.0, purpose="evaluation")
    assert (waits["source"], waits["rewrite"]) == ("model", "sofa")
    asked = [(one.kind, one.history) for one in world.rewriter.asked]
    assert asked == [(Kind.REFRESH, BEFORE), (Kind.LIVE, BEFORE)]


@pytest.mark.parametrize("error", [RedisConnectionError("away"), OSError("no route")])
async def test_a_store_that_fails_costs_the_history_and_not_the_page(
    remembering: Any,  # noqa: ANN401
    error: Exception,
) -> None:
    world, _ = world_with(deadline_s=5.0)
    remembering(Sessions((), error))
    failed = counted("failed")
    async with gateway(world) as http:
        page = await ask(http, "settee", session_id="s1")
    assert (page["source"], page["rewrite"]) == ("model", "sofa")
    assert counted("failed") == failed + 1


async def test_an_entry_that_cannot_be_read_is_no_history() -> None:
    world, _ = world_with()
    failed = counted("failed")
    asked = Asked(user_query="settee", client_id="c", session_id="s", now_ms=NOW_MS)
    assert await histories(world, Sessions([(b"\xc1", 1.0)])).before(asked) == ()
    assert counted("failed") == failed + 1


async def test_a_store_that_hangs_is_waited_for_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = world_with()
    monkeypatch.setattr("agent.serve.histories.LOOK_S", 0.01)

    class Hung(Sessions):
        @override
        async def zrange(self, *_: object, **__: object) -> list[tuple[bytes, float]]:
            await asyncio.Event().wait()
            raise AssertionError

    async with asyncio.timeout(5):
        asked = Asked(user_query="settee", client_id="c", session_id="s", now_ms=NOW_MS)
        assert await histories(world, Hung(())).before(asked) == ()
