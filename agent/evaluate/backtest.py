"""A real click log played at its own times through the loop: judge a slice, then learn from it.

Guarantees that a slice's queries are answered before any of its clicks is played: what answers them are the
verdicts, the evidence and the weights of the clicks that came before the slice's first query. From
``judge_from`` on nothing is learned; a second figure goes on learning in ten steps.

Such a log has no impressions: evidence comes from clicks alone, and the report says so.
"""

import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from agent.evaluate.backtest_answers import Answerer, RememberedSearch
from agent.evaluate.backtest_figures import (
    Answer,
    Figures,
    Past,
    Row,
    by_query,
    over_clicks,
    part,
    rows,
    summary,
    told,
)
from agent.evaluate.backtest_policy import Learning, learning_policy, serving_policy
from agent.evaluate.backtest_spans import Span, sampled, spans, steps
from agent.evaluate.backtest_world import World
from agent.evaluate.clicklog import Click, ClickLog, named, read_clicks
from agent.evaluate.files import lines
from agent.evaluate.products import PATIENCE_S, OnProgress, titles_of
from agent.evaluate.report import Report
from agent.reporting.command import made_by
from agent.retrieval import Catalogue, LoadReport
from agent.settings import Settings
from feedback.stores import connect, forget

NO_IMPRESSIONS = (
    "The log has no impressions: evidence comes from clicks alone, a query's gain for an object is the "
    "share of its clicks, and what was shown but not clicked is unknown."
)


@dataclass(frozen=True, kw_only=True)
class BacktestOptions:
    """What to play, and how to judge it."""

    catalogue: Path
    clicks: tuple[Path, ...]
    judge_from: float = 0.9
    """Share of the clicks after which nothing is learned any more."""
    sampled: int = 300
    """Queries judged in each slice before ``judge_from``."""
    learn_s: float = 600.0
    """Seconds that the learner gets up to ``judge_from``, spread over the slices; 0 leaves the base model."""
    seed: int = 0
    min_clients: int = 1
    """That must have asked a query before it teaches or is named; a log played at home is nobody else's."""
    command: str = ""
    """That was typed, for the report."""


async def run_backtest(options: BacktestOptions, settings: Settings, on_progress: OnProgress) -> Report:
    """Play the log against the OpenSearch and the Redis of the settings; leave nothing behind in them.

    Raises:
        Permanent: a file cannot be read, or leaves nothing to learn from or to judge.
        SearchFailed: OpenSearch gave no answer.
    """
    began_s = time.monotonic()
    products = list(lines(options.catalogue, "catalogue"))
    titles = titles_of(products)
    log = read_clicks(options.clicks, known_ids=set(titles))
    parts = spans(log.clicks, judge_from=options.judge_from)
    async with places(settings, min_clients=options.min_clients) as (own, redis, catalogue):
        loaded = await catalogue.load(
            products, progress=lambda read, _: on_progress("catalogue", read, len(products))
        )
        world = World(log.clicks, redis, catalogue, own)
        answerer = Answerer(RememberedSearch(catalogue), catalogue, titles, own)
        async with _learner(options, own, world, catalogue) as learner:
            play = Play(options, log.clicks, parts, world=world, answerer=answerer, learner=learner)
            figures = await play.figures(on_progress)
    figures |= {
        "by_query": told(by_query(play.judged), named(log.clicks, options.min_clients)),
        "run": _run(options),
        "seconds": time.monotonic() - began_s,
        "log": _of_log(log),
        "catalogue": _of_catalogue(loaded),
        "settings": own.model_dump(
            mode="json", include={"plan", "serve", "verify", "feedback", "policy", "learner"}
        ),
        "notes": [NO_IMPRESSIONS],
    }
    return Report(figures=figures)


def _run(options: BacktestOptions) -> Figures:
    """Return how it was judged."""
    return made_by(options.command) | {
        "catalogue": options.catalogue.name,
        "clicks": [path.name for path in options.clicks],
        "learn_s": options.learn_s,
        "seed": options.seed,
        "min_clients": options.min_clients,
    }


def _learner(
    options: BacktestOptions, settings: Settings, world: World, catalogue: Catalogue
) -> AbstractAsyncContextManager[Learning]:
    if options.learn_s > 0:
        return learning_policy(settings, world, catalogue, seed=options.seed)
    return serving_policy(settings)


