"""What rankings are worth on labelled queries: raw, RM3, spelling, the base model, a store's newest version.

No Redis and no clicks. Guarantees paired comparisons: every policy answers every query on one catalogue.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from agent.errors import Permanent
from agent.evaluate.backtest_answers import RememberedSearch
from agent.evaluate.backtest_policy import ServingPolicy
from agent.evaluate.baselines import Rm3, rewritten
from agent.evaluate.bootstrap import clusters, interval
from agent.evaluate.files import lines
from agent.evaluate.judgments import Judgments, read_judgments
from agent.evaluate.latest import newest_policy
from agent.evaluate.metrics import RECALL_DEPTH, mean, ndcg, recall
from agent.evaluate.products import OnProgress, indexed, titles_of, with_plain_query
from agent.policy.model import Policy
from agent.policy.plan import Plan
from agent.reporting.command import made_by, without_secrets
from agent.reporting.files import Places, save
from agent.reporting.of_labels import document
from agent.retrieval import Catalogue
from agent.settings import Settings
from agent.weights.store import AdapterStore
from feedback.evidence.neighbours import VerifiedIndex

POLICIES = ("raw", "rm3", "spelling", "base", "latest")
PURPOSE = "evaluation"
BATCH = 32
_TIE = 1e-9


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What to judge, and by which labels."""

    catalogue: Path
    judgments: Path
    split: str = "dev"
    relevant_from: float = 1.0
    policies: tuple[str, ...] = ("raw", "rm3", "spelling")
    store: Path | str | None = None
    """A folder or URL of versions, for the policy ``latest``."""
    seed: int = 0
    command: str = ""
    """That was typed, for the report."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What one policy found, query by query."""

    lists: Sequence[Sequence[str]]
    texts: Sequence[str]
    """Words added; empty where the policy adds none."""
    instead: Sequence[str] = ()
    """What was searched in the queries' place, where that is so."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The figures, for people and for programs."""

    figures: Mapping[str, Any]

    def json(self) -> str:
        """Return the figures as one JSON object."""
        return json.dumps(self.figures, indent=2)

    def save(self, path: Path) -> Places:
        """Write the JSON and the page beside it; raises Permanent where they cannot be written."""
        return save(path, self.figures, document)

    def table(self) -> Table:
        """Return the table for the terminal."""
        table = Table(title=f"{self.figures['queries']} queries of the split {self.figures['split']}")
        table.add_column("")
        for name in ("NDCG@10", "recall@100", "over raw (95 %)", "better : worse", "words, mean", "95 %"):
            table.add_column(name, justify="right")
        for name, one in self.figures["policies"].items():
            low, high = one["interval"]
            table.add_row(
                name,
                f"{one['ndcg10']:.4f}",
                f"{one['recall100']:.4f}",
                f"{low:+.4f} to {high:+.4f}",
                f"{one['wins']} : {one['losses']}",
                f"{one['terms_mean']:.2f}",
                f"{one['terms_p95']:.0f}",
            )
        return table


async def run_evaluation(options: EvaluateOptions, settings: Settings, on_progress: OnProgress) -> Evaluation:
    """Judge the policies against the OpenSearch of the settings; leave nothing behind in it.

    Raises:
        Permanent: a file, a policy's name or the store is not what it must be, or the newest version is of
            another base model.
        Corrupt: the newest version's manifest or file is damaged.
        SearchFailed: OpenSearch gave no answer.
    """
    settings = with_plain_query(settings)
    unknown = [name for name in options.policies if name not in POLICIES]
    if unknown or not options.policies:
        raise Permanent(f"--policies: {', '.join(unknown) or 'none'}; known: {', '.join(POLICIES)}")
    judgments = read_judgments(options.judgments, options.split)
    relevant = judgments.relevant(options.relevant_from)
    rewriters = await asyncio.to_thread(_rewriters, options, settings)
    products = list(lines(options.catalogue, "catalogue"))
    async with indexed(products, settings.opensearch, "evaluate", on_progress) as catalogue:
        systems = Systems(catalogue, titles_of(products), settings, rewriters, on_progress)
        queries = sorted(relevant)
        answers = {name: await systems.answer(name, queries) for name in ("raw", *options.policies)}
    figures = figures_of(options, judgments, relevant, answers)
    return Evaluation(figures=figures | {"run": _run(options, settings)})


def _run(options: EvaluateOptions, settings: Settings) -> dict[str, Any]:
    """Return how it was judged."""
    return made_by(options.command) | {
        "catalogue": options.catalogue.name,
        "judgments": options.judgments.name,
        "store": without_secrets(str(options.store or "")),
        "model": settings.policy.model,
        "seed": options.seed,
    }


