"""The table of concepts, read from the three tables of rows.

A row is `names | talk | kinds | axes | uses | near | trap`, lists separated by commas. The
first name is the concept's key. A talk word that ends in `*` is vague: shoppers use it for
other concepts as well ("gun", "plug", "washer"), and only its context tells which. One that
ends in `~` is misspelt.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from agent.demo.shop.model import Concept
from agent.demo.shop.tables_garden import GARDEN
from agent.demo.shop.tables_hardware import HARDWARE
from agent.demo.shop.tables_home import HOME


@cache
def concepts() -> dict[str, Concept]:
    """Return all concepts by key, in the tables' order."""
    return {concept.key: concept for concept in _read(HOME + HARDWARE + GARDEN)}


@cache
def ambiguous_words() -> dict[str, tuple[str, ...]]:
    """Return each word that shoppers use for two concepts or more, with their keys."""
    meant: dict[str, list[str]] = defaultdict(list)
    for concept in concepts().values():
        for word in (*concept.names, *concept.talk):
            meant[word].append(concept.key)
    return {word: tuple(keys) for word, keys in meant.items() if len(keys) > 1}


def trapped() -> tuple[Concept, ...]:
    """Return the concepts whose word has an obvious synonym that names another concept."""
    return tuple(concept for concept in concepts().values() if concept.trap)


def _read(table: str) -> Iterator[Concept]:
    department = group = ""
    for line in filter(None, table.splitlines()):
        if line.startswith("=="):
            department = line.removeprefix("==").strip()
        elif line.startswith("#"):
            group = line.removeprefix("#").strip()
        else:
            yield _concept(line, department, group)


def _concept(line: str, department: str, group: str) -> Concept:
    names, talk, kinds, axes, uses, near, trap = (_words(cell) for cell in line.split("|"))
    return Concept(
        key=names[0],
        department=department,
        group=group,
        names=names,
        talk=tuple(word.replace("*", "").removesuffix("~") for word in talk),
        vague=frozenset(word.removesuffix("*") for word in talk if word.endswith("*")),
        slips=frozenset(word.removesuffix("~") for word in talk if word.endswith("~")),
        kinds=kinds,
        axes=axes,
        uses=uses,
        near=near,
        trap=trap[0] if trap else "",
    )


def _words(cell: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in cell.split(",") if word.strip())
