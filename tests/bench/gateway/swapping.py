"""Versions that follow each other while shoppers search, and one that is rolled back.

Four adapters that write differently take turns under rising numbers. A fifth of the searches are of queries
that nobody asked, with patience enough for the live model; the others are in the cache. Load with and without
swaps alternates in one run. An answer is *mixed* where it is not what its version's adapter writes alone.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import torch
from redis.asyncio import Redis

from agent.policy.model import Policy
from agent.policy.plan import plan
from agent.policy.prompt import PROMPT_VERSION, Prompt
from agent.settings import Settings
from agent.watching.replicas import metrics_of, read_replicas
from agent.weights.registry import Move, Registry
from agent.weights.store import AdapterStore, State
from feedback.clock import wall_clock
from feedback.stores import connect
from feedback.text import normalise
from feedback.version_records import Manifest, Standing
from feedback.version_records import State as Stands
from tests.bench.gateway.load import Answers, Spoken, opened
from tests.bench.progress import tell

ADAPTERS = 4
SCALE = 0.08
"""Deviation of an adapter's weights: enough that each writes something else."""
LIVE_EVERY = 5
LIVE = ("model", "raw:silent")
"""Sources of what the live model wrote, were it nothing, where the cache had no words for the query."""
PATIENCE_S = 20.0
LOOK_S = 0.05
SERVES = "unseen_policy_version"
"""The metric by which a replica tells once a second with which version it writes."""
KEPT = 20
"""Newest versions that stay in the registry."""
CHECKED = 24
"""Live answers that are written again alone."""
PIECE_S = 5.0
"""Of searches that are sent in one go while versions follow each other."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How much of what."""

    swaps: int
    turns: int
    per_s: float
    """Searches a second."""
    steady_s: float
    """Without swaps before each turn."""
    gone_s: float
    """Of searches about a rollback."""

    @property
    def piece(self) -> int:
        """How many searches are sent in one go."""
        return int(min(PIECE_S, self.steady_s) * self.per_s)


@dataclass
class Swapper:
    """Puts one version after the other into serving."""

    settings: Settings
    redis: Redis
    made: Sequence[Manifest]
    states: Sequence[State]
    replicas: int
    serving: int = 0
    took_s: list[float] = field(default_factory=list)
    """From the decision until the last of the replicas says that it serves with it."""

    @property
    def registry(self) -> Registry:
        """The shop's."""
        return Registry(self.redis, self.settings.keys)

    def state_of(self, version: int) -> State:
        """Return the adapter that a version is."""
        return self.states[version % ADAPTERS]

    async def swap(self, *, revoke: bool = False) -> None:
        """Let the next version serve, and wait until it does."""
        registry, before = self.registry, self.serving
        version = await registry.next_version()
        template = self.made[version % ADAPTERS]
        await registry.publish(msgspec.structs.replace(template, version=version, parent=before))
        stands = Standing(version=version, state=Stands.STABLE, since_ms=wall_clock())
        move = Move(stable=before, trial=0, standings=(stands,), serve=version)
        began_s = time.monotonic()
        await registry.move(replace(move, revoke=frozenset({before})) if revoke else move)
        while not serve_all(await read_replicas(self.redis, self.settings.keys), version, self.replicas):
            await asyncio.sleep(LOOK_S)
        self.took_s.append(time.monotonic() - began_s)
        self.serving = version
        if version > KEPT:
            await registry.drop([version - KEPT])


def serve_all(texts: Mapping[str, bytes], version: int, replicas: int) -> bool:
    """Tell whether so many replicas, by their metrics, serve with the version, and none with another."""
    samples = [one for metric in metrics_of(texts) if metric.name == SERVES for one in metric.samples]
    said = [one.value for one in samples if one.labels["slot"] == "stable"]
    return len(said) >= replicas and all(value == version for value in said)


def adapters(settings: Settings) -> tuple[list[Manifest], list[State]]:
    """Save the adapters; return a manifest of each, without its number, and the tensors."""
    policy, store = Policy.load(settings.policy), AdapterStore(settings.weights_dir)
    made: list[Manifest] = []
    states: list[State] = []
    for n in range(ADAPTERS):
        drawn = torch.Generator().manual_seed(n)
        state = {
            name: SCALE * torch.randn(tensor.shape, generator=drawn)
            for name, tensor in policy.adapter_state().items()
        }
        saved = store.save(n, state)
        made.append(
            Manifest(
                version=n,
                parent=0,
                base_model=policy.base_model,
                prompt_version=PROMPT_VERSION,
                uri=saved.uri,
                sha256=saved.sha256,
                n_bytes=saved.n_bytes,
                made_at_ms=0,
                steps=n,
            )
        )
        states.append(state)
    return made, states


async def swaps(settings: Settings, url: str, queries: list[str], pace: Pace) -> dict[str, Any]:
    """Return how searches went beside swaps, against the same load without, in turns."""
    tell("adapters")
    made, states = await asyncio.to_thread(adapters, settings)
    redis = connect(settings.redis.state_url)
    try:
        swapper = Swapper(settings, redis, made, states, settings.serve.replicas)
        bodies, per_s = Bodies(queries), pace.per_s
        await swapper.swap()
        swapper.took_s.clear()  # replicas may still have loaded their model
        await opened(url, bodies.some(pace.piece), per_s=per_s)
        steady: list[Answers] = []
        swapped: list[Answers] = []
        for turn in range(1, pace.turns + 1):
            tell(f"turn {turn} of {pace.turns}: no swaps")
            steady.append(await opened(url, bodies.some(int(pace.steady_s * per_s)), per_s=per_s))
            tell(f"turn {turn} of {pace.turns}: swaps")
            swapped.append(await _beside(swapper, url, bodies, pace))
        cached = frozenset(queries)
        spoken = [one for answers in swapped for one in answers.spoken if is_live(one, cached)]
        told = _told(swapper, steady, swapped) | {"live_share": _share(len(spoken), swapped)}
        tell(f"{CHECKED} live answers are written again, each alone")
        told["mixed"] = await asyncio.to_thread(_mixed, swapper, spoken)
        told["rollback"] = await _rolled_back(swapper, url, queries, pace)
    finally:
        await redis.aclose()
    return told


