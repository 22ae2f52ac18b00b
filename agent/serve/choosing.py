"""Which rewrite a search gets: the arm, then the ladder, then the live model inside the deadline.

Guarantees an answer: whatever fails on the way is a counted reason to search with the shop's own query.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from agent.policy.call import UNSPLIT
from agent.policy.plan import Plan, plan
from agent.serve.arms import in_raw_share, raw_share
from agent.serve.asking import Kind, LiveRewrites
from agent.serve.cache import RewriteCache
from agent.serve.choice import Asked, Chosen, Deadline
from agent.serve.comparing import sides, speak
from agent.serve.histories import Histories
from agent.serve.known import Known, OnTrial
from agent.serve.ladder import SORTED, TRIED, Decision, choose, from_policy, raw
from agent.serve.lender import Lender
from agent.serve.metrics import SECOND_TRIES, SUSPENDED
from agent.serve.speaking import Speaker, Turn, in_time
from agent.settings import Settings
from feedback.fingerprint import fingerprint
from feedback.history import after_no_click
from feedback.records import Arm, Choice, Draw, Rewrite, Rung, SamplePool, Verified

SHARE = "share"
RAW_SHARE = f"raw:{SHARE}"
AGAIN = "again"
"""Source of words that the policy had once a page had nothing on it."""
LEND_SHARE = 0.5
"""Of the time left that looking for a loan may take, so that the policy has some."""


class Chooser:
    """Climbs the ladder for one search."""

    def __init__(  # noqa: PLR0913 - one for each that it asks
        self,
        settings: Settings,
        *,
        known: Known,
        cache: RewriteCache,
        live: LiveRewrites,
        lender: Lender,
        histories: Histories,
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._known = known
        self._cache = cache
        self._lender = lender
        self._histories = histories
        self._speaker = Speaker(settings, known=known, cache=cache, live=live, lender=lender)
        self._rng = rng

    @property
    def on_trial(self) -> OnTrial | None:
        """The trial that runs."""
        return self._known.on_trial

    async def choose(self, asked: Asked) -> Chosen:
        """Return what to search with; never raises for what is behind it."""
        if not asked.call.by_relevance:
            return self._planned(asked, Decision(rung=Rung.RAW, source=SORTED))
        if asked.arm in (Arm.HOLDBACK, Arm.SHADOW):
            return self._planned(asked, raw(asked.arm.value))
        deadline = Deadline.after(asked.wait_s or self._settings.serve.deadline_s)
        if asked.arm is Arm.EXPLORE:
            explored = await self._explore(asked, deadline)
            if explored is not None:
                return explored
        return await self._climb(asked, deadline)

    async def again(self, asked: Asked, chosen: Chosen, deadline: Deadline) -> Chosen | None:
        """Return what else to search with where a first page has nothing on it; None: nothing else.

        The policy is told that the query found nothing to click, as of an earlier query of the session. Pages
        that are raw by design or were drafted stay as they are.
        """
        by_design = asked.arm in (Arm.HOLDBACK, Arm.SHADOW) or chosen.decision.source == RAW_SHARE
        if not self._settings.serve.second_try or by_design or chosen.draw or not asked.call.by_relevance:
            return None
        if not deadline.left_s:
            SECOND_TRIES.labels(outcome="late").inc()
            return None
        tried = replace(asked, history=after_no_click(chosen.history, asked.query))
        turn = Turn(asked=tried, near=self._speaker.near(asked), deadline=deadline, exact=True)
        side = sides(asked, self._known).own
        said = await self._speaker.say(turn, side, await self._speaker.look(turn, side))
        other = replace(self._planned(tried, replace(said, source=AGAIN)), history=tried.history)
        if said.rung is Rung.POLICY and not other.plan.is_raw and other.plan != chosen.plan:
            return other
        SECOND_TRIES.labels(outcome="late" if said.source == "raw:deadline" else "silent").inc()
        return None

    def checked(self, chosen: Chosen, asked: Asked, *lists: Sequence[str], size: int) -> Chosen:
        """Return the choice; where its verdict rests on other pages than these, suspend it and return raw.

        ``lists`` are the raw and the rewritten page, of ``size`` objects at most. Compared only where the
        query stands as it was verified, with the same parameters, and the pages are as deep: another spelling
        may find other objects.
        """
        verdict = self._verdict(asked) if chosen.decision.rung is Rung.VERIFIED else None
        depth = self._settings.verify.depth
        if verdict is None or not asked.call.as_judged:
            return chosen
        if (verdict.query, verdict.text) != (asked.user_query, chosen.decision.text):
            return chosen
        raw_ids, rewritten_ids = lists
        if size < depth or verdict.fingerprint in ("", fingerprint(raw_ids, rewritten_ids, depth)):
            return chosen
        SUSPENDED.inc()
        self._known.suspend(verdict)
        return Chosen(decision=raw("moved"), plan=Plan(user_query=asked.user_query, call=asked.call))

    async def _explore(self, asked: Asked, deadline: Deadline) -> Chosen | None:
        """Return a drawn rewrite; None where there is none to draw yet, which asks for some."""
        drawn = await self._draw(asked, deadline)
        if drawn is None:
            return None
        if not asked.first_page:
            return self._planned(asked, raw("further_page"))
        rewrite, draw = drawn
        return replace(self._planned(asked, from_policy(rewrite, TRIED)), draw=draw)

    async def _draw(self, asked: Asked, deadline: Deadline) -> tuple[Rewrite, Draw] | None:
        """Draw from what shoppers proposed and lacks evidence, what others lend, or the policy's samples.

        Each is as likely as the others, where there is any.
        """
        verdict = self._verdict(asked)
        proposed = tuple(Rewrite(text=text) for text in verdict.proposals) if verdict else ()
        pool = await in_time(self._cache.pool(asked.query, asked.call), SamplePool(), deadline.left_s)
        samples = tuple(one for one in pool.samples if self._speaker.may_answer(one))
        current = any(one.version >= self._known.stable_version for one in samples)
        if not current and self._settings.serve.pool_samples:
            near = self._speaker.near(asked)
            turn = Turn(asked=asked, near=near, deadline=deadline)
            self._speaker.start(turn, sides(asked, self._known).own, Kind.POOL)
        piles = [pile for pile in (proposed, await self._loan(asked, deadline), samples) if pile]
        return draw_from(piles, pool, self._rng) if piles else None

    async def _loan(self, asked: Asked, deadline: Deadline) -> tuple[Rewrite, ...]:
        """Return what the others would lend, to try it out; further pages go by what the first one found."""
        if asked.call.segment != UNSPLIT:
            return ()
        left_s = LEND_SHARE * deadline.left_s if asked.first_page else None
        text = await self._lender.offer(
            asked.query, now_ms=asked.now_ms, within_s=left_s, purpose=asked.purpose
        )
        return (Rewrite(text=text),) if text else ()

    async def _climb(self, asked: Asked, deadline: Deadline) -> Chosen:
        decision = self._decide(asked)
        if decision.rung is Rung.VERIFIED:
            return self._planned(asked, self._verified(asked, decision))
        if not decision.ask_policy:
            return self._planned(asked, decision)
        lent = await self._lent(asked, deadline)
        if lent:
            return self._planned(asked, self._decide(asked, lent=lent))
        history = await in_time(self._histories.before(asked), (), deadline.left_s)
        asked = replace(asked, history=history) if history else asked
        return await self._policy(Turn(asked=asked, near=decision.neighbours, deadline=deadline))

    async def _lent(self, asked: Asked, deadline: Deadline) -> str:
        """Return what judged queries lend; they know of searches whose evidence is not split."""
        if asked.call.segment != UNSPLIT:
            return ""
        return await self._lender.lend(
            asked.query, now_ms=asked.now_ms, within_s=LEND_SHARE * deadline.left_s, purpose=asked.purpose
        )

    async def _policy(self, turn: Turn) -> Chosen:
        """Return what the arm's version says, and the other's plan beside it where a trial counts it."""
        asked = turn.asked
        said = await speak(self._speaker, turn, sides(asked, self._known))
        chosen = self._planned(asked, said.decision)
        other = self._plan(asked, said.other.text) if said.other else chosen.plan
        return replace(
            chosen,
            trial=asked.trial.trial.version if asked.trial and asked.compares else 0,
            other=other if other != chosen.plan else None,
            live=said.live,
            history=asked.history,
        )

    def _verified(self, asked: Asked, decision: Decision) -> Decision:
        if self._known.is_suspended(asked.query, asked.call.segment):
            return raw("suspended")
        return raw(SHARE) if asked.teaches and self._in_raw_share(asked) else decision

    def _decide(self, asked: Asked, lent: str = "") -> Decision:
        neighbours = self._settings.policy.neighbours
        return choose(
            asked.query,
            self._known.index,
            None,
            lent=lent,
            neighbours=neighbours,
            segment=asked.call.segment,
        )

    def _verdict(self, asked: Asked) -> Verified | None:
        return self._known.index.get(asked.query, asked.call.segment)

    def _plan(self, asked: Asked, text: str) -> Plan:
        return plan(asked.user_query, text, self._settings.plan, asked.call)

    def _planned(self, asked: Asked, decision: Decision) -> Chosen:
        """Return the decision with its plan; a rewrite of which nothing is left is the raw query."""
        planned = self._plan(asked, decision.text)
        if planned.is_raw and decision.rung is not Rung.RAW:
            decision = raw("silent", decision.rewrite)
        return Chosen(decision=decision, plan=planned)

    def _in_raw_share(self, asked: Asked) -> bool:
        verdict = self._verdict(asked)
        share = raw_share(verdict.searches if verdict else 0.0, self._settings.serve)
        return in_raw_share(asked.query, asked.client_id, asked.now_ms, share)


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
