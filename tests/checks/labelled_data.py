"""A little labelled data set in the files' format, of things in words that their titles have."""

import gzip
import json
from pathlib import Path

WORDS = ("grey", "oak", "steel", "soft", "tall", "red", "round", "old")
THINGS = ("chair", "table", "lamp")
LONG = "i am looking for a {word} {thing} for my mother who likes such things very much"


def write(folder: Path, query: str) -> Path:
    """Write catalogue and judgments into a folder that is made; the first two words' queries are for dev."""
    folder.mkdir()
    titles = {f"{thing}-{word}": f"{word} {thing}" for thing in THINGS for word in WORDS}
    products = [json.dumps({"product_id": name, "title": title}) for name, title in titles.items()]
    split = dict.fromkeys(WORDS, "train") | dict.fromkeys(WORDS[:2], "dev")
    rows = [
        f"{split[word]}\t{query.format(word=word, thing=thing)}\t{thing}-{word}\t3"
        for thing in THINGS
        for word in WORDS
    ]
    for name, text in (
        ("catalogue.jsonl.gz", "\n".join(products)),
        ("judgments.tsv.gz", "\n".join(["split\tquery\tproduct_id\trelevance", *rows])),
    ):
        (folder / name).write_bytes(gzip.compress(text.encode()))
    return folder
