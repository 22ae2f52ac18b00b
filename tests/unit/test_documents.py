"""Every command in every document goes through what would run it; none is left out.

A command that nothing here knows fails, so that a new one is run, parsed, or left with a reason
(`tests/checks/document_commands.py`). What is run for real is in `tests/service/test_documents.py`,
`tests/service/test_deploy.py`, `tests/story/test_readme.py` and `tests/story/test_benchmarks.py`.
"""

import ast
import functools
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from benchmarks import names
from deployed import block as titled
from document_commands import LEFT, RUN, WrongError, body_faults, check, reaches, read_options
from documents import ROOT, Block, Command, Inline, blocks, documents, inlines, kind, shell, typed, values
from markdown_it import MarkdownIt

from agent.settings import Settings
from feedback import keys

pytestmark = pytest.mark.timeout(240, func_only=True)  # benchmarks import torch and Ray
DOCUMENTS = documents()
PROGRAMS = {
    *(
        "unseen",
        ".venv/bin/unseen",
        "python",
        "python3",
        "pytest",
        "make",
        "curl",
        "docker",
        "kubectl",
        "systemctl",
    ),
    *(
        "redis-cli",
        "ray",
        "prometheus",
        "grafana",
        "systemd-analyze",
        "git",
        "pip",
        "uv",
        "npm",
        "helm",
        "promtool",
        "amtool",
    ),
}
"""What begins a command in a sentence; all else in backticks is a name, a value or a formula."""
RUN_TITLES = re.findall(r'\.run\("([^"]+)"\)', (ROOT / RUN).read_text())


