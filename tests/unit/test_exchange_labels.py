"""Public data sets' own files: made into ours, gone on with, and what is wrong in them named."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.errors import Permanent
from agent.evaluate.judgments import read_judgments
from agent.exchange import labels
from agent.exchange.datasets import amazon_c4, esci, homedepot
from agent.exchange.labels import Step, import_labels, split_of
from agent.retrieval.lines import Document, documents

DEPOT = """id,product_uid,product_title,search_term,relevance
2,100001,"Simpson 12-Gauge Angle, 2 in.",angle bracket,3.00
3,100001,"Simpson 12-Gauge Angle, 2 in.",l bracket,2.50
9,100002,"Deck \xae Over",deck over,1.33
10,100003,Lamp,lamp,much
11,100004,Lamp,lamp,3.5
12,100005,Lamp
"""
EXAMPLES = [
    {"query": "sofa", "product_id": "A", "product_locale": "us", "esci_label": "E", "small_version": 1},
    {"query": "sofa", "product_id": "B", "product_locale": "us", "esci_label": "S", "small_version": 0},
    {"query": "sofa", "product_id": "C", "product_locale": "us", "esci_label": "X", "small_version": 1},
    {"query": "silla", "product_id": "D", "product_locale": "es", "esci_label": "E", "small_version": 1},
]


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def products_of(out: Path) -> dict[str, dict[str, Any]]:
    found = documents((out / "products.jsonl").read_bytes().splitlines())
    return {one.object_id: one.fields for one in found if isinstance(one, Document)}


def test_homedepot_s_rows_become_products_and_judgments(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = import_labels(homedepot(written(tmp_path / "train.csv", DEPOT, "latin-1"), None), "h", out)
    assert (done.products, done.judgments, done.resumed) == (4, 3, False)
    catalogue = products_of(out)
    assert catalogue["100001"]["title"] == "Simpson 12-Gauge Angle, 2 in."
    assert catalogue["100002"]["title"] == "Deck ® Over"
    judged: dict[str, Mapping[str, float]] = {}
    for split in {split_of(query) for query in ("angle bracket", "l bracket", "deck over")}:
        judged |= read_judgments(out / "judgments.tsv", split).by_query
    assert judged == {
        "angle bracket": {"100001": 3.0},
        "l bracket": {"100001": 2.5},
        "deck over": {"100002": 1.33},
    }
    assert [(one.file, one.line, one.reason) for one in done.named] == [
        ("train.csv", 6, "3 columns instead of 5"),
        ("train.csv", 4, "relevance is no number"),
        ("train.csv", 5, "relevance lies outside 1 to 3"),
        ("train.csv", 6, "3 columns instead of 5"),
    ]


def test_homedepot_s_descriptions_stand_beside_the_titles(tmp_path: Path) -> None:
    train = written(tmp_path / "train.csv", DEPOT, "latin-1")
    more = written(
        tmp_path / "product_descriptions.csv",
        'product_uid,product_description\n100001,"Not only do angles\nmake joints stronger"\n7,alone\n',
    )
    import_labels(homedepot(train, more), "h", tmp_path / "out")
    catalogue = products_of(tmp_path / "out")
    assert catalogue["100001"]["description"] == "Not only do angles\nmake joints stronger"
    assert catalogue["100001"]["title"].startswith("Simpson")
    assert "title" not in catalogue["7"]


def parquet(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def csv_of(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    return written(path, "\n".join(lines) + "\n")


@pytest.mark.parametrize("write", [parquet, csv_of])
@pytest.mark.parametrize(("small", "judged"), [(False, {"A": 1.0, "B": 0.1}), (True, {"A": 1.0})])
def test_esci_s_labels_become_gains_of_one_locale(
    tmp_path: Path,
    write: Callable[[Path, Sequence[dict[str, Any]]], Path],
    small: bool,  # noqa: FBT001
    judged: dict[str, float],
) -> None:
    examples = write(tmp_path / "examples", [{**row, "split": "test"} for row in EXAMPLES])
    names = ["product_id", "product_locale", "product_title", "product_description"]
    names += ["product_bullet_point", "product_brand", "product_color"]
    goods = [("A", "us", "Sofa", "Soft", "Red", "Acme", ""), ("D", "es", "Silla", "", "", "", "")]
    products = write(tmp_path / "products", [dict(zip(names, one, strict=True)) for one in goods])
    steps = esci(examples, products, locale="us", small=small)
    done = import_labels(steps, "e", tmp_path / "out")
    assert read_judgments(tmp_path / "out" / "judgments.tsv", "test").by_query == {"sofa": judged}
    assert [(one.line, one.reason) for one in done.named] == [(3, "esci_label is none of E, S, C, I: 'X'")]
    assert products_of(tmp_path / "out") == {
        "A": {
            "product_id": "A",
            "object_id": "A",
            "title": "Sofa",
            "description": "Soft Red",
            "brand": "Acme",
        }
    }


def test_amazon_c4_s_requests_ask_for_one_item_each(tmp_path: Path) -> None:
    request = "I need wheels, \n that first stick"
    test = written(
        tmp_path / "test.csv", f'qid,query,item_id,user_id\n0,"{request}",B1,u\n1,{"x" * 513},B2,u\n'
    )
    metadata = written(
        tmp_path / "items.jsonl", '{"item_id": "B1", "category": "Tools", "metadata": "Wheels"}\n[]\n{\n'
    )
    done = import_labels(amazon_c4(test, metadata), "c", tmp_path / "out")
    query = "I need wheels, that first stick"
    judged = read_judgments(tmp_path / "out" / "judgments.tsv", split_of(query)).by_query
    assert judged == {query: {"B1": 1.0}}
    assert products_of(tmp_path / "out")["B1"]["title"] == "Wheels"
    assert [one.reason[:23] for one in done.named] == [
        "a query of more than 51",
        "no JSON object",
        "no JSON: Input data was",
    ]
    assert done.bad == 3


class KilledError(Exception):
    """Stands for the end of the process."""


def killed_at(steps: Sequence[Step], row: int) -> list[Step]:
    """Return the steps, the last of which ends the run at a row."""
    seen = 0

    def convert(content: Any) -> bytes | None:  # noqa: ANN401
        nonlocal seen
        seen += 1
        if seen == row:
            raise KilledError
        return steps[-1].convert(content)

    last = Step(path=steps[-1].path, target=steps[-1].target, convert=convert)
    return [*steps[:-1], last]


@pytest.mark.parametrize("row", [1, 3, 7, 12])
def test_an_import_that_was_killed_goes_on_and_its_files_are_as_if_nothing_had_been(
    tmp_path: Path, row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "EVERY", 3)
    rows = "".join(f"{n},word{n % 7},B{n % 9},u\n" for n in range(12))
    test = written(tmp_path / "test.csv", f"qid,query,item_id,user_id\n{rows}")
    items = written(tmp_path / "i", "".join(f'{{"item_id": "B{n % 9}", "title": "t"}}\n' for n in range(12)))
    import_labels(amazon_c4(test, items), "c", tmp_path / "whole")
    with pytest.raises(KilledError):
        import_labels(killed_at(amazon_c4(test, items), row), "c", tmp_path / "out")
    with (tmp_path / "out" / "products.jsonl").open("ab") as torn:
        torn.write(b'{"product_id": "torn')
    done = import_labels(amazon_c4(test, items), "c", tmp_path / "out")
    assert (done.products, done.judgments, done.resumed) == (9, 12, True)
    for name in ("products.jsonl", "judgments.tsv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    again = import_labels(amazon_c4(test, items), "c", tmp_path / "out")
    assert (again.products, again.judgments) == (9, 12)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    test = written(tmp_path / "test.csv", "query,item_id\nsofa,B\n")
    import_labels(amazon_c4(test, None), "one", tmp_path / "out")
    with pytest.raises(Permanent, match="other files"):
        import_labels(amazon_c4(test, None), "another", tmp_path / "out")
    mine = tmp_path / "mine"
    mine.mkdir()
    written(mine / "products.jsonl", "mine")
    with pytest.raises(Permanent, match="is there already"):
        import_labels(amazon_c4(test, None), "one", mine)
    assert (mine / "products.jsonl").read_text() == "mine"


@pytest.mark.parametrize(("content", "why"), [(b"PAR1nonsense", "cannot be read"), (None, "cannot be read")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "test.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Permanent, match=why):
        import_labels(amazon_c4(path, None), "c", tmp_path / "out")


def test_the_command_says_what_it_made(tmp_path: Path) -> None:
    train = written(tmp_path / "train.csv", DEPOT, "latin-1")
    options = ["import", "homedepot", "--train", str(train), "--out", str(tmp_path / "out"), "--json"]
    said = CliRunner().invoke(app, options)
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)
    assert (told["products"], told["judgments"], told["bad"]) == (4, 3, 4)
    assert "train.csv, line 4: relevance is no number" in said.stderr
