"""Holds a document's command against what would run it: our command line, benchmarks, Makefile, interface.

Each of `HANDLERS` raises `WrongError`, with what is wrong, and knows one program; `LEFT` are the programs of
others that cannot run where tests do, each with its reason.
"""

import argparse
import importlib
import json
import runpy
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import typer
from documents import ROOT, Command
from jsonschema import Draft202012Validator
from serve_fakes import World
from starlette.routing import Match

from agent.cli import app as cli
from agent.console import add_console
from agent.serve.gateway import make_app
from agent.settings import Settings

NUMBERS = {"N": "1", "M": "2", "VERSION": "1", "[N]": "1"}
"""What stands for a number in a sentence."""
WRITTEN = ("secrets/", "data/")
"""By `make-secrets`, and by what runs."""
usage = importlib.import_module(typer.BadParameter.__module__)
"""The errors of the parser below typer, which brings its own."""
INSTALLED = ("/opt/unseen/current", "/opt/unseen/0.1.0")
"""Where this repository lies on an operator's machine."""
LEFT: Mapping[str, str] = {
    "docker": "no Docker where tests run; tests/unit/test_deploy_*.py hold its files against schemas",
    "kubectl": "no cluster where tests run; tests/unit/test_deploy_kubernetes.py holds the objects",
    "systemctl": "no systemd where tests run; upgrade and rollback run with one that notes what it is told",
    "systemd-sysusers": "as root alone",
    "systemd-analyze": "run by tests/unit/test_deploy_systemd.py, where there is one",
    "grafana": "not a package of the tests; tests/story executes what its dashboards ask",
    "ray": "Ray's own command",
    "vllm": "needs a GPU; its interface is asked of a stand-in, tests/unit/test_vllm_engine.py",
    "openssl": "not ours",
    "git": "not ours",
    "cut": "a reader's own file",
    "rm": "what the line before wrote",
}
RUN = "tests/service/test_deploy.py"
"""Runs each block of `deploy/README.md` whose first line is a comment that it names."""


class WrongError(AssertionError):
    """A command that would not do what the document says."""


class _ParsedError(BaseException):
    """The options were read: nothing of the benchmark is to run."""


def check(command: Command, cwd: Path = ROOT) -> None:
    """Raise WrongError where a command does not fit what would run it, or nothing here knows its program."""
    _environment(command.environment)
    if not command.words:
        return
    handler = HANDLERS.get(command.program)
    if handler is None and command.program not in LEFT:
        raise WrongError(
            f"{command.typed()}: nothing here knows {command.program}: run it, or say why it cannot be"
        )
    try:
        (handler or _files)(command, cwd)
    except WrongError as wrong:
        raise WrongError(f"{command.typed()}: {wrong}") from wrong


def _environment(assigned: tuple[str, ...]) -> None:
    """Load settings with what is set."""
    given = dict(word.split("=", 1) for word in assigned)
    ours = {name: value for name, value in given.items() if name.startswith("UNSEEN_")}
    others = {name for name in ours if name.startswith("UNSEEN_TEST_")}
    with mock.patch.dict("os.environ", {name: ours[name] for name in ours.keys() - others}):
        try:
            Settings.load()
        except Exception as error:
            raise WrongError(f"{shlex.join(assigned)}: {error}") from error


def _files(command: Command, cwd: Path) -> None:
    """Hold that what a command names of this repository is there."""
    for word in command.words[1:]:
        path = word.rpartition("=")[2]
        for installed in INSTALLED:
            path = path.replace(f"{installed}/", f"{ROOT}/") if path.startswith(f"{installed}/") else path
        at = Path(path) if path.startswith("/") else cwd / path
        top = at.relative_to(ROOT).parts[:1] if at.is_relative_to(ROOT) else ()
        if path.startswith(WRITTEN):
            continue
        if (
            "/" in path
            and "$" not in path
            and top
            and (ROOT / top[0]).exists()
            and not any(ROOT.glob(str(at.relative_to(ROOT))))
        ):
            raise WrongError(f"there is no {word}")


