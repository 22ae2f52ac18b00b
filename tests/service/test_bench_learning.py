"""What the tables of labelled data are made of; the tables themselves: `tests/story/test_benchmarks.py`."""

import gzip
from collections import Counter
from pathlib import Path

import pytest
from labelled_data import LONG, WORDS, write

from agent.errors import Permanent
from agent.settings import Settings
from tests.bench.learning.held_out import split_off
from tests.bench.learning.options import Options
from tests.bench.learning.shopping import Shelf, Shoppers


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="is missing"):
        Options(data=tmp_path).file("amazon_c4", "catalogue.jsonl.gz")


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
