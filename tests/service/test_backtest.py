"""A played log on real Redis and OpenSearch: what it learns, what it may not know, what it leaves behind."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis
from report_html import Parsed

from agent.errors import Permanent
from agent.evaluate.backtest import BacktestOptions, run_backtest
from agent.evaluate.backtest_answers import Answerer, Rewriter
from agent.evaluate.backtest_figures import Answer
from agent.evaluate.baselines import Clicks
from agent.evaluate.report import Report
from agent.settings import Settings
from feedback.evidence.neighbours import VerifiedIndex
from tests.service.backtest_log import CALLED, Line, asked, catalogue, clicks, object_of

pytestmark = pytest.mark.timeout(180)
SLICES_BEFORE = 9
"""Answers are asked for nine slices, then for the judged part, then for the steps that learn on."""
FIRST_JUDGED = 540


def settings(redis_url: str, opensearch_url: str) -> Settings:
    return Settings.model_validate(
        {
            "redis": {"state_url": redis_url, "partitions": 2},
            "opensearch": {"url": opensearch_url},
            "policy": {"model": "tiny"},
        }
    )


@dataclass(frozen=True)
class Played:
    """A run with all that was answered in it, in order."""

    report: Report
    answers: list[dict[str, Answer]]
    left_behind: list[bytes]


def play(own: Settings, folder: Path, log: Path, *, learn_s: float = 0.0) -> Played:
    given: list[dict[str, Answer]] = []
    answers = Answerer.answers

    async def recorded(
        self: Answerer, queries: Sequence[str], known: Clicks, index: VerifiedIndex, rewriter: Rewriter
    ) -> dict[str, Answer]:
        given.append(await answers(self, queries, known, index, rewriter))
        return given[-1]

    options = BacktestOptions(catalogue=catalogue(folder), clicks=(log,), learn_s=learn_s)
    with pytest.MonkeyPatch.context() as patch, Redis.from_url(own.redis.state_url) as redis:
        patch.setattr(Answerer, "answers", recorded)
        report = asyncio.run(run_backtest(options, own, lambda *_: None))
        return Played(report, given, list(redis.scan_iter(match="unseen:{backtest-*")))


@pytest.fixture(scope="module")
def own(redis_url: str, opensearch_url: str) -> Settings:
    return settings(redis_url, opensearch_url)


@pytest.fixture(scope="module")
def played(own: Settings, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The honest log, with one line that is none."""
    folder = tmp_path_factory.mktemp("honest")
    log = clicks(folder)
    log.write_text(log.read_text() + "half a line\n")
    return play(own, folder, log)


def test_shoppers_words_that_the_catalogue_lacks_are_learned_from_clicks(played: Played) -> None:
    figures = played.report.figures
    assert figures["empty"]["share"] > 0.1  # the bare word of the shoppers finds nothing
    assert figures["empty"]["raw"] == 0.0
    assert figures["empty"]["served"] > 0.5
    assert figures["ndcg10"]["served"] > figures["ndcg10"]["raw"] + 0.1
    assert figures["never_seen"]["nearest"] > figures["never_seen"]["raw"] == 0.0
    assert figures["wins"] >= len(CALLED)
    assert figures["losses"] <= 1
    assert figures["verified"]["queries"] >= len(CALLED)


def test_nothing_is_known_before_the_first_click(played: Played) -> None:
    first = played.report.figures["slices"][0]
    assert first["served"] == first["raw"] == first["click_memory"]
    assert first["verified"] == {"queries": 0, "of": 0}


def test_the_report_holds_what_was_promised_as_table_json_and_page(played: Played, tmp_path: Path) -> None:
    figures = played.report.figures
    assert {"raw", "served", "policy", "rm3", "click_memory"} <= figures["ndcg10"].keys()
    assert {"share", "raw", "served", "policy", "nearest", "worse"} <= figures["never_seen"].keys()
    assert {"share", "served"} <= figures["empty"].keys()
    assert {"share", "raw", "served", "click_memory"} <= figures["new_objects"].keys()
    assert {"wins", "losses", "verified", "slices", "seconds", "recall100", "learning_on"} <= figures.keys()
    assert {"queries", "of"} == figures["verified"].keys()
    assert [(b["line"], b["reason"]) for b in figures["log"]["bad_lines"]] == [
        (602, "1 columns instead of 5")
    ]
    assert any("no impressions" in note for note in figures["notes"])
    assert sum(part["clicks"] for part in figures["by_rung"].values()) == figures["clicks"] == 60
    places = played.report.save(tmp_path / "out" / "report.json")
    assert json.loads(places.figures.read_text()) == json.loads(json.dumps(figures))
    page = Parsed(places.page.read_text())
    assert page.faults() == []
    assert "vorhang" in page.text  # a query that found nothing and was answered
    assert {one["text"] for one in figures["by_query"] if one["rung"] == "raw"} == {""}
    assert any("curtain" in one["text"] for one in figures["by_query"])
    assert played.report.table() is not None


def test_nothing_is_left_in_redis(played: Played) -> None:
    assert played.left_behind == []


def poisoned(i: int) -> Line:
    """Click in the judged part on what the query never meant."""
    client, query, object_id = asked(i)
    return client, query, object_of("screw", "oak") if i >= FIRST_JUDGED else object_id


def test_no_click_reaches_anything_before_its_prediction_is_scored(
    played: Played, own: Settings, tmp_path: Path
) -> None:
    honest = played.answers
    given = play(own, tmp_path, clicks(tmp_path, click=poisoned)).answers
    assert len(honest) == len(given) == SLICES_BEFORE + 1 + 10
    assert honest[: SLICES_BEFORE + 1] == given[: SLICES_BEFORE + 1]
    assert honest[-1] != given[-1]  # where it learns on, the false clicks do tell


def test_the_live_learner_takes_part(own: Settings, tmp_path: Path) -> None:
    learner = play(own, tmp_path, clicks(tmp_path, n=200), learn_s=9.0).report.figures["learner"]
    assert learner["updates"] > 0
    assert learner["published"] + learner["refused"] > 0


@pytest.mark.parametrize("judge_from", [0.0, 1.0])
def test_a_judged_part_that_leaves_nothing_is_refused_before_anything_starts(
    tmp_path: Path, judge_from: float
) -> None:
    empty = BacktestOptions(catalogue=catalogue(tmp_path), clicks=(clicks(tmp_path),), judge_from=judge_from)
    nowhere = settings("redis://127.0.0.1:1/0", "http://127.0.0.1:1")
    with pytest.raises(Permanent, match="--judge-from"):
        asyncio.run(run_backtest(empty, nowhere, lambda *_: None))