def _export(command: Command, cwd: Path) -> None:
    del cwd
    _environment(command.words[1:])


def _unseen(command: Command, cwd: Path) -> None:
    """Parse by the real parser; a sentence may leave out what a command needs, and name a group."""
    del cwd
    words = [NUMBERS.get(word, word) for word in command.words[1:]]
    try:
        _parse(typer.main.get_command(cli), "unseen", words)
    except usage.NoArgsIsHelpError:  # a group, whose commands the sentence means
        return
    except usage.MissingParameter as error:
        if command.in_block:
            raise WrongError(error.format_message()) from error
    except usage.ClickException as error:
        if command.in_block or "requires an argument" not in error.message:
            raise WrongError(error.format_message()) from error


def _parse(node: Any, name: str, words: list[str]) -> None:  # noqa: ANN401 - Click's
    if words and hasattr(node, "commands") and not words[0].startswith("-"):
        if words[0] not in node.commands:
            raise WrongError(f"{name} has no command {words[0]}")
        _parse(node.commands[words[0]], words[0], words[1:])
    else:
        node.make_context(name, words)


def _python(command: Command, cwd: Path) -> None:
    """Look at a script's file, at tests' paths, or have a benchmark read its options."""
    words = list(command.words[1:])
    if words[:2] == ["-m", "pytest"]:
        _pytest(Command(place="", section="", words=tuple(words[1:])), cwd)
    elif words[:1] == ["-m"]:
        _benchmark(words[1], words[2:])
    else:
        _files(command, cwd)


def _benchmark(module: str, words: list[str]) -> None:
    if not module.startswith(("tests.bench.", "tests.checks.")):
        raise WrongError(f"{module}: is no benchmark, and writes nothing of a test's")
    place = ROOT / module.replace(".", "/")
    if not (place.with_suffix(".py").exists() or (place / "__main__.py").exists()):
        raise WrongError(f"there is no {module}")
    try:
        read_options(module, words)
    except SystemExit as error:
        raise WrongError(f"it does not take {shlex.join(words)}") from error


def read_options(module: str, words: list[str]) -> None:
    """Run a module as ``python -m`` does, until it has read its options; raises SystemExit if it refuses."""
    parse = argparse.ArgumentParser.parse_args

    def parse_alone(parser: argparse.ArgumentParser, *given: Any) -> NoReturn:  # noqa: ANN401 - argparse's
        parse(parser, *given)
        raise _ParsedError

    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", parse_alone),
        mock.patch.object(sys, "argv", [module, *words]),
        mock.patch.dict("os.environ"),  # a benchmark may set its own
        warnings.catch_warnings(action="ignore"),  # other people's, where they are imported
    ):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=False)
        except _ParsedError:
            return
    raise SystemExit(f"{module} ran without reading options")


def _pytest(command: Command, cwd: Path) -> None:
    del cwd
    paths = [word.partition("::")[0] for word in command.words[1:] if word.startswith("tests")]
    missing = [path for path in paths if not (ROOT / path).exists()]
    if missing or not paths:
        raise WrongError(f"there is no {missing}")


def _make(command: Command, cwd: Path) -> None:
    """Find the targets; what `make demo` hands on is the demo's."""
    del cwd
    words = list(command.words[1:])
    if words[:1] == ["-C"]:
        words = words[2:]
    targets = [word for word in words if "=" not in word]
    unknown = [word for word in targets if f"\n{word}:" not in (ROOT / "Makefile").read_text()]
    if unknown:
        raise WrongError(f"the Makefile has no {unknown}")
    for word in words:
        name, _, value = word.partition("=")
        if name == "DEMO_ARGS":
            handed = ("unseen", "demo", *shlex.split(value))
            _unseen(Command(place="", section="", words=handed), ROOT)


@cache
def _app() -> Any:  # noqa: ANN401 - FastAPI's
    world = World()
    app = make_app(world.parts)
    add_console(app, world.parts)
    return app


