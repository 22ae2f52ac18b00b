"""The policy's rung: what one version says to a query, from the cache or live inside the deadline.

Guarantees that nobody is answered with another version's words than it may be, nor with a revoked one's, and
that whatever fails is a reason to search with the shop's own query. What a session asked before costs no
answer: until there are words for it, those for the query alone stand in.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TypeVar

from agent.policy.call import UNSPLIT
from agent.policy.plan import form_of
from agent.serve.asking import Kind, LiveRewrites, RewriteAsk
from agent.serve.cache import RewriteCache
from agent.serve.choice import Asked, Deadline
from agent.serve.known import Known
from agent.serve.ladder import Decision, from_policy, is_stale, raw
from agent.serve.lender import Lender
from agent.serve.metrics import CACHE_FAILURES
from agent.settings import Settings
from feedback.evidence.neighbours import Neighbour
from feedback.records import CachedRewrite, History, Rewrite, Rung

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Side:
    """A version that may answer."""

    version: int
    gain: float
    """Over raw at least."""
    is_canary: bool = False

    @property
    def asked(self) -> int:
        """Its number in requests and in the cache, where 0 is whichever serves."""
        return self.version if self.is_canary else 0


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One search at the policy's rung."""

    asked: Asked
    near: tuple[Neighbour, ...]
    """For the prompt."""
    deadline: Deadline
    exact: bool = False
    """Words that were written for the query alone do not stand in for those of its history."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a version says as far as it can be told without the model."""

    decision: Decision | None = None
    """None: it would have to be asked."""
    is_stale: bool = False
    """It would say it anew today, and perhaps something else."""
    is_own: bool = True
    """False: an older version's words, which it lets stand."""


