"""Commands that write reports: where they lie, what is refused before the work, what is printed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_figures import backtest, demo, labels
from report_html import Parsed
from typer.testing import CliRunner

from agent.cli import app, main
from agent.evaluate.labelled import Evaluation
from agent.evaluate.report import Report
from tests.unit.test_week_report import figures as week

pytestmark = pytest.mark.usefixtures("signals")
CATALOGUE = ("--catalogue", __file__)
COMMANDS: dict[str, tuple[str, ...]] = {
    "evaluate": ("evaluate", *CATALOGUE, "--judgments", __file__),
    "backtest": ("backtest", *CATALOGUE, "--clicks", __file__),
    "demo": ("demo",),
}


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Have each command's work done at once; return what it was asked for."""
    asked: dict[str, Any] = {}

    def does(name: str, result: object) -> Callable[..., object]:
        def work(options: object, *_: object, **__: object) -> object:
            asked[name] = options
            return result

        return work

    async def read(*_: object, **given: object) -> dict[str, Any]:
        asked["report"] = given
        return week()

    monkeypatch.setattr("agent.demo.labels.judge", does("evaluate", Evaluation(figures=labels(20))))
    monkeypatch.setattr("agent.demo.backtest.play", does("backtest", Report(figures=backtest(20))))
    monkeypatch.setattr("agent.demo.run.run_demo", does("demo", demo()))
    monkeypatch.setattr("agent.watching.week.read", read)
    return asked


@pytest.mark.parametrize("name", ["evaluate", "backtest"])
def test_a_report_is_a_page_beside_its_figures(name: str, tmp_path: Path, done: dict[str, Any]) -> None:
    told = CliRunner().invoke(app, [*COMMANDS[name], "--report", str(tmp_path / "new" / "r.json")])
    assert told.exit_code == 0, told.output
    assert "r.html; its figures as JSON" in told.stderr.replace("\n", "")
    page = Parsed((tmp_path / "new" / "r.html").read_text())
    assert page.faults() == []
    assert "Biggest wins" in page.text
    assert json.loads((tmp_path / "new" / "r.json").read_text())["by_query"]
    assert done[name].command.startswith("unseen ")


def test_the_demo_is_told_where_its_report_goes(tmp_path: Path, done: dict[str, Any]) -> None:
    told = CliRunner().invoke(app, ["demo", "--report", str(tmp_path / "r.json")])
    assert told.exit_code == 0, told.output
    assert (done["demo"].report, done["demo"].command[:7]) == (tmp_path / "r.json", "unseen ")


@pytest.mark.parametrize("name", [*COMMANDS, "report"])
def test_a_place_that_cannot_be_written_is_one_line_before_anything_starts(
    name: str,
    tmp_path: Path,
    done: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("")
    place = str(tmp_path / "file" / "r.json")
    words = ["report", "--out", place] if name == "report" else [*COMMANDS[name], "--report", place]
    monkeypatch.setattr(sys, "argv", ["unseen", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"unseen: the report {place} cannot be written: ")
    assert line.endswith("give another place")
    assert done == {}


def test_a_week_is_seven_days_and_lies_in_the_folder_of_reports(
    tmp_path: Path, done: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["report", "--week"], ["report"], ["report", "--week", "--days", "7"]):
        told = CliRunner().invoke(app, words)
        assert told.exit_code == 0, told.output
        assert done["report"]["days"] == 7
    assert {one.name for one in (tmp_path / "report").iterdir()} == {"week.html", "week.json"}
    assert Parsed((tmp_path / "report" / "week.html").read_text()).faults() == []


def test_other_days_are_looked_at_and_written_where_it_is_said(tmp_path: Path, done: dict[str, Any]) -> None:
    told = CliRunner().invoke(
        app, ["report", "--days", "30", "--out", str(tmp_path / "month.html"), "--json"]
    )
    assert told.exit_code == 0, told.output
    assert done["report"]["days"] == 30
    assert json.loads(told.stdout) == json.loads((tmp_path / "month.json").read_text())


def test_json_alone_writes_no_file(
    tmp_path: Path, done: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["report", "--json"])
    assert json.loads(told.stdout)["days"] == done["report"]["days"] == 7
    assert list(tmp_path.iterdir()) == []


def test_a_week_of_other_days_is_none(done: dict[str, Any]) -> None:
    told = CliRunner().invoke(app, ["report", "--week", "--days", "3"], env={"COLUMNS": "200"})
    assert told.exit_code == 2
    assert "--week is 7 days" in told.stderr
    assert done == {}
