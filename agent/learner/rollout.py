"""Groups of rewrites, searched on the live catalogue and scored on one frozen snapshot of the evidence.

Guarantees that all rewards of a rollout come from one snapshot whose id is logged, that an object nobody was
shown is worth nothing, and that a failed search is an error and never a reward.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from agent.learner.cost import writing_cost
from agent.learner.loss import imitation_weight
from agent.learner.replay import SEGMENT, observations
from agent.policy.plan import Plan, form_of, plan
from agent.policy.prompt import Prompt
from agent.retrieval.results import Results
from agent.sections import LearnerSettings
from agent.settings import Settings
from feedback.evidence import QueryEvidence, ShopTotals
from feedback.neighbours import VerifiedIndex
from feedback.records import Rewrite
from feedback.reward import attractiveness, dcg_difference
from feedback.text import digest

PURPOSE = "learner"
SAME = 1e-9
"""Rewards nearer than that are no difference."""
SPARE = 3
"""Times as many neighbours are looked up as a prompt holds, so that hidden ones can be left out."""


class Searches(Protocol):
    """What a rollout needs of the catalogue."""

    async def msearch(self, plans: Sequence[Plan], *, size: int = 10, purpose: str) -> list[Results]:
        """Return the first page of each plan, in order; raises SearchFailed if any one has none."""
        ...


class Evidence(Protocol):
    """What a rollout needs of the evidence."""

    async def read(self, queries: Sequence[str], segment: str = "all") -> list[QueryEvidence]:
        """Return the evidence of each query, in their order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What objects are worth for some queries, at one time."""

    snapshot_id: str
    gains: Mapping[str, Mapping[str, float]]
    observations: Mapping[str, float]
    """Effective, of each query."""

    def judged(self, query: str) -> bool:
        """Tell whether anything is known of the query's objects."""
        return any(gain > 0 for gain in self.gains.get(query, {}).values())


@dataclass(frozen=True, kw_only=True)
class Target:
    """A verified rewrite in a group."""

    text: str
    weight: float
    """In [0, 1]."""
    reward: float = 0.0
    """As an own sample's, on the same snapshot."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """A query's group: own samples with rewards, and verified rewrites."""

    prompt: Prompt
    own: tuple[Rewrite, ...] = ()
    rewards: tuple[float, ...] = ()
    """DCG difference to the raw list less what writing costs, one an own sample."""
    gains: tuple[float, ...] = ()
    """The DCG differences alone."""
    targets: tuple[Target, ...] = ()

    @property
    def tells(self) -> bool:
        """Whether it tells rewrites apart by what they find: else another query is drawn for it."""
        return _differ(self.gains) or self._imitates

    @property
    def teaches(self) -> bool:
        """Whether it brings any gradient, were it of what writing costs alone."""
        return _differ(self.rewards) or self._imitates

    @property
    def _imitates(self) -> bool:
        return any(target.weight > 0 for target in self.targets)


def _differ(values: Sequence[float]) -> bool:
    return bool(values) and max(values) - min(values) > SAME


async def snapshot(
    evidence: Evidence, queries: Sequence[str], totals: ShopTotals, settings: Settings
) -> Snapshot:
    """Freeze what is known of the queries."""
    known = await evidence.read(queries)
    alpha = settings.verify.prior_examinations
    gains = {
        one.query: attractiveness(one.merged(), mu=totals.mu, alpha=alpha, settings=settings.feedback)
        for one in known
    }
    stamp = " ".join(f"{one.query}@{one.seq}@{one.at_ms}" for one in known)
    seen = {one.query: observations(one) for one in known}
    return Snapshot(snapshot_id=digest(stamp), gains=gains, observations=seen)


def prompt_for(
    query: str,
    index: VerifiedIndex,
    settings: Settings,
    *,
    hidden: Callable[[str], bool] = lambda _: False,
) -> Prompt:
    """Return the prompt with the nearest asked queries as examples: never the query, never a hidden one."""
    k = settings.policy.neighbours
    found = index.nearest(query, k=SPARE * k, segment=SEGMENT) if k else []
    pairs = [(n.verified.query, n.verified.text) for n in found if not hidden(n.verified.query)]
    return Prompt(query=query, examples=tuple(pairs[:k]), form=form_of(query, settings.plan))


def targets_for(query: str, index: VerifiedIndex, settings: LearnerSettings) -> tuple[Target, ...]:
    """Return what the verifier says that the query should become, if it has spoken and may teach."""
    if settings.teachers == "own":
        return ()
    verified = index.get(query, SEGMENT)
    if verified is None or not verified.settled:
        return ()
    if not verified.text:
        return (Target(text="", weight=settings.silence_weight),)
    weight = imitation_weight(verified.gain, settings.imitation_scale)
    return (Target(text=verified.text, weight=weight),) if weight > 0 else ()


async def rewards(
    catalogue: Searches,
    groups: Mapping[str, Sequence[str]],
    frozen: Snapshot,
    settings: Settings,
) -> dict[str, list[float]]:
    """Return the DCG difference to raw of each query's rewrites, in their order; empty ones have 0.

    Raises:
        SearchFailed: the live catalogue gave no answer to one of the searches.
    """
    wanted: dict[Plan, None] = {}
    for query, texts in groups.items():
        for text in ("", *texts):
            wanted.setdefault(plan(query, text, settings.plan))
    depth = settings.learner.depth
    pages = await catalogue.msearch(list(wanted), size=depth, purpose=PURPOSE)
    lists = {one: page.object_ids for one, page in zip(wanted, pages, strict=True)}

    def reward(query: str, text: str) -> float:
        raw, other = (lists[plan(query, t, settings.plan)] for t in ("", text))
        return dcg_difference(raw, other, frozen.gains[query], depth)

    return {query: [reward(query, text) for text in texts] for query, texts in groups.items()}


def group_of(
    prompt: Prompt,
    own: Sequence[Rewrite],
    targets: Sequence[Target],
    gains: Sequence[float],
    settings: LearnerSettings,
) -> Rollout:
    """Return the group with its rewards: what each rewrite gains less what it costs to write.

    Args:
        prompt: of the query.
        own: the policy's samples.
        targets: verified rewrites.
        gains: DCG differences to raw, of own samples and then of verified rewrites; empty: not scored.
        settings: the costs.
    """
    texts = [*(one.text for one in own), *(target.text for target in targets)]
    scored = zip(gains, texts, strict=True) if gains else ()
    net = [gain - writing_cost(prompt, text, settings) for gain, text in scored]
    n = len(own)
    return Rollout(
        prompt=prompt,
        own=tuple(own),
        rewards=tuple(net[:n]),
        gains=tuple(gains[:n]),
        targets=tuple(
            replace(target, reward=reward)
            for target, reward in zip(targets, net[n:] or [0.0] * len(targets), strict=True)
        ),
    )
