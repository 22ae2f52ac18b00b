"""Every benchmark as `make bench` runs it, in its `--quick` form: it ends well and says one JSON object.

What it measures so says nothing: sizes are the least that go from beginning to end, and the search engine is
the light stand-in. Two run at a time, for most of their time is waiting for servers.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest
from benchmarks import names
from documents import ROOT
from labelled_data import LONG, write

from tests.bench.learning import amazon, homedepot
from tests.bench.learning.shopping import PAGES_A_QUERY

MOST_S = 600.0
"""Less than a minute on two cores that nobody shares, the longest three."""
AT_ONCE = 2
pytestmark = [pytest.mark.timeout(MOST_S + 30), pytest.mark.usefixtures("redis_server")]


def run(*words: str) -> dict[str, Any]:
    """Run a benchmark as one types it; return what it says, once exit status and output hold."""
    command = [sys.executable, "-m", f"tests.bench.{words[0]}", *words[1:], "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=MOST_S, check=False)
    assert done.returncode == 0, done.stderr[-6000:] + done.stdout[-2000:]
    said = json.loads(done.stdout, parse_constant=no_number)
    assert isinstance(said, dict)
    return said


def no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


@pytest.fixture(scope="module")
def looks(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Any]]]:
    """Begin the quick looks that are asked for, in the order of the tests."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    asked = [
        str(item.callspec.params["name"])
        for item in items
        if item.originalname == test_a_quick_look_ends_well_with_one_json_object.__name__
    ]
    pool = ThreadPoolExecutor(AT_ONCE)
    yield {name: pool.submit(run, name) for name in asked}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", names())
def test_a_quick_look_ends_well_with_one_json_object(looks: Mapping[str, Future[Any]], name: str) -> None:
    looks[name].result()


def test_long_requests_are_judged_by_every_system(tmp_path: Path, opensearch_url: str) -> None:
    write(tmp_path / amazon.NAME, LONG)
    table = run("learning", "amazon", "--data", str(tmp_path), "--opensearch", opensearch_url)
    assert set(table["policies"]) == {"raw", "rm3", "spelling", "base", "trained"}
    assert table["queries"] == 6
    assert table["learned"][0]["updates"] > 0
    assert table["policies"]["raw"]["ndcg10"] == pytest.approx(1.0)  # its two words find the one object
    assert table["policies"]["raw"]["over"]["raw"]["interval"] == [0.0, 0.0]


def test_what_limits_the_policy_is_told_of_both_data_sets(tmp_path: Path, opensearch_url: str) -> None:
    write(tmp_path / homedepot.NAME, "{thing}")
    write(tmp_path / amazon.NAME, LONG)
    found = run("learning", "limits", "--data", str(tmp_path), "--opensearch", opensearch_url)
    short, long = (found[name] for name in (homedepot.NAME, amazon.NAME))
    assert short["queries"] == 3  # chair, table and lamp, six of whose eight are relevant
    word = short["best word of a relevant title"]
    assert word["ndcg10"] > short["raw"]["ndcg10"] > 0.5
    assert (word["better"], word["worse"]) == (3, 0)
    assert long["queries"] == 18
    for one in (short, long):
        assert one["best of 16 draws"]["ndcg10"] >= one["best of 4 draws"]["ndcg10"]
        assert one["raw"]["better"] == one["raw"]["worse"] == 0


def test_clicks_teach_beside_labels(tmp_path: Path, opensearch_url: str) -> None:
    write(tmp_path / homedepot.NAME, "{thing} {word}")
    table = run("learning", "homedepot", "--data", str(tmp_path), "--opensearch", opensearch_url)
    world = table["worlds"]["position"]
    assert world["pages"] == PAGES_A_QUERY * 18
    assert world["clicks"] > 0
    assert world["queries_with_evidence"] == 18
    assert {"labels", "clicks cascade", "ladder distance", "popularity position"} <= set(table["policies"])
    assert set(table["of_the_gain_from_labels"]) == {"position", "cascade", "distance"}
