"""Which rewrite a search gets: the arm, then the ladder, then the live model inside the deadline.

Guarantees an answer: whatever fails on the way is a counted reason to search with the shop's own query.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from agent.policy.plan import Plan, form_of, plan
from agent.serve.arms import in_raw_share, raw_share
from agent.serve.asking import Kind, LiveRewrites, RewriteAsk
from agent.serve.cache import RewriteCache
from agent.serve.known import Known
from agent.serve.ladder import Decision, choose, from_policy, is_stale, raw
from agent.serve.lender import Lender
from agent.serve.metrics import CACHE_FAILURES, SUSPENDED
from agent.settings import Settings
from feedback.fingerprint import fingerprint
from feedback.records import Arm, Band, CachedRewrite, Choice, Draw, Rewrite, Rung, SamplePool
from feedback.text import normalise

T = TypeVar("T")
LEND_SHARE = 0.5
"""Of the time left that looking for a loan may take, so that the policy has some."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the choice depends on."""

    user_query: str
    client_id: str = ""
    arm: Arm = Arm.STABLE
    first_page: bool = True
    teaches: bool = False
    """A person's search; only such ones keep a raw share."""
    wait_s: float | None = None
    """The caller's own deadline; then a stale cached rewrite is asked for anew."""
    now_ms: int = 0
    purpose: str = "search"
    band: Band | None = None
    chance: float = 0.0
    """See Impression."""

    @property
    def query(self) -> str:
        """The query as it stands in keys."""
        return normalise(self.user_query)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A decision with the plan that it makes."""

    decision: Decision
    plan: Plan
    draw: Draw | None = None
    """Of the explore arm: the page is drafted from the raw list and the drawn one."""

    @property
    def version(self) -> int:
        """Of the policy that wrote the rewrite; 0 where none did."""
        return self.decision.rewrite.version if self.decision.rewrite else 0


class Chooser:
    """Climbs the ladder for one search."""

    def __init__(
        self,
        settings: Settings,
        *,
        known: Known,
        cache: RewriteCache,
        live: LiveRewrites,
        lender: Lender,
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._known = known
        self._cache = cache
        self._live = live
        self._lender = lender
        self._rng = rng

    async def choose(self, asked: Asked) -> Chosen:
        """Return what to search with; never raises for what is behind it."""
        if asked.arm is Arm.HOLDBACK:
            return self._planned(asked, raw("holdback"))
        began_s = time.monotonic()
        if asked.arm is Arm.EXPLORE:
            explored = await self._explore(asked, began_s)
            if explored is not None:
                return explored
        return self._planned(asked, await self._climb(asked, began_s))

    def checked(self, chosen: Chosen, user_query: str, *lists: Sequence[str], size: int) -> Chosen:
        """Return the choice; where its verdict rests on other pages than these, suspend it and return raw.

        ``lists`` are the raw and the rewritten page, of ``size`` objects at most. Compared only where the
        query stands as it was verified and the pages are as deep: another spelling may find other objects.
        """
        verdict = self._known.index.get(user_query) if chosen.decision.rung is Rung.VERIFIED else None
        depth = self._settings.verify.depth
        if verdict is None or (verdict.query, verdict.text) != (user_query, chosen.decision.text):
            return chosen
        raw_ids, rewritten_ids = lists
        if size < depth or verdict.fingerprint in ("", fingerprint(raw_ids, rewritten_ids, depth)):
            return chosen
        SUSPENDED.inc()
        self._known.suspend(verdict)
        return Chosen(decision=raw("moved"), plan=Plan(user_query=user_query))

    async def _explore(self, asked: Asked, began_s: float) -> Chosen | None:
        """Return a drawn rewrite; None where there is none to draw yet, which asks for some."""
        drawn = await self._draw(asked, began_s)
        if drawn is None:
            return None
        if not asked.first_page:
            return self._planned(asked, raw("further_page"))
        rewrite, draw = drawn
        return replace(self._planned(asked, from_policy(rewrite, "explore")), draw=draw)

    async def _draw(self, asked: Asked, began_s: float) -> tuple[Rewrite, Draw] | None:
        """Draw from what shoppers proposed and lacks evidence, what others lend, or the policy's samples.

        Each is as likely as the others, where there is any.
        """
        verdict = self._known.index.get(asked.query)
        proposed = tuple(Rewrite(text=text) for text in verdict.proposals) if verdict else ()
        pool = await self._in_time(self._cache.pool(asked.query), SamplePool(), self._left_s(asked, began_s))
        samples = tuple(one for one in pool.samples if self._may_answer(one))
        current = any(one.version >= self._known.stable_version for one in samples)
        if not current and self._settings.serve.pool_samples:
            self._live.start(self._ask(asked, Kind.POOL))
        piles = [pile for pile in (proposed, await self._loan(asked, began_s), samples) if pile]
        return draw_from(piles, pool, self._rng) if piles else None

    async def _loan(self, asked: Asked, began_s: float) -> tuple[Rewrite, ...]:
        """Return what the others would lend, to try it out; further pages go by what the first one found."""
        left_s = LEND_SHARE * self._left_s(asked, began_s) if asked.first_page else None
        text = await self._lender.offer(
            asked.query, now_ms=asked.now_ms, within_s=left_s, purpose=asked.purpose
        )
        return (Rewrite(text=text),) if text else ()

    async def _climb(self, asked: Asked, began_s: float) -> Decision:
        decision = self._decide(asked)
        if decision.rung is Rung.VERIFIED:
            return self._verified(asked, decision)
        if not decision.ask_policy:
            return decision
        left_s = LEND_SHARE * self._left_s(asked, began_s)
        lent = await self._lender.lend(
            asked.query, now_ms=asked.now_ms, within_s=left_s, purpose=asked.purpose
        )
        return self._decide(asked, lent=lent) if lent else await self._held_policy(asked, decision, began_s)

    def _verified(self, asked: Asked, decision: Decision) -> Decision:
        if self._known.is_suspended(asked.query):
            return raw("suspended")
        return raw("share") if asked.teaches and self._in_raw_share(asked) else decision

    async def _held_policy(self, asked: Asked, decision: Decision, began_s: float) -> Decision:
        said = await self._policy(asked, decision, began_s)
        if said.rung is not Rung.POLICY:
            return said
        holds = await self._lender.holds(
            asked.query,
            said.text,
            now_ms=asked.now_ms,
            within_s=self._left_s(asked, began_s),
            purpose=asked.purpose,
        )
        return said if holds else raw("not_held", said.rewrite)

    async def _policy(self, asked: Asked, decision: Decision, began_s: float) -> Decision:
        if not self._policy_may_speak():
            return raw("unproven")
        cached = await self._in_time(self._cache.get(asked.query), None, self._left_s(asked, began_s))
        if cached is not None and self._may_answer(cached.rewrite) and self._is_proven(cached.rewrite):
            return await self._from_cache(asked, cached, began_s)
        return await self._from_model(asked, decision, began_s)

    async def _from_cache(self, asked: Asked, cached: CachedRewrite, began_s: float) -> Decision:
        decision = self._decide(asked, cached)
        if not is_stale(cached, decision.neighbours, self._known.stable_version):
            return decision
        if asked.wait_s is None:
            self._live.start(self._ask(asked, Kind.REFRESH, decision))
            return decision
        fresh = await self._from_model(asked, decision, began_s)
        return decision if fresh.rewrite is None else fresh

    async def _from_model(self, asked: Asked, decision: Decision, began_s: float) -> Decision:
        ask = self._ask(asked, Kind.LIVE, decision)
        if not asked.first_page:
            self._live.start(ask)
            return raw("further_page")
        answer = await self._live.within(ask, self._left_s(asked, began_s))
        if answer.rewrite is None:
            return raw(answer.why)
        if not self._may_answer(answer.rewrite):
            return raw("revoked")
        if not self._is_proven(answer.rewrite):
            return raw("unproven")
        return from_policy(answer.rewrite, "model", neighbours=decision.neighbours)

    def _left_s(self, asked: Asked, began_s: float) -> float:
        return (asked.wait_s or self._settings.serve.deadline_s) - (time.monotonic() - began_s)

    def _decide(self, asked: Asked, cached: CachedRewrite | None = None, *, lent: str = "") -> Decision:
        neighbours = self._settings.policy.neighbours
        return choose(asked.query, self._known.index, cached, lent=lent, neighbours=neighbours)

    def _planned(self, asked: Asked, decision: Decision) -> Chosen:
        """Return the decision with its plan; a rewrite of which nothing is left is the raw query."""
        planned = plan(asked.user_query, decision.text, self._settings.plan)
        if planned.is_raw and decision.rung is not Rung.RAW:
            decision = raw("silent", decision.rewrite)
        return Chosen(decision=decision, plan=planned)

    def _ask(self, asked: Asked, kind: Kind, decision: Decision | None = None) -> RewriteAsk:
        index = self._known.index
        near = (
            decision.neighbours
            if decision
            else index.nearest(asked.query, k=self._settings.policy.neighbours)
        )
        return RewriteAsk(
            query=asked.query,
            form=form_of(asked.user_query, self._settings.plan),
            examples=tuple((n.verified.query, n.verified.text) for n in near),
            neighbours_seq=index.seq,
            kind=kind,
        )

    def _is_proven(self, rewrite: Rewrite) -> bool:
        """Tell whether its version is the one whose gain is known to be enough."""
        return self._policy_may_speak() and (
            self._settings.serve.min_policy_gain is None or rewrite.version == self._known.stable_version
        )

    def _policy_may_speak(self) -> bool:
        needed = self._settings.serve.min_policy_gain
        return needed is None or self._known.policy_gain > needed

    def _may_answer(self, rewrite: Rewrite) -> bool:
        return rewrite.version not in self._known.revoked

    def _in_raw_share(self, asked: Asked) -> bool:
        verdict = self._known.index.get(asked.query)
        share = raw_share(verdict.searches if verdict else 0.0, self._settings.serve)
        return in_raw_share(asked.query, asked.client_id, asked.now_ms, share)

    async def _in_time(self, read: Awaitable[T], otherwise: T, left_s: float) -> T:
        """Return what the cache says within the deadline."""
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                return await read
        except TimeoutError:
            CACHE_FAILURES.labels(operation="slow").inc()
            return otherwise


def draw_from(
    piles: Sequence[Sequence[Rewrite]], pool: SamplePool, rng: random.Random
) -> tuple[Rewrite, Draw]:
    """Return a rewrite of a pile, each pile and each rewrite of it equally likely, and how it was drawn."""
    rewrites = [one for pile in piles for one in pile]
    chances = [1 / len(piles) / len(pile) for pile in piles for _ in pile]
    choices = tuple(
        Choice(
            text=one.text,
            token_ids=one.token_ids,
            logprob=sum(one.token_logprobs),
            version=one.version,
            probability=chance,
        )
        for one, chance in zip(rewrites, chances, strict=True)
    )
    (taken,) = rng.choices(range(len(rewrites)), chances)
    draw = Draw(
        choices=choices,
        taken=taken,
        examples=pool.examples,
        base_model=pool.base_model,
        prompt_version=pool.prompt_version,
    )
    return rewrites[taken], draw
