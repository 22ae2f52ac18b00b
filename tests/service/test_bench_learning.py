"""The tables of labelled data on a little data set and a random model: whole, and every system in them."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from agent.errors import Permanent
from agent.settings import Settings
from tests.bench.learning import amazon, homedepot, limits
from tests.bench.learning.held_out import split_off
from tests.bench.learning.options import Options
from tests.bench.learning.shopping import PAGES_A_QUERY, Shelf, Shoppers

pytestmark = pytest.mark.timeout(400)
WORDS = ("grey", "oak", "steel", "soft", "tall", "red", "round", "old")
THINGS = ("chair", "table", "lamp")
LONG = "i am looking for a {word} {thing} for my mother who likes such things very much"


def write(folder: Path, query: str) -> Path:
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


def options(data: Path, opensearch_url: str) -> Options:
    return Options(data=data, seeds=1, minutes=0.05, model="tiny", opensearch=opensearch_url, at_once=2)


async def test_long_requests_are_judged_by_every_system(tmp_path: Path, opensearch_url: str) -> None:
    write(tmp_path / amazon.NAME, LONG)
    table = await amazon.run(options(tmp_path, opensearch_url))
    assert set(table["policies"]) == {"raw", "rm3", "spelling", "base", "trained"}
    assert table["queries"] == 6
    assert table["learned"][0]["updates"] > 0
    assert table["policies"]["raw"]["ndcg10"] == pytest.approx(1.0)  # its two words find the one object
    assert table["policies"]["raw"]["over"]["raw"]["interval"] == [0.0, 0.0]


async def test_what_limits_the_policy_is_told_of_both_data_sets(tmp_path: Path, opensearch_url: str) -> None:
    write(tmp_path / homedepot.NAME, "{thing}")
    write(tmp_path / amazon.NAME, LONG)
    found = await limits.run(options(tmp_path, opensearch_url))
    short, long = (found[name] for name in (homedepot.NAME, amazon.NAME))
    assert short["queries"] == 3  # chair, table and lamp, six of whose eight are relevant
    word = short["best word of a relevant title"]
    assert word["ndcg10"] > short["raw"]["ndcg10"] > 0.5
    assert (word["better"], word["worse"]) == (3, 0)
    assert long["queries"] == 18
    for one in (short, long):
        assert one["best of 16 draws"]["ndcg10"] >= one["best of 4 draws"]["ndcg10"]
        assert one["raw"]["better"] == one["raw"]["worse"] == 0


async def test_clicks_teach_beside_labels(tmp_path: Path, opensearch_url: str) -> None:
    write(tmp_path / homedepot.NAME, "{thing} {word}")
    table = await homedepot.run(options(tmp_path, opensearch_url))
    world = table["worlds"]["position"]
    assert world["pages"] == PAGES_A_QUERY * 18
    assert world["clicks"] > 0
    assert world["queries_with_evidence"] == 18
    assert {"labels", "clicks cascade", "ladder distance", "popularity position"} <= set(table["policies"])
    assert set(table["of_the_gain_from_labels"]) == {"position", "cascade", "distance"}


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="is missing"):
        options(tmp_path, "").file("amazon_c4", "catalogue.jsonl.gz")


def test_shoppers_click_what_is_relevant_and_only_what_they_are_shown() -> None:
    shelf = Shelf(query="couch", raw=("bad", "good"), relevance={"good": 3.0, "unseen": 3.0})
    shoppers = Shoppers("position", [shelf], Settings(), seed=0)
    events = [event for _, clicks in shoppers.visits(400) for event in clicks]
    clicked = Counter(event.object_id for event in events)
    assert set(clicked) == {"good", "bad"}
    assert 120 < clicked["good"] < 190  # .6 of 400, looked at with a chance of 2 ** -.65
    assert clicked["bad"] < 20  # .02 of 400
    assert {event.ordinal for event in events if event.object_id == "good"} == {2}


def test_the_held_out_slice_reads_nothing_of_the_judged_one(tmp_path: Path) -> None:
    data = write(tmp_path / "d", LONG)
    text = gzip.decompress(split_off(data / "judgments.tsv.gz", tmp_path).read_bytes()).decode()
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    assert len(rows) == 18
    assert {row[0] for row in rows} <= {"train", "dev"}
    assert not any(word in row[1].split() for row in rows for word in WORDS[:2])
