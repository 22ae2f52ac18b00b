"""Long requests, a policy trained on labels: `python -m tests.bench.learning amazon --data DIR --json`."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.demo.stack import Stack
from agent.evaluate.files import lines
from agent.evaluate.judgments import read_judgments
from agent.evaluate.labelled import Systems
from agent.evaluate.products import indexed, titles_of
from agent.settings import Settings
from tests.bench.learning.held_out import split_off
from tests.bench.learning.judging import Judge, Lists
from tests.bench.learning.learners import learn_all
from tests.bench.learning.options import Options
from tests.bench.learning.policies import BASE, loaded
from tests.bench.learning.worker import Task, tell
from tests.bench.servers import search_server

NAME = "amazon_c4"
LEARNER = {
    "queries_a_step": 8,
    "group": 12,
    "depth": 100,
    "imitate_a_step": 0,
    "held_back_share": 0.0,
    "fresh_share": 1.0,
}
"""With one relevant object a request, ten ranks would leave most groups without a difference. Tried on a
held-out fifth of the train split (`--held-out`)."""
POLICY = {"neighbours": 0, "long_max_new_tokens": 10}
UNTRAINED = ("raw", "rm3", "spelling", BASE)


async def run(options: Options) -> dict[str, Any]:
    """Train a policy a seed, judge all of them and the baselines.

    Raises:
        Permanent: the data set is not there.
    """
    catalogue, judgments = (options.file(NAME, f) for f in ("catalogue.jsonl.gz", "judgments.tsv.gz"))
    with Stack() as stack, tempfile.TemporaryDirectory() as temporary:
        search = search_server(stack, options.opensearch, is_quick=options.quick)
        folder = Path(temporary)
        judged = split_off(judgments, folder) if options.held_out else judgments
        chosen: dict[str, Any] = {
            "opensearch": {"url": search.url, "fields": ["title"]},
            "policy": {**POLICY, "model": options.model},
            "learner": LEARNER,
        }
        stores = [folder / f"seed-{seed}" for seed in range(options.seeds)]
        learned = await learn_all(_tasks(options, catalogue, judged, chosen, stores), options.at_once)
        judge = Judge(read_judgments(judged, "dev").relevant(1.0))
        answers = await answered(catalogue, judge.queries, stores, Settings.model_validate(chosen))
    against = {name: answers[name][0] for name in UNTRAINED}
    return {
        "opensearch": search.note,
        "queries": len(judge.queries),
        "clusters": len(set(judge.groups)),
        "judged": "a held-out fifth of train" if options.held_out else "dev",
        "policies": {name: judge.figures(lists, against) for name, lists in answers.items()},
        "learned": learned,
    }


def _tasks(
    options: Options, catalogue: Path, judgments: Path, chosen: dict[str, Any], stores: Sequence[Path]
) -> list[Task]:
    return [
        Task(
            catalogue=str(catalogue),
            store=str(store),
            judgments=str(judgments),
            split="train",
            relevant_from=1.0,
            minutes=options.minutes,
            updates=options.updates,
            seed=seed,
            threads=options.threads,
            settings=chosen,
        )
        for seed, store in enumerate(stores)
    ]


async def answered(
    catalogue: Path, queries: Sequence[str], stores: Sequence[Path], settings: Settings
) -> Mapping[str, list[Lists]]:
    """Return each system's lists; of the trained policy, a seed each."""
    products = list(lines(catalogue, "catalogue"))
    seeds = {f"seed {i}": store for i, store in enumerate(stores)}
    policies = loaded(seeds, settings)
    async with indexed(products, settings.opensearch, "bench", tell) as index:
        systems = Systems(index, titles_of(products), settings, policies, tell)
        found = {name: (await systems.answer(name, queries)).lists for name in (*UNTRAINED, *seeds)}
    return {**{name: [found[name]] for name in UNTRAINED}, "trained": [found[name] for name in seeds]}
