"""What is learned from a real click log: the last tenth judged, after the first nine taught.

The log is played once at its own times; then each variant and seed trains a policy of its own on the evidence
and the verdicts as they stand at the cut, for the same time. Guarantees that all systems answer the same
queries on one catalogue, and that no judged click was played before.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agent.evaluate.backtest import places
from agent.evaluate.backtest_answers import Answerer, RememberedSearch
from agent.evaluate.backtest_figures import Past, Row, rows
from agent.evaluate.backtest_spans import spans
from agent.evaluate.backtest_world import World
from agent.evaluate.clicklog import Click, read_clicks
from agent.evaluate.files import lines
from agent.evaluate.products import titles_of
from agent.learner.parts import Stores
from agent.learner.session import LearnerSession, Trained
from agent.retrieval import Catalogue
from agent.scoring import prompt_for
from agent.sections import WeightsSettings
from agent.settings import Settings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.records import Rewrite
from tests.bench.learning.figures import Judged, summary
from tests.bench.learning.variants import Variant, changed
from tests.bench.progress import tell
from tests.bench.servers import servers


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to play, and for how long to learn."""

    catalogue: Path
    clicks: Path
    variants: Sequence[Variant]
    seeds: Sequence[int] = (0, 1, 2)
    learn_s: float = 300.0
    """Of each variant and seed; 0 leaves the base model."""
    judge_from: float = 0.9
    judge_to: float = 1.0
    threads: int = 2
    min_clients: int = 1
    model: str = "smollm2"
    quick: bool = False
    """A look whether it runs."""
    worlds: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {}})
    """Settings under which the log is played, by name."""


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """What stands still after the cut."""

    settings: Settings
    world: World
    catalogue: Catalogue
    answerer: Answerer
    clicks: Sequence[Click]
    """Those to be judged."""
    past: Past


def run(options: Options) -> dict[str, Any]:
    """Play, learn, judge; the servers are started and ended here."""
    began_s = time.monotonic()
    with servers(is_quick=options.quick) as (_, redis, opensearch):
        tree = {
            "redis": {"state_url": redis.url},
            "opensearch": {"url": opensearch.url},
            "policy": {"model": options.model},
        }
        found = {
            name: asyncio.run(_world(options, Settings.model_validate(changed(tree, differing))))
            for name, differing in options.worlds.items()
        }
    figures = found.pop("") if list(found) == [""] else {"worlds": found}
    return {**figures, "seconds": time.monotonic() - began_s}


async def _world(options: Options, settings: Settings) -> dict[str, Any]:
    async with places(settings, min_clients=options.min_clients) as (own, redis, catalogue):
        products = list(lines(options.catalogue, "catalogue"))
        titles = titles_of(products)
        log = read_clicks((options.clicks,), known_ids=set(titles)).clicks
        await catalogue.load(products, progress=lambda *_: None)
        world = World(log, redis, catalogue, own)
        cut, end = await _play(world, log, options.judge_from), round(options.judge_to * len(log))
        before = log[:cut]
        frozen = Frozen(
            settings=own,
            world=world,
            catalogue=catalogue,
            answerer=Answerer(RememberedSearch(catalogue), catalogue, titles, own),
            clicks=log[cut:end],
            past=Past(queries={c.query for c in before}, objects={c.object_id for c in before}),
        )
        return {variant.name: await _variant(frozen, variant, options) for variant in options.variants}


async def _play(world: World, log: Sequence[Click], judge_from: float) -> int:
    """Play what comes before the judged part; return where that begins."""
    for span in spans(log, judge_from=judge_from):
        await world.play_until(span.at_ms)
        judged = await world.judge_moved()
        tell(f"played to click {span.first}, {judged} queries judged")
        if span.frozen:
            return span.first
    return len(log)


async def _variant(frozen: Frozen, variant: Variant, options: Options) -> dict[str, Any]:
    judged: list[Judged] = []
    for seed in options.seeds:
        settings = variant.of(frozen.settings, threads=options.threads)
        async with _session(frozen, settings, seed) as session:
            trained = await session.train(max_s=options.learn_s) if options.learn_s else None
            found = await _judge(frozen, session)
        judged.append(Judged(seed=seed, rows=found, index=frozen.world.index, trained=_of(trained)))
        tell(f"{variant.name or 'as set'}, seed {seed}: {judged[-1].line()}")
        if not options.learn_s:
            break  # nothing is drawn: all seeds are the same
    return summary(judged)


@asynccontextmanager
async def _session(frozen: Frozen, settings: Settings, seed: int) -> AsyncIterator[LearnerSession]:
    """Give a learner on the frozen evidence, with a folder that goes with it."""
    with TemporaryDirectory(prefix="unseen-learning-") as folder:
        own = settings.model_copy(update={"data_dir": Path(folder), "weights": WeightsSettings()})
        stores = Stores(
            redis=frozen.world.redis,
            keys=own.keys,
            evidence=frozen.world.evidence,
            index=VerifiedIndex(),
            catalogue=frozen.catalogue,
            clock=frozen.world.clock,
        )
        session = await LearnerSession.build(own, stores, seed=seed)
        try:
            yield session
        finally:
            await session.close()


class _Speaking:
    """A learner's policy as the judge asks it."""

    def __init__(self, session: LearnerSession) -> None:
        self._session = session

    async def rewrite(self, queries: Sequence[str], index: VerifiedIndex) -> list[Rewrite]:
        """Return the greedy rewrites."""
        settings = self._session.parts.settings
        return await self._session.rewrite([prompt_for(query, index, settings) for query in queries])


async def _judge(frozen: Frozen, session: LearnerSession) -> list[Row]:
    queries = sorted({click.query for click in frozen.clicks})
    world = frozen.world
    answers = await frozen.answerer.answers(queries, world.known, world.index, _Speaking(session))
    return rows(frozen.clicks, answers, frozen.past)


def _of(trained: Trained | None) -> dict[str, float]:
    if trained is None:
        return {"updates": 0, "rollouts": 0, "seconds": 0.0}
    return {"updates": trained.updates, "rollouts": trained.rollouts, "seconds": trained.seconds}