@cache
def interface() -> dict[str, Any]:
    """Return the gateway's OpenAPI."""
    return dict(_app().openapi())


def body_faults(path: str, body: Any) -> list[str]:  # noqa: ANN401 - JSON
    """Return what of a body the interface refuses."""
    content = interface()["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    schema = content["schema"] | {"components": interface()["components"]}
    return [f"{e.json_path}: {e.message}" for e in Draft202012Validator(schema).iter_errors(body)]


def reaches(url: str, method: str = "GET") -> None:
    """Raise WrongError where no route of the gateway, or of its admin port, answers at an URL."""
    split = urlsplit(url if "://" in url else f"http://{url}")
    path = split.path or "/"
    apps = {8000: (_app(),), 8001: (_app().state.admin,)}
    port = int(split.netloc.rpartition(":")[2]) if split.netloc.rpartition(":")[2].isdigit() else 0
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    routes = [r for one in apps.get(port, (_app(), _app().state.admin)) for r in one.router.routes]
    if not any(route.matches(scope)[0] is Match.FULL for route in routes):
        raise WrongError(f"nothing answers {method} {path}")
    if path in interface()["paths"] and (asked := parse_qs(split.query)):
        known = interface()["paths"][path][method.lower()].get("parameters", [])
        if unknown := asked.keys() - {one["name"] for one in known}:
            raise WrongError(f"{path} has no {unknown}")


def _curl(command: Command, cwd: Path) -> None:
    """Find the route, and hold the body against its schema."""
    del cwd
    words = list(command.words[1:])
    url = next(word for word in words if not word.startswith("-"))
    bodies = [words[n + 1] for n, word in enumerate(words) if word in ("-d", "--data", "--data-binary")]
    reaches(url, "POST" if bodies else "GET")
    for body in bodies:
        if faults := body_faults(urlsplit(f"http://{url}").path, json.loads(body)):
            raise WrongError("; ".join(faults))


def _sudo(command: Command, cwd: Path) -> None:
    check(Command(place=command.place, section=command.section, words=command.words[1:]), cwd)


def _kubectl(command: Command, cwd: Path) -> None:
    """Parse what is run inside a pod."""
    if "--" in command.words:
        inside = command.words[command.words.index("--") + 1 :]
        check(Command(place="", section="", words=inside, in_block=command.in_block), cwd)
    else:
        _files(command, cwd)


def _own_script(command: Command, cwd: Path) -> None:
    path = command.program.replace(f"{INSTALLED[0]}/", f"{ROOT}/")
    if not (Path(path) if path.startswith("/") else cwd / path).is_file():
        raise WrongError(f"there is no {command.program}")
    _files(command, cwd)


def _docker(command: Command, cwd: Path) -> None:
    """Parse what is run inside a container."""
    if "unseen" in command.words:
        words = command.words[command.words.index("unseen") :]
        _unseen(Command(place="", section="", words=words, in_block=command.in_block), cwd)
    _files(command, cwd)


HANDLERS: Mapping[str, Callable[[Command, Path], None]] = {
    "unseen": _unseen,
    ".venv/bin/unseen": _unseen,
    "/usr/local/sbin/unseen": _unseen,
    "python": _python,
    ".venv/bin/python": _python,
    "pytest": _pytest,
    "make": _make,
    "export": _export,
    "curl": _curl,
    "sudo": _sudo,
    "docker": _docker,
    "kubectl": _kubectl,
    "./make-secrets": _own_script,
    "deploy/compose/make-secrets": _own_script,
    f"{INSTALLED[0]}/deploy/compose/make-secrets": _own_script,
    **dict.fromkeys(("cp", "install", "ln", "tar", "prometheus", "chromium"), _files),
    **dict.fromkeys(("amtool", "prometheus-alertmanager"), _files),
    **dict.fromkeys(("redis-cli", "cat", "cd"), _files),
}