class Speaker:
    """Asks the cache and the model."""

    def __init__(
        self, settings: Settings, *, known: Known, cache: RewriteCache, live: LiveRewrites, lender: Lender
    ) -> None:
        self._settings = settings
        self._known = known
        self._cache = cache
        self._live = live
        self._lender = lender

    async def look(self, turn: Turn, side: Side) -> Look:
        """Return what the version says without asking the model."""
        if side.version in self._known.revoked:  # it was rolled back with nothing to go back to
            return Look(decision=raw("revoked"))
        if not self._may_speak(side):
            return Look(decision=raw("unproven"))
        history = turn.asked.history
        cached = await self._kept(turn, side, history)
        stands_in = cached is None and bool(history) and not turn.exact
        if stands_in:
            cached = await self._kept(turn, side, ())
        if cached is None:
            return Look()
        return Look(
            decision=await self._held(turn, from_policy(cached.rewrite, "cache", neighbours=turn.near)),
            is_stale=stands_in or self._is_stale(turn, side, cached),
            is_own=cached.rewrite.version == side.version,
        )

    async def say(self, turn: Turn, side: Side, look: Look) -> Decision:
        """Return what the version says: as looked up, or live."""
        if look.decision is not None and look.is_stale and turn.asked.wait_s is None:
            self.start(turn, side, Kind.REFRESH)
        if look.decision is not None and not (look.is_stale and turn.asked.wait_s is not None):
            return look.decision
        said = await self._held(turn, await self._live_words(turn, side))
        return look.decision if look.decision is not None and said.rewrite is None else said

    def start(self, turn: Turn, side: Side, kind: Kind) -> None:
        """Ask the model and wait for nothing; what it says goes into the cache."""
        self._live.start(self._request(turn, side, kind))

    async def lacks(self, turn: Turn, side: Side) -> bool:
        """Tell whether the version may speak and has no words in Redis that it would write today.

        What this process took for granted of the query is read anew.
        """
        if side.version in self._known.revoked or not self._may_speak(side):
            return False
        self._forget(turn.asked, side)
        cached = await self._kept(turn, side, ())
        return cached is None or self._is_stale(turn, side, cached)

    def ahead(self, turn: Turn, side: Side) -> asyncio.Task[Rewrite] | None:
        """Ask the model behind all that others wait for; None where too much is in flight already."""
        task = self._live.start(replace(self._request(turn, side, Kind.REFRESH), ahead=True))
        if task is not None:
            task.add_done_callback(lambda _: self._forget(turn.asked, side))
        return task

    def may_answer(self, rewrite: Rewrite) -> bool:
        """Tell whether its version is not revoked."""
        return rewrite.version not in self._known.revoked

    def near(self, asked: Asked) -> tuple[Neighbour, ...]:
        """Return the judged queries that go into the prompt of a search."""
        k = self._settings.policy.neighbours
        return tuple(self._known.index.nearest(asked.query, k=k, segment=asked.call.segment))

    async def _kept(self, turn: Turn, side: Side, history: History) -> CachedRewrite | None:
        """Return the cached words that the version may say, written with this history."""
        asked = replace(turn.asked, history=history)
        cached = await in_time(self._cached(asked, side), None, turn.deadline.left_s)
        if cached is None or (self.may_answer(cached.rewrite) and self._stands_for(side, cached.rewrite)):
            return cached
        self._forget(asked, side)  # others may have written it anew
        return None

    async def _cached(self, asked: Asked, side: Side) -> CachedRewrite | None:
        """Return what the cache holds for the version: of one that serves, also from when it was on trial."""
        query, call, history = asked.query, asked.call, asked.history
        cached = await self._cache.get(query, side.asked, call, history)
        if side.is_canary or (cached is not None and cached.rewrite.version >= side.version):
            return cached
        if not side.version:
            return cached
        return await self._cache.get(query, side.version, call, history) or cached

    def _forget(self, asked: Asked, side: Side) -> None:
        """Take nothing for granted of what the cache said of the version."""
        for number in {side.asked, side.version}:
            self._cache.forget(asked.query, number, asked.call, asked.history)

    async def _live_words(self, turn: Turn, side: Side) -> Decision:
        if not turn.asked.first_page:
            self.start(turn, side, Kind.LIVE)
            return raw("further_page")
        turn.asked.before_wait()
        answer = await self._live.within(self._request(turn, side, Kind.LIVE), turn.deadline.left_s)
        if answer.rewrite is None:
            return raw(answer.why)
        if not self.may_answer(answer.rewrite):
            return raw("revoked")
        if not self._stands_for(side, answer.rewrite):
            return raw("unproven")
        return from_policy(answer.rewrite, "model", neighbours=turn.near)

    async def _held(self, turn: Turn, said: Decision) -> Decision:
        """Return the decision where the clicks around the query do not speak against its words."""
        if said.rung is not Rung.POLICY:
            return said
        asked = turn.asked
        if asked.call.segment != UNSPLIT:  # the clicks that could speak are those of unsplit searches
            return said
        holds = await self._lender.holds(
            asked.query,
            said.text,
            now_ms=asked.now_ms,
            within_s=turn.deadline.left_s,
            purpose=asked.purpose,
        )
        return said if holds else raw("not_held", said.rewrite)

    def _request(self, turn: Turn, side: Side, kind: Kind) -> RewriteAsk:
        return RewriteAsk(
            query=turn.asked.query,
            form=form_of(turn.asked.user_query, self._settings.plan, turn.asked.call),
            call=turn.asked.call,
            examples=tuple((n.verified.query, n.verified.text) for n in turn.near),
            neighbours_seq=self._known.index.seq,
            kind=kind,
            version=side.asked,
            history=turn.asked.history,
        )

    def _may_speak(self, side: Side) -> bool:
        needed = self._settings.serve.min_policy_gain
        return needed is None or side.gain > needed

    def _stands_for(self, side: Side, rewrite: Rewrite) -> bool:
        """Tell whether the words may be said for the version: its own, or on no terms any that served."""
        free = self._settings.serve.min_policy_gain is None and not side.is_canary
        return free or rewrite.version == side.version

    def _is_stale(self, turn: Turn, side: Side, cached: CachedRewrite) -> bool:
        return is_stale(cached, turn.near, side.version)


async def in_time(read: Awaitable[T], otherwise: T, left_s: float) -> T:
    """Return what the cache says, if it does so in time."""
    try:
        async with asyncio.timeout(left_s):
            return await read
    except TimeoutError:
        CACHE_FAILURES.labels(operation="slow").inc()
        return otherwise
