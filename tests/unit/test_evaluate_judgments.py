"""Labels as they come: what is one split's, what cannot be used, and what the engine suggests."""

import gzip
from pathlib import Path

import pytest

from agent.errors import Permanent, SearchFailed
from agent.evaluate.judgments import read_judgments
from agent.retrieval.spelling import respelled

LINES = (
    "split\tquery\tproduct_id\trelevance\n"
    "dev\tgrey couch\tp1\t3.0\n"
    "dev\tgrey couch\tp2\t1.0\n"
    "train\those\tp3\t2.5\n"
    "dev\thalf a line\n"
    "dev\those\tp3\tmuch\n"
    "dev\those\tp3\tnan\n"
    "dev\t\tp3\t1\n"
    "dev\tlamp\tp4\t1.0\textra\n"
)


@pytest.mark.parametrize("packed", [False, True])
def test_a_split_is_read_and_bad_lines_are_named(tmp_path: Path, *, packed: bool) -> None:
    path = tmp_path / "labels"
    path.write_bytes(gzip.compress(LINES.encode()) if packed else LINES.encode())
    found = read_judgments(path, "dev")
    assert found.by_query == {"grey couch": {"p1": 3.0, "p2": 1.0}, "lamp": {"p4": 1.0}}
    assert [b.line for b in found.bad] == [5, 6, 7, 8]
    assert found.relevant(2.33) == {"grey couch": frozenset({"p1"})}


def test_a_split_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "labels.tsv"
    path.write_text(LINES)
    with pytest.raises(Permanent, match="its splits: dev, train"):
        read_judgments(path, "test")
    with pytest.raises(Permanent, match="cannot be read"):
        read_judgments(tmp_path / "none", "dev")


def test_suggestions_take_the_place_of_the_words() -> None:
    answer = {
        "suggest": {
            "spelling": [
                {"offset": 0, "length": 4, "options": [{"text": "grey"}]},
                {"offset": 5, "length": 5, "options": []},
                {"offset": 11, "length": 3, "options": [{"text": "seat"}]},
            ]
        }
    }
    assert respelled("gray couch sea", answer) == "grey couch seat"
    with pytest.raises(SearchFailed):
        respelled("gray", {"error": "no such index"})