def cases(of: Any) -> list[Any]:  # noqa: ANN401 - pytest's
    return [pytest.param(one, id=one.place) for document in DOCUMENTS for one in of(document)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_what_is_meant_as_code_is_shown_as_code(document: Path) -> None:
    """By CommonMark: an indented block right after a list is a sentence of its last item."""
    shown = [
        one.content.strip("\n")
        for one in MarkdownIt().parse((ROOT / document).read_text())
        if one.type in {"code_block", "fence"}
    ]
    assert [block.text.strip("\n") for block in blocks(document)] == shown


def is_run(block: Block) -> bool:
    """Tell whether `RUN` types these lines."""
    return any(titled(title).strip() in block.text for title in RUN_TITLES)


@pytest.mark.parametrize("block", cases(blocks))
def test_a_block_is_what_it_looks_like(block: Block) -> None:
    match kind(block):
        case "shell":
            _commands_hold(block)
        case "json":
            for value in values(block.text):
                _is_taken(value, block.section)
        case "toml":
            Settings.model_validate(tomllib.loads(block.text))
        case "javascript":
            _is_taken(json.loads(_body(block.text)))
        case "python":
            ast.parse(block.text)
        case other:
            assert other in {"drawing", "formula", "yaml"}


def _commands_hold(block: Block) -> None:
    parsed = subprocess.run(["bash", "-n", "-c", block.text], check=False, capture_output=True, text=True)
    assert parsed.returncode == 0, parsed.stderr
    if is_run(block):
        return
    cwd = ROOT
    for command in shell(block):
        check(command, cwd)
        cwd = cwd / command.words[1] if command.program == "cd" else cwd


def _is_taken(value: dict[str, Any], section: str = "") -> None:
    """Hold that a JSON object is what its section's route takes, an event, a page's report, or a template."""
    if "body" in value:
        reads = (ROOT / "tests/unit/test_retrieval_templates.py").read_text()
        assert "test_the_template_of_the_readme_is_one" in reads
        return
    path = "/queries" if "query_response_hit_ids" in value else "/events"
    assert body_faults(section.removeprefix("POST ") if section.startswith("POST /") else path, value) == []


def _body(script: str) -> str:
    """Return what a page sends, as JSON."""
    body = re.search(r"JSON\.stringify\((\{.*\})\)", script, re.DOTALL)
    assert body
    plain = body[1].replace("new Date().toISOString()", '"2026-11-23T09:30:00Z"')
    named = re.sub(r"\bquery_id\b(?=,)", 'query_id: "q"', plain).replace("client_token", '"t"')
    return re.sub(r"(?<![\"\w])(\w+)(?=: )", r'"\1"', named)


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_a_command_in_a_sentence_is_one(document: Path) -> None:
    wrong = []
    for inline in inlines(document):
        for command in _read(inline):
            try:
                check(command)
            except WrongError as error:
                wrong.append(str(error))
    assert wrong == []


def _read(inline: Inline) -> list[Command]:
    program, *more = inline.text.split(" ")
    is_set = re.match(r"UNSEEN_[A-Z_]+=", program)
    return typed(inline) if is_set or (program in PROGRAMS and more) else []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_options_in_a_sentence_are_those_of_a_command_of_its_section(document: Path) -> None:
    commands = [c for b in blocks(document) if kind(b) == "shell" for c in shell(b)]
    commands += [c for i in inlines(document) for c in _read(i)]
    wrong = []
    for inline in inlines(document):
        if not re.match(r"--[a-z]", inline.text):
            continue
        given = tuple(typed(inline)[0].words)
        near = [c for c in commands if c.section == inline.section]
        if not any(_takes(c, (*given, *value)) for c in [*near, *_ours()] for value in ((), ("1",))):
            wrong.append(f"{inline.place}: {inline.text}")
    assert wrong == []


def _takes(command: Command, given: tuple[str, ...]) -> bool:
    if command.program in LEFT and set(given) <= set(command.words):
        return True  # as it stands in the block
    if command.program not in {"unseen", ".venv/bin/unseen", "python"}:
        return False
    try:
        check(Command(place="", section="", words=(*command.words, *given), in_block=False))
    except WrongError:
        return False
    return True


def _ours() -> list[Command]:
    """Return each command of ours that sentences name by its option alone."""
    return [
        Command(place="", section="", words=("unseen", name))
        for name in ("serve", "backtest", "demo", "import")
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        place = (ROOT / document).parent / path if path else ROOT / document
        assert place.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", place.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, (
                target
            )


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_files_that_a_sentence_names_are_there(document: Path) -> None:
    """Beside the document, at the root, or below `agent`; what is named with a glob has at least one."""
    missing = []
    for inline in inlines(document):
        if not re.fullmatch(r"[\w*.][\w*./-]*\.(py|md|toml|js|json|yml|yaml|png|conf|txt)", inline.text):
            continue
        places = ((ROOT / document).parent, ROOT, ROOT / "agent", ROOT / "agent/weights", *_folders(document))
        if inline.text not in GIVEN and not any(list(place.glob(inline.text)) for place in places):
            missing.append(inline.text)
    assert missing == []


GIVEN = {
    *("products.jsonl", "clicks.tsv", "judgments.tsv", "NAME.json", "default.json"),
    *("unseen.toml", "secrets/unseen.toml"),
}
"""Files of the reader's own."""


def _folders(document: Path) -> list[Path]:
    """Return what the document's folder holds, one level deep."""
    return [path for path in (ROOT / document).parent.iterdir() if path.is_dir()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_addresses_of_the_gateway_in_a_sentence_answer(document: Path) -> None:
    for inline in inlines(document):
        text = inline.text.removeprefix("http://")
        if re.match(r"(127\.0\.0\.1|localhost):800[01]/", text):
            reaches(text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_settings_that_a_document_names_are_there_with_the_values_it_gives(
    document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`section.name`, and in brackets behind it the default; other names with a dot are events in logs."""
    wrong = []
    for name in os.environ:
        if name.startswith("UNSEEN_"):
            monkeypatch.delenv(name)
    text = " ".join((ROOT / document).read_text().split())
    for name, value in re.findall(r"`([a-z]+\.[a-z_]+)`(?: \((-?[\d.]+|true|false)\))?", text):
        section = name.partition(".")[0]
        if section not in Settings.model_fields or name.endswith((".key", ".py", ".md")):
            continue
        try:
            known: Any = functools.reduce(getattr, name.split("."), Settings())
        except AttributeError:
            if f'"{name}"' not in _code():
                wrong.append(f"there is no setting {name}")
            continue
        if value and str(float(known)) != str(float({"true": 1, "false": 0}.get(value, value))):
            wrong.append(f"{name} is {known}, not {value}")
    assert wrong == []


@functools.cache
def _code() -> str:
    return "\n".join(p.read_text() for top in ("agent", "feedback") for p in (ROOT / top).rglob("*.py"))


def test_the_privacy_note_names_every_family_of_keys() -> None:
    families = set(re.findall(r"^  unseen:\{[tp:]+\}:([a-z-]+)", keys.__doc__ or "", re.MULTILINE))
    assert {"ledger", "account", "pinned", "curves"} <= families
    said = set(re.findall(r"`([a-z-]+)`", (ROOT / "deploy/privacy.md").read_text()))
    assert families - said == set()


def test_every_decision_is_listed_and_says_what_it_costs() -> None:
    folder = ROOT / "deploy/decisions"
    listed = re.findall(r"\]\(([a-z-]+\.md)\)", (folder / "README.md").read_text())
    assert sorted(listed) == sorted(p.name for p in folder.glob("*.md") if p.name != "README.md")
    parts = ("**To decide.**", "**Options.**", "**Taken.**", "**Costs.**", "**Would change it.**")
    for name in listed:
        text = (folder / name).read_text()
        assert [text.count(part) for part in parts] == [1] * 5, name


def test_every_benchmark_that_make_bench_runs_takes_what_it_is_given() -> None:
    assert {"attacks", "gateway", "learning"} <= set(names())
    for name in names():
        read_options(f"tests.bench.{name}", ["--json"])


def test_what_is_left_out_is_little_and_says_why() -> None:
    assert len(LEFT) <= 12
    assert all(len(reason) > 6 for reason in LEFT.values())


@pytest.mark.parametrize(
    "line",
    [
        "unseen serv",
        "unseen show --quickly",
        "sudo /usr/local/sbin/unseen rolback",
        "docker compose exec release unseen rolback",
        "kubectl -n unseen exec -it deploy/release -- unseen rolback",
        "unseen show",
        "unseen backtest --clicks a.tsv",
        "python -m tests.bench.stream --entires 5",
        "python -m tests.bench.nothing",
        "make demmo",
        'make demo DEMO_ARGS="--sed 2"',
        "curl -s localhost:8000/serach",
        """curl -s localhost:8000/search -d '{"user_querry": "grey couch", "client_id": "c"}'""",
        "export UNSEEN_OPENSEARCH__INDX=products",
        "cp deploy/nowhere/*.service /etc",
        "pytest tests/unit/test_nowhere.py",
        "frobnicate --all",
    ],
)
def test_a_command_that_stumbles_is_told(line: str) -> None:
    block = Block(place="x.md:1", section="", text=line)
    assert kind(block) == "shell"
    with pytest.raises(WrongError):
        _commands_hold(block)
