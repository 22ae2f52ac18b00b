"""What limits the policy on labelled data: `python -m tests.bench.learning limits --data DIR --json`.

On train requests, untrained: what its likeliest rewrite is worth, what the best of several draws is, which is
all that learning from own samples can find at first, and what the best single word of a relevant title is,
which only who sees the catalogue can know.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.evaluate.backtest_answers import RememberedSearch
from agent.evaluate.baselines import rewritten
from agent.evaluate.files import lines
from agent.evaluate.judgments import read_judgments
from agent.evaluate.metrics import mean, ndcg
from agent.evaluate.products import indexed, titles_of
from agent.retrieval import Catalogue
from agent.settings import Settings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.text import normalise
from tests.bench.learning import amazon, homedepot
from tests.bench.learning.options import Options
from tests.bench.learning.policies import BASE, loaded, sampled
from tests.bench.learning.worker import tell
from tests.bench.servers import servers

QUERIES = 200
DRAWS = (1, 4, 16)
MOST_WORDS = 24
"""Words of relevant titles that are tried for a query."""
TIE = 1e-9


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Where labels lie, from which one an object is relevant, and how its requests are written."""

    name: str
    relevant_from: float
    policy: Mapping[str, Any]


DATA_SETS = (
    DataSet(name=homedepot.NAME, relevant_from=homedepot.RELEVANT_FROM, policy={"neighbours": 0}),
    DataSet(name=amazon.NAME, relevant_from=1.0, policy=amazon.POLICY),
)


async def run(options: Options) -> dict[str, Any]:
    """Return the figures of each data set; raises Permanent where one is not there."""
    files = {
        one.name: [options.file(one.name, f) for f in ("catalogue.jsonl.gz", "judgments.tsv.gz")]
        for one in DATA_SETS
    }
    found: dict[str, Any] = {}
    with servers(opensearch=options.opensearch, is_quick=options.quick) as (_, _, search):
        for one in DATA_SETS:
            catalogue, judgments = files[one.name]
            relevant = read_judgments(judgments, "train").relevant(one.relevant_from)
            settings = Settings.model_validate(
                {
                    "opensearch": {"url": search.url, "fields": ["title"]},
                    "policy": {**one.policy, "model": options.model, "threads": options.threads},
                }
            )
            products = list(lines(catalogue, "catalogue"))
            async with indexed(products, settings.opensearch, "bench", tell) as index:
                found[one.name] = await Limits(index, titles_of(products), settings).figures(relevant)
    return found


class Limits:
    """Tries rewrites on a catalogue."""

    def __init__(self, index: Catalogue, titles: Mapping[str, str], settings: Settings) -> None:
        self._search = RememberedSearch(index)
        self._titles = titles
        self._settings = settings

    async def figures(self, relevant: Mapping[str, frozenset[str]]) -> dict[str, Any]:
        """Return NDCG@10 by what is added, and how many queries each way can gain on."""
        queries = sorted(random.Random(0).sample(sorted(relevant), min(QUERIES, len(relevant))))
        policy = loaded({}, self._settings)[BASE]
        said = [one.text for one in await policy.rewrite(queries, VerifiedIndex())]
        drawn = await sampled(queries, self._settings, max(DRAWS))
        tried: dict[str, list[Sequence[str]]] = {
            "raw": [()] * len(queries),
            "likeliest": [(text,) for text in said],
            **{f"best of {n} draws": [tuple(drawn[q][:n]) for q in queries] for n in DRAWS},
            "best word of a relevant title": [self._words(q, relevant[q]) for q in queries],
        }
        best = {name: await self._best(queries, texts, relevant) for name, texts in tried.items()}
        return {"queries": len(queries)} | {
            name: {
                "ndcg10": mean(scores),
                "better": sum(s > r + TIE for s, r in zip(scores, best["raw"], strict=True)),
                "worse": sum(s < r - TIE for s, r in zip(scores, best["raw"], strict=True)),
            }
            for name, scores in best.items()
        }

    def _words(self, query: str, object_ids: frozenset[str]) -> tuple[str, ...]:
        words = {w for d in sorted(object_ids) for w in normalise(self._titles[d]).split()}
        return tuple(sorted(words - set(normalise(query).split()))[:MOST_WORDS])

    async def _best(
        self, queries: Sequence[str], texts: Sequence[Sequence[str]], relevant: Mapping[str, frozenset[str]]
    ) -> list[float]:
        """Return the NDCG@10 of each query's best text."""
        asked = [(q, text) for q, some in zip(queries, texts, strict=True) for text in some or ("",)]
        pages = await rewritten(
            self._search, [q for q, _ in asked], [text for _, text in asked], self._settings.plan
        )
        scores: dict[str, float] = {}
        for (q, _), ids in zip(asked, pages, strict=True):
            scores[q] = max(scores.get(q, 0.0), ndcg(ids, dict.fromkeys(relevant[q], 1.0)))
        return [scores[q] for q in queries]
