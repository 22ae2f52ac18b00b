"""A slice of the train split that stands in for the judged one while settings are chosen."""

import gzip
from collections.abc import Collection
from pathlib import Path

from agent.evaluate.bootstrap import clusters
from agent.evaluate.judgments import read_judgments
from feedback.text import bucket

PARTS = 5
HEADER = "split\tquery\tproduct_id\trelevance\n"


def split_off(judgments: Path, folder: Path) -> Path:
    """Write the train split's labels anew: a fifth of its query clusters is ``dev``, the rest ``train``.

    The file's own dev split is left out: nothing of it is read.
    """
    by_query = read_judgments(judgments, "train").by_query
    queries = sorted(by_query)
    numbers = clusters(queries)
    names: dict[int, str] = {}
    for query, number in zip(queries, numbers, strict=True):
        names.setdefault(number, query)  # the least of the cluster
    path = folder / "held-out.tsv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(HEADER)
        for query, number in zip(queries, numbers, strict=True):
            split = "train" if bucket(names[number], PARTS, salt="held-out") else "dev"
            file.writelines(f"{split}\t{query}\t{d}\t{r}\n" for d, r in by_query[query].items())
    return path


def only(judgments: Path, queries: Collection[str], folder: Path) -> Path:
    """Write the train split's labels of these queries alone."""
    by_query = read_judgments(judgments, "train").by_query
    path = folder / "teaching.tsv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(HEADER)
        for query in sorted(queries):
            file.writelines(f"train\t{query}\t{d}\t{r}\n" for d, r in by_query[query].items())
    return path
