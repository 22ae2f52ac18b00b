"""Commands about the evidence: an error is one line, and knowing nothing is said."""

import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.cli import app, main
from agent.evaluate.exploration import table

pytestmark = pytest.mark.usefixtures("signals")


@pytest.mark.parametrize(
    "command",
    [
        ["ranks"],
        ["evidence", "couch"],
        ["half-life"],
        ["exploration"],
        ["lending"],
        ["explain", "couch"],
        ["lineage", "--version", "1"],
        ["report", "--json"],
    ],
)
def test_without_redis_a_command_says_so_in_one_line(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNSEEN_REDIS__STATE_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(sys, "argv", ["unseen", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("unseen: redis: ")


def test_an_empty_query_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["unseen", "evidence", " \u200b "])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err.strip() == "unseen: the query is empty"


def test_a_query_of_which_nothing_is_known_gets_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell(*_: object, **__: object) -> dict[str, Any]:
        return {"query": "couch", "objects": []}

    monkeypatch.setattr("agent.verify.telling.tell", tell)
    told = CliRunner().invoke(app, ["evidence", "Couch"])
    assert told.stdout == "no page or click of 'couch' is known\n"


def test_days_before_the_calendar_are_refused() -> None:
    told = CliRunner().invoke(app, ["exploration", "--days", "10000000"])
    assert told.exit_code == 2


def test_a_report_of_nothing_says_so() -> None:
    assert "nothing was explored" in str(table({"days": 7, "bands": {}}).caption)