class Bodies:
    """Searches for ever: each fifth is of a query that nobody asked."""

    def __init__(self, queries: list[str]) -> None:
        self._numbers = itertools.count()
        self._queries = queries

    def some(self, n: int) -> list[dict[str, Any]]:
        """Return the next ones."""
        return [self._one(number) for number in itertools.islice(self._numbers, n)]

    def _one(self, number: int) -> dict[str, Any]:
        query, client = self._queries[number % len(self._queries)], f"swap{number}"
        if number % LIVE_EVERY:
            return {"user_query": query, "client_id": client}
        other = self._queries[number // len(self._queries) % len(self._queries)]
        return {"user_query": f"{query} {other}", "client_id": client, "deadline_s": PATIENCE_S}


async def _beside(swapper: Swapper, url: str, bodies: Bodies, pace: Pace) -> Answers:
    """Search while a turn's swaps are made."""
    over = asyncio.Event()

    async def swap() -> None:
        try:
            for _ in range(pace.swaps // pace.turns):
                await swapper.swap()
        finally:
            over.set()

    swapping = asyncio.create_task(swap())
    answers = Answers()
    while not over.is_set():
        answers.add(await opened(url, bodies.some(pace.piece), per_s=pace.per_s))
    await swapping
    return answers


def is_live(one: Spoken, cached: Collection[str]) -> bool:
    """Tell whether the live model wrote an answer; silence is in the cache as well."""
    return one.source in LIVE and one.query not in cached


def _share(n: int, some: list[Answers]) -> float:
    return round(n / max(1, sum(len(one.took_s) for one in some)), 3)


def _told(swapper: Swapper, steady: list[Answers], swapped: list[Answers]) -> dict[str, Any]:
    ratios = [b.quantile(0.99) / a.quantile(0.99) for a, b in zip(steady, swapped, strict=True)]
    took = sorted(swapper.took_s)
    return {
        "swaps": len(took),
        "searches": sum(len(one.took_s) + one.failed for one in swapped),
        "failed": sum(one.failed for one in (*steady, *swapped)),
        "sources": dict(sum((Counter(one.sources) for one in swapped), Counter[str]())),
        "steady_sources": dict(sum((Counter(one.sources) for one in steady), Counter[str]())),
        "p99_ratio": round(sorted(ratios)[len(ratios) // 2], 3),
        "p99_ratios": [round(one, 3) for one in ratios],
        "steady_p99_ms": [round(1000 * one.quantile(0.99)) for one in steady],
        "publish_p50_s": round(took[len(took) // 2], 2),
        "publish_p99_s": round(took[min(len(took) - 1, int(0.99 * len(took)))], 2),
        "versions_that_spoke": len({one.version for answers in swapped for one in answers.spoken}),
    }


def _mixed(swapper: Swapper, spoken: list[Spoken]) -> dict[str, int]:
    """Return how many live answers are not what their version writes alone, and whether versions differ."""
    policy = Policy.load(swapper.settings.policy)
    step = max(1, len(spoken) // CHECKED)
    checked = spoken[::step]
    off = others = 0
    for one in checked:
        policy.load_adapter(swapper.state_of(one.version), one.version)
        off += _searched(swapper.settings, policy, one.query) != one.rewrite
        policy.load_adapter(swapper.state_of(one.version + 1), one.version + 1)
        others += _searched(swapper.settings, policy, one.query) != one.rewrite
    return {"checked": len(checked), "not_its_version_s": off, "next_version_writes_otherwise": others}


def _searched(settings: Settings, policy: Policy, query: str) -> str:
    """Return what the policy as it stands adds to a query."""
    ((rewrite,),) = policy.sample([Prompt(query=normalise(query))], n=1, greedy=True)
    return plan(query, rewrite.text, settings.plan).text


async def _rolled_back(swapper: Swapper, url: str, queries: list[str], pace: Pace) -> dict[str, Any]:
    """Return when the last answer of a version that was rolled back came, with both caches full of it."""
    bad, per_s = swapper.serving, pace.per_s
    asked = [
        {"user_query": f"{query} rolled", "client_id": f"back{n}", "deadline_s": PATIENCE_S}
        for n, query in enumerate(queries[:40])
    ]
    await opened(url, asked, per_s=per_s)  # written live
    before = await opened(url, asked, per_s=per_s)  # from the cache
    times = int(pace.gone_s * per_s / len(asked) + 1)
    searching = asyncio.create_task(opened(url, asked * times, per_s=per_s))
    await asyncio.sleep(2.0)
    began_s = time.monotonic()
    await swapper.swap(revoke=True)
    after = await searching
    last = [one.at_s - began_s for one in after.spoken if one.version == bad]
    return {
        "answers_of_it_before": sum(one.version == bad for one in before.spoken),
        "last_answer_of_it_s": round(max(last, default=0.0), 2),
        "answers_after": sum(one.at_s > began_s for one in after.spoken),
        "failed": after.failed,
        "sources": after.sources,
    }
