"""Clicks in place of labels: `python -m tests.bench.learning homedepot --data DIR --json`.

One policy learns from labels; three learn, for the same time and on the same queries, each from what shoppers
of one click model did whose wishes are those labels. All are judged on labels of queries that nobody taught.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.evaluate.backtest_answers import RememberedSearch
from agent.evaluate.baselines import ClickMemory, Popularity, rewritten
from agent.evaluate.files import lines
from agent.evaluate.judgments import read_judgments
from agent.evaluate.labelled import Systems
from agent.evaluate.metrics import DEPTH
from agent.evaluate.products import indexed, titles_of
from agent.lending import lend
from agent.retrieval import Catalogue
from agent.serve.deciding import decide
from agent.settings import Settings
from feedback.records import Rewrite
from feedback.text import normalise
from tests.bench.learning.held_out import only, split_off
from tests.bench.learning.judging import Judge, Lists
from tests.bench.learning.learners import learn_all
from tests.bench.learning.options import Options
from tests.bench.learning.policies import BASE, loaded, sampled
from tests.bench.learning.shopping import Shelf
from tests.bench.learning.worker import Task, tell, write
from tests.bench.learning.worlds import Taught, taught
from tests.bench.propensity import MODELS
from tests.bench.servers import servers

NAME = "homedepot"
RELEVANT_FROM = 2.33
QUERIES = 800
"""That teach: about as many as a policy gets to see in the time."""
POOL = 4
"""Rewrites of a query that the explore arm shows."""
LEARNER = {"imitate_a_step": 0, "held_back_share": 0.0, "fresh_share": 1.0}
UNTRAINED = ("raw", "rm3", "spelling", BASE)


async def run(options: Options) -> dict[str, Any]:
    """Let shoppers shop, train on labels and on clicks, judge all and the baselines.

    Raises:
        Permanent: the data set is not there.
    """
    with servers(opensearch=options.opensearch, is_quick=options.quick) as (folder, redis, search):
        chosen: dict[str, Any] = {
            "redis": {"state_url": redis.url},
            "opensearch": {"url": search.url, "fields": ["title"]},
            "policy": {"neighbours": 0, "model": options.model},
            "learner": LEARNER,
        }
        table = Homedepot(options, chosen, folder)
        return {"opensearch": search.note, **await table.figures()}


class Homedepot:
    """One run."""

    def __init__(self, options: Options, chosen: dict[str, Any], folder: Path) -> None:
        self._options = options
        self._chosen = chosen
        self._settings = Settings.model_validate(chosen)
        self._folder = folder
        self._catalogue = options.file(NAME, "catalogue.jsonl.gz")
        given = options.file(NAME, "judgments.tsv.gz")
        self._judgments = split_off(given, folder) if options.held_out else given
        self._teaching = self._drawn()
        self._judge = Judge(read_judgments(self._judgments, "dev").relevant(RELEVANT_FROM))

    def _drawn(self) -> list[str]:
        """Return the queries that teach."""
        taught = sorted(read_judgments(self._judgments, "train").relevant(RELEVANT_FROM))
        return sorted(random.Random(0).sample(taught, min(QUERIES, len(taught))))

    async def figures(self) -> dict[str, Any]:
        """Return the table."""
        products = list(lines(self._catalogue, "catalogue"))
        async with indexed(products, self._settings.opensearch, "bench", tell) as index:
            shelves = await self._shelves(index)
            worlds = {model: await self._world(model, shelves, index) for model in MODELS}
            stores = {name: self._folder / name.replace(" ", "-") for name in self._learners()}
            learned = await learn_all(self._tasks(stores), self._options.at_once)
            policies = loaded(stores, self._settings)
            systems = Systems(index, titles_of(products), self._settings, policies, tell)
            answers = {n: await systems.answer(n, self._judge.queries) for n in (*UNTRAINED, *stores)}
            lists: dict[str, Sequence[Lists]] = {name: [one.lists] for name, one in answers.items()}
            lists["labels"] = [lists.pop(name)[0] for name in stores if name.startswith("labels")]
            for model, world in worlds.items():
                texts = answers[f"clicks {model}"].texts
                lists |= await self._known(model, world, index, texts)
        against = {name: lists[name][0] for name in UNTRAINED}
        policies_of = {name: self._judge.figures(some, against) for name, some in lists.items()}
        return {
            "judged": "a held-out fifth of train" if self._options.held_out else "dev",
            "queries": len(self._judge.queries),
            "clusters": len(set(self._judge.groups)),
            "teaching": len(self._teaching),
            "worlds": {model: world.figures for model, world in worlds.items()},
            "policies": policies_of,
            "of_the_gain_from_labels": _shares(policies_of),
            "learned": dict(zip(stores, learned, strict=True)),
        }

    async def _shelves(self, index: Catalogue) -> list[Shelf]:
        """Return what pages can show: the shop's list, and those of the untrained policy's rewrites."""
        relevance = read_judgments(self._judgments, "train").by_query
        drawn = await sampled(self._teaching, self._settings, POOL)
        asked = [(q, text) for q in self._teaching for text in ("", *dict.fromkeys(filter(None, drawn[q])))]
        queries, texts = zip(*asked, strict=True)
        found = await rewritten(RememberedSearch(index), queries, texts, self._settings.plan)
        page = {pair: tuple(ids[:DEPTH]) for pair, ids in zip(asked, found, strict=True)}
        return [
            Shelf(
                query=q,
                raw=page[q, ""],
                explored=tuple((t, page[q, t]) for t in dict.fromkeys(drawn[q]) if t and page[q, t]),
                relevance=relevance[q],
            )
            for q in self._teaching
        ]

    async def _world(self, model: str, shelves: Sequence[Shelf], index: Catalogue) -> Taught:
        own = self._settings.model_copy(update={"tenant": f"bench-{model}"})
        world = await taught(model, shelves, index, own)
        write(world.evidence, self._evidence(model))
        return world

    def _evidence(self, model: str) -> Path:
        return self._folder / f"evidence-{model}.json"

    def _learners(self) -> list[str]:
        labels = [f"labels {seed}" for seed in range(self._options.seeds)]
        return [*labels, *(f"clicks {model}" for model in MODELS)]

    def _tasks(self, stores: Mapping[str, Path]) -> list[Task]:
        labels = only(self._judgments, self._teaching, self._folder)
        tasks = []
        for name, store in stores.items():
            source, _, which = name.partition(" ")
            tasks.append(
                Task(
                    catalogue=str(self._catalogue),
                    store=str(store),
                    judgments=str(labels),
                    split="train",
                    relevant_from=RELEVANT_FROM,
                    minutes=self._options.minutes,
                    updates=self._options.updates,
                    seed=int(which) if source == "labels" else 0,
                    threads=self._options.threads,
                    settings=self._chosen,
                    evidence="" if source == "labels" else str(self._evidence(which)),
                )
            )
        return tasks

    async def _known(
        self, model: str, world: Taught, index: Catalogue, texts: Sequence[str]
    ) -> dict[str, Sequence[Lists]]:
        """Return what a world's clicks and verdicts give without and with its policy."""
        queries, search, plan = self._judge.queries, RememberedSearch(index), self._settings.plan
        raw = await rewritten(search, queries, [""] * len(queries), plan)
        memory, popularity = ClickMemory(world.clicks), Popularity.of(world.clicks)
        asked = [world.verdicts.get(normalise(query)) for query in queries]
        lent = await lend(queries, world.verdicts, search, self._settings)
        said = [Rewrite(text=text) for text in texts]
        ladder = await decide(queries, said, lent, world.verdicts, search, self._settings)
        served = {
            "verified": [one.text if one and one.settled else "" for one in asked],
            "nearest": lent,
            "ladder": [one.text for one in ladder],
        }
        found = {name: await rewritten(search, queries, some, plan) for name, some in served.items()}
        found["click memory"] = [memory.order(normalise(q), ids) for q, ids in zip(queries, raw, strict=True)]
        found["popularity"] = [popularity.order(ids) for ids in raw]
        found["ladder under click memory"] = [
            memory.order(normalise(q), ids) for q, ids in zip(queries, found["ladder"], strict=True)
        ]
        return {f"{name} {model}": [lists] for name, lists in found.items()}


def _shares(policies: Mapping[str, Any]) -> dict[str, float]:
    """Return each click-taught policy's gain over raw as a share of what labels gave."""
    full = policies["labels"]["over"]["raw"]["gain"]
    return {
        model: policies[f"clicks {model}"]["over"]["raw"]["gain"] / full if full else 0.0 for model in MODELS
    }
