"""What the documents of this repository hold: blocks of code and what stands in backticks, by document.

Guarantees that nothing which looks like code is left out: a block is either of a kind that is known by
parsing it, or it is shell.
"""

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
HIDDEN = {"node_modules", "build", "dist", "report", "data"}
DRAWN = set("─│▼►└┘┐┌")
FORMULA = re.compile(r"\w+ = .*[^{]$")
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
SUBSTITUTED = re.compile(r"\$\(([^()]*)\)")
ASSIGNED = re.compile(r"[A-Z_][A-Z0-9_]*=")
OPERATOR = re.compile(r"[();<>|&]+$")


@dataclass(frozen=True, kw_only=True)
class Block:
    """Lines of code in a document, indented or fenced."""

    place: str
    section: str
    text: str
    language: str = ""


@dataclass(frozen=True, kw_only=True)
class Inline:
    """What stands in backticks within a sentence."""

    place: str
    section: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """One simple command, without its operators and redirections."""

    place: str
    section: str
    words: tuple[str, ...]
    environment: tuple[str, ...] = ()
    in_block: bool = True

    @property
    def program(self) -> str:
        return self.words[0] if self.words else ""

    def typed(self) -> str:
        """Return it with its place, for whoever looks for it."""
        return f"{self.place}: {shlex.join((*self.environment, *self.words))}"


def documents() -> list[Path]:
    """Return every document of the repository."""
    found = [path.relative_to(ROOT) for path in ROOT.rglob("*.md")]
    return sorted(p for p in found if not any(part in HIDDEN or part.startswith(".") for part in p.parts))


def blocks(document: Path) -> list[Block]:
    """Return a document's blocks of code."""
    return [one for one in _parts(document) if isinstance(one, Block)]


def inlines(document: Path) -> list[Inline]:
    """Return what stands in backticks in a document's sentences."""
    return [one for one in _parts(document) if isinstance(one, Inline)]


def _parts(document: Path) -> Iterator[Block | Inline]:
    section, prose = "", list[str]()
    lines = (ROOT / document).read_text().splitlines()
    n = 0
    while n < len(lines):
        line, place = lines[n], f"{document}:{n + 1}"
        if line.startswith("```") or (line.startswith("    ") and not "".join(lines[n - 1 : n]).strip()):
            yield from _inlines(document, section, prose)
            length, text = _fenced(lines[n:]) if line.startswith("```") else _indented(lines[n:])
            yield Block(place=place, section=section, text=text, language=line.strip("` "))
            n += length
            continue
        if line.startswith("#"):
            yield from _inlines(document, section, prose)
            section = line.lstrip("# ")
        prose.append(line)
        n += 1
    yield from _inlines(document, section, prose)


def _inlines(document: Path, section: str, prose: list[str]) -> Iterator[Inline]:
    for found in INLINE.finditer("\n".join(prose)):
        yield Inline(place=f"{document}, {section}", section=section, text=" ".join(found[1].split()))
    prose.clear()


def _fenced(lines: list[str]) -> tuple[int, str]:
    end = next(n for n, line in enumerate(lines[1:], 1) if line.startswith("```"))
    return end + 1, "\n".join(lines[1:end])


def _indented(lines: list[str]) -> tuple[int, str]:
    end = next(
        (n for n, line in enumerate(lines) if line.strip() and not line.startswith("    ")), len(lines)
    )
    return end, "\n".join(line[4:] for line in lines[:end]).rstrip()


def kind(block: Block) -> str:
    """Return what a block is: drawing, json, toml, yaml, python, javascript, formula or else shell."""
    for name, looks in LOOKS.items():
        if looks(block.text):
            return name
    return "shell"


def _is_json(text: str) -> bool:
    try:
        return bool(values(text))
    except ValueError:
        return False


def values(text: str) -> list[Any]:
    """Return the JSON values that stand one after another; raises ValueError where something else does."""
    found, rest = [], text.strip()
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


def _is_toml(text: str) -> bool:
    try:
        return bool(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        return False


def _is_yaml(text: str) -> bool:
    try:
        return text.split(maxsplit=1)[0].endswith(":") and isinstance(yaml.safe_load(text), dict)
    except yaml.YAMLError:
        return False


def _is_python(text: str) -> bool:
    try:
        return any(isinstance(one, ast.Import | ast.ImportFrom) for one in ast.parse(text).body)
    except SyntaxError:
        return False


LOOKS: dict[str, Callable[[str], bool]] = {
    "drawing": lambda text: bool(DRAWN & set(text)),
    "json": _is_json,
    "toml": _is_toml,
    "yaml": _is_yaml,
    "python": _is_python,
    "javascript": lambda text: text.startswith("navigator."),
    "formula": lambda text: all(FORMULA.match(line) for line in text.splitlines()),
}


def shell(block: Block) -> list[Command]:
    """Return a block's commands; what is substituted counts as commands of its own."""
    return list(_commands(block.text, block.place, block.section, in_block=True))


def typed(inline: Inline) -> list[Command]:
    """Return the command that stands in a sentence; each of several that ``a|b`` stands for."""
    if choice := re.fullmatch(r"(.* )?([\w-]+(?:\|[\w-]+)+)", inline.text):
        each = [f"{choice[1] or ''}{word}" for word in choice[2].split("|")]
    else:
        each = [inline.text]
    return [c for text in each for c in _commands(text, inline.place, inline.section, in_block=False)]


def _commands(text: str, place: str, section: str, *, in_block: bool) -> Iterator[Command]:
    for line in text.replace("\\\n", " ").splitlines():
        for inner in SUBSTITUTED.findall(line):
            yield from _commands(inner, place, section, in_block=in_block)
        for words in _simple(SUBSTITUTED.sub("of-a-command" * 4, line)):
            n = next((n for n, word in enumerate(words) if not ASSIGNED.match(word)), len(words))
            yield Command(
                place=place,
                section=section,
                words=tuple(words[n:]),
                environment=tuple(words[:n]),
                in_block=in_block,
            )


def _simple(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words, skips = list[str](), False
    for token in lexer:
        if OPERATOR.match(token):
            skips = "<" in token or ">" in token
            if not skips and words:
                yield words
                words = []
        elif not skips:
            words.append(token)
        else:
            skips = False
    if words:
        yield words