def _rewriters(options: EvaluateOptions, settings: Settings) -> dict[str, ServingPolicy]:
    """Load the models before anything is indexed: a missing version is told at once."""
    found: dict[str, ServingPolicy] = {}
    if "latest" in options.policies:
        if options.store is None:
            raise Permanent("--policies latest needs --store, the folder or URL of a learner's weights")
        found["latest"] = ServingPolicy(newest_policy(AdapterStore(options.store), settings.policy), settings)
    if "base" in options.policies:
        found["base"] = ServingPolicy(Policy.load(settings.policy), settings)
    return found


class Systems:
    """Everything that can answer."""

    def __init__(
        self,
        catalogue: Catalogue,
        titles: Mapping[str, str],
        settings: Settings,
        rewriters: Mapping[str, ServingPolicy],
        on_progress: OnProgress,
    ) -> None:
        self._catalogue = catalogue
        self._search = RememberedSearch(catalogue)
        self._rm3 = Rm3(search=self._search, titles=titles)
        self._settings = settings
        self._rewriters = rewriters
        self._tell = on_progress

    async def answer(self, name: str, queries: Sequence[str]) -> Answered:
        """Return what a policy finds for each query."""
        nothing = [""] * len(queries)
        self._tell(name, 0, len(queries))
        if name == "rm3":
            return Answered(lists=await self._rm3.order(queries), texts=nothing)
        if name == "spelling":
            corrected = await self._catalogue.corrected(queries, purpose=PURPOSE)
            pages = await self._search([Plan(user_query=q) for q in corrected], size=RECALL_DEPTH)
            lists = [list(page.object_ids) for page in pages]
            return Answered(lists=lists, texts=nothing, instead=corrected)
        texts = nothing if name == "raw" else await self._written(name, queries)
        return Answered(lists=await rewritten(self._search, queries, texts, self._settings.plan), texts=texts)

    async def _written(self, name: str, queries: Sequence[str]) -> list[str]:
        texts: list[str] = []
        for start in range(0, len(queries), BATCH):
            some = await self._rewriters[name].rewrite(queries[start : start + BATCH], VerifiedIndex())
            texts += [one.text for one in some]
            self._tell(name, len(texts), len(queries))
        return texts


def figures_of(
    options: EvaluateOptions,
    judgments: Judgments,
    relevant: Mapping[str, frozenset[str]],
    answers: Mapping[str, Answered],
) -> dict[str, Any]:
    """Return what the answers are worth; ``raw`` is among them whether it was asked for or not."""
    queries = sorted(relevant)
    groups = clusters(queries)
    gains = [dict.fromkeys(relevant[q], 1.0) for q in queries]
    by_policy = {
        name: [ndcg(ids, g) for ids, g in zip(answered.lists, gains, strict=True)]
        for name, answered in answers.items()
    }
    raw = by_policy["raw"]

    def of(answered: Answered, scores: Sequence[float]) -> dict[str, Any]:
        found = [recall(ids, relevant[q]) for q, ids in zip(queries, answered.lists, strict=True)]
        differences = [score - base for score, base in zip(scores, raw, strict=True)]
        bounds = interval(differences, [1.0] * len(queries), groups, seed=options.seed)
        terms = sorted(len(text.split()) for text in answered.texts)
        return {
            "ndcg10": mean(scores),
            "recall100": mean(found),
            "wins": sum(d > _TIE for d in differences),
            "losses": sum(d < -_TIE for d in differences),
            "over_raw": bounds.mean,
            "interval": [bounds.low, bounds.high],
            "terms_mean": mean([float(n) for n in terms]),
            "terms_p95": terms[min(len(terms) - 1, int(0.95 * len(terms)))],
        }

    return {
        "policies": {name: of(answers[name], by_policy[name]) for name in options.policies},
        "queries": len(queries),
        "clusters": len(set(groups)),
        "split": options.split,
        "relevant_from": options.relevant_from,
        "without_relevant": len(judgments.by_query) - len(queries),
        "bad_lines": [{"file": b.file, "line": b.line, "reason": b.reason} for b in judgments.bad],
        "by_query": [
            {
                "query": query,
                "ndcg10": {name: scores[i] for name, scores in by_policy.items()},
                "texts": {name: one.texts[i] for name, one in answers.items() if one.texts[i]},
                "instead": {name: one.instead[i] for name, one in answers.items() if one.instead},
            }
            for i, query in enumerate(queries)
        ],
    }