class Play:
    """Judges each slice, then learns from it; then the judged part once more, learning on."""

    def __init__(
        self,
        options: BacktestOptions,
        clicks: Sequence[Click],
        parts: Sequence[Span],
        *,
        world: World,
        answerer: Answerer,
        learner: Learning,
    ) -> None:
        self._options = options
        self._clicks = clicks
        self._parts = parts
        self._world = world
        self._answerer = answerer
        self._learner = learner
        self.judged: list[Row] = []
        """The judged part's rows, once it is judged."""

    async def figures(self, tell: OnProgress) -> Figures:
        """Return the report's figures."""
        before = [part for part in self._parts if not part.frozen]
        after = [part for part in self._parts if part.frozen]
        slices = []
        for i, span in enumerate(before):
            tell("slices", i, len(self._parts))
            await self._learn_until(span, tell)
            slices.append(await self._sampled(span))
        tell("judged part", len(before), len(self._parts))
        await self._learn_until(after[0], tell)
        answers = await self._answers(self._clicks[after[0].first :], None)
        past = self._past(after[0])
        slices += [self._slice(part, answers, past) for part in after]
        self.judged = rows(self._clicks[after[0].first :], answers, past)
        verified = self._verified()
        learned = self._learner.figures()
        return {
            **summary(self.judged, seed=self._options.seed),
            "judge_from": self._options.judge_from,
            "verified": verified,
            "slices": slices,
            "learner": learned,
            "learning_on": await self._learning_on(after[0], past, tell),
        }

    async def _learn_until(self, span: Span, tell: OnProgress, share: float = 1.0) -> None:
        """Play what came before the span, let the verifier judge and the learner learn."""
        played = await self._world.play_until(span.at_ms)
        judged = await self._world.judge_moved()
        tell(f"{played} clicks played, {judged} queries judged; learning", 0, 0)
        learning_spans = sum(not part.frozen for part in self._parts)
        if self._world.known:
            await self._learner.learn(self._options.learn_s / learning_spans * share)

    async def _answers(self, clicks: Sequence[Click], n: int | None) -> dict[str, Answer]:
        queries = sampled(clicks, n, seed=self._options.seed)
        world = self._world
        return await self._answerer.answers(queries, world.known, world.index, self._learner)

    async def _sampled(self, span: Span) -> Figures:
        answers = await self._answers(span.of(self._clicks), self._options.sampled)
        return self._slice(span, answers, self._past(span))

    def _slice(self, span: Span, answers: Mapping[str, Answer], past: Past) -> Figures:
        clicks = span.of(self._clicks)
        judged = rows(clicks, answers, past)
        return {
            "from": span.first / len(self._clicks),
            "to": span.last / len(self._clicks),
            "at_ms": span.at_ms,
            "clicks": len(clicks),
            "frozen": span.frozen,
            "judged_queries": len({row.query for row in judged}),
            "queries": len({click.query for click in clicks}),
            **over_clicks(judged),
            "never_seen": part(judged, lambda row: row.never_seen),
            "verified": self._verified(),
        }

    async def _learning_on(self, first: Span, past: Past, tell: OnProgress) -> Figures:
        """Judge the same part in ten steps, each by what was learned up to its start."""
        judged: list[Row] = []
        parts = steps(self._clicks, first=first.first)
        for i, span in enumerate(parts):
            tell("learning on", i, len(parts))
            if i:  # the first step is judged by what the frozen figure was judged by
                await self._learn_until(span, tell, 1 / len(parts))
            judged += rows(span.of(self._clicks), await self._answers(span.of(self._clicks), None), past)
        kept = ("ndcg10", "recall100", "never_seen", "empty", "new_objects", "by_rung", "intervals")
        figures = summary(judged, seed=self._options.seed)
        return {"steps": len(parts), **{name: figures[name] for name in kept}}

    def _past(self, span: Span) -> Past:
        before = self._clicks[: span.first]
        return Past(queries={c.query for c in before}, objects={c.object_id for c in before})

    def _verified(self) -> Figures:
        """Count the queries with a rewrite that is served and changes the first page."""
        verdicts = [self._world.index.get(query) for query in self._world.known]
        return {"queries": sum(bool(v and v.text and v.changes) for v in verdicts), "of": len(verdicts)}


@asynccontextmanager
async def places(
    settings: Settings, *, min_clients: int = 1
) -> AsyncIterator[tuple[Settings, Redis, Catalogue]]:
    """Give settings with a tenant and an index of their own, and take both away afterwards."""
    own = _own(settings, f"backtest-{secrets.token_hex(6)}", min_clients)
    redis = connect(own.redis.state_url, own.redis.timeout_s)
    catalogue = Catalogue(own.opensearch)
    try:
        await catalogue.create_index()
        yield own, redis, catalogue
    finally:
        await catalogue.drop_index()
        await catalogue.close()
        await forget(redis, own.tenant)
        await redis.aclose()


def _own(settings: Settings, name: str, min_clients: int) -> Settings:
    """Return settings of a tenant of our own, patient: no shopper waits, and no supervisor tries again."""
    updates = {
        "opensearch": {
            "index": name,
            "timeout_s": PATIENCE_S,
            "templates": None,
            "background_budget": False,  # no shopper searches it
        },
        "redis": {"timeout_s": PATIENCE_S},
        "feedback": {"lease_s": PATIENCE_S, "min_clients": min_clients},
    }
    parts = {part: getattr(settings, part).model_copy(update=some) for part, some in updates.items()}
    return settings.model_copy(update={"tenant": name, **parts})


def _of_log(log: ClickLog) -> Figures:
    bad = [{"file": b.file, "line": b.line, "reason": b.reason} for b in log.bad]
    return {"clicks": len(log.clicks), "bad_lines": bad, "unknown_objects": log.unknown_objects}


def _of_catalogue(loaded: LoadReport) -> Figures:
    refused = [{"line": r.line_no, "object_id": r.object_id, "reason": r.reason} for r in loaded.rejected]
    return {"objects": loaded.loaded, "rejected": refused}
