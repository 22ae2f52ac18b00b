"""What holds of every command: help, JSON, completion, exit codes, errors that name the next step."""

import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from agent.cli import app, main

pytestmark = pytest.mark.usefixtures("signals")
LASTING = {"serve", "collector", "verifier", "learner", "release", "exporter"}
"""Processes: they tell by logs and metrics."""


def commands(of: Any = None, *path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Click's
    """Yield every command with its name."""
    node = get_command(app) if of is None else of
    if not hasattr(node, "commands"):
        yield " ".join(path), node
        return
    for name, one in node.commands.items():
        yield from commands(one, *path, name)


COMMANDS = list(commands())


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_and_every_option_says_what_it_is(name: str, command: Any) -> None:  # noqa: ANN401
    assert command.help
    silent = [one.name for one in command.params if not getattr(one, "help", None)]
    assert silent == []
    has_json = any("--json" in one.opts for one in command.params)
    assert has_json == (name not in LASTING)


def test_help_tells_exit_codes_completion_and_the_doctor() -> None:
    done = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0
    for words in ("A query rewriter", "130 Ctrl-C", "--install-completion", "unseen doctor"):
        assert words in " ".join(done.stdout.split())


def test_it_says_its_version() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"unseen {version('unseen')}\n")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("unseen doc", "doctor"), ("unseen quarantine rel", "release"), ("unseen pause le", "learning")],
)
def test_a_shell_completes_commands_and_their_words(typed: str, offered: str) -> None:
    env = {"_UNSEEN_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = CliRunner().invoke(app, [], prog_name="unseen", env=env)
    assert offered in done.stdout.split()


@pytest.mark.parametrize(
    "words",
    [
        ["backtest", "--catalogue", "/none", "--clicks", __file__],
        ["backtest", "--catalogue", __file__, "--clicks", "/none"],
        ["evaluate", "--catalogue", __file__, "--judgments", "/none"],
        ["train", "--catalogue", __file__, "--store", "/s", "--judgments", "/none"],
        ["train", "--catalogue", __file__, "--store", "/s", "--clicks", "/none"],
    ],
)
def test_a_file_that_is_not_there_is_told_before_a_server_is_started(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def starts(*_: object, **__: object) -> None:
        raise AssertionError("something was started")

    monkeypatch.setattr("agent.demo.stack.Stack.start", starts)
    assert failed(words, monkeypatch, capsys).startswith("unseen: /none cannot be read: No such file")


def test_a_word_that_is_none_of_those_is_told_with_them() -> None:
    done = CliRunner().invoke(app, ["pause", "everything"], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "'learning', 'releases'" in done.stderr


def failed(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line that a command which fails says."""
    monkeypatch.setattr(sys, "argv", ["unseen", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_server_that_is_away_is_one_line_that_names_the_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNSEEN_REDIS__STATE_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("UNSEEN_OPENSEARCH__URL", "http://127.0.0.1:1")
    for words, begins in (
        (["status"], "unseen: redis: "),
        (["templates"], "unseen: OpenSearch gave no answer"),
    ):
        line = failed(words, monkeypatch, capsys)
        assert line.startswith(begins)
        assert "`unseen doctor`" in line


def test_a_file_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("agent.demo.run.run_demo", lambda *_: (tmp_path / "no" / "folder").write_text("x"))
    assert failed(["demo"], monkeypatch, capsys).startswith("unseen: [Errno 2]")


def test_the_demo_s_report_stands_alone_on_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def demo(_: object, console: Any) -> dict[str, int]:  # noqa: ANN401 - rich's
        console.print("OpenSearch started")
        return {"queries": 3}

    monkeypatch.setattr("agent.demo.run.run_demo", demo)
    done = CliRunner().invoke(app, ["demo", "--json"])
    assert json.loads(done.stdout) == {"queries": 3}
    assert "OpenSearch started" in done.stderr
