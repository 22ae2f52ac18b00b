"""A small shop whose shoppers call things by other names than its catalogue, as files for a backtest."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

CALLED = {
    "vorhang": "curtain",
    "kessel": "kettle",
    "hammerl": "mallet",
    "leuchte": "lantern",
    "teppich": "carpet",
    "schraube": "screw",
}
"""What shoppers say, and what the titles say."""
KINDS = ("oak", "steel", "ivory")
START = datetime(2024, 3, 1, tzinfo=UTC)

Line = tuple[str, str, str]
"""Client, query, object."""


def object_of(title_word: str, kind: str) -> str:
    return f"{title_word}-{kind}"


def catalogue(folder: Path) -> Path:
    objects = [
        {"product_id": object_of(word, kind), "title": f"{kind} {word}"}
        for word in CALLED.values()
        for kind in KINDS
    ]
    path = folder / "catalogue.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in objects))
    return path


def asked(i: int, fresh_from: int = 540) -> Line:
    """Return the i-th click: by turns in the shop's words, in the shoppers', and in theirs with a kind."""
    said, word = list(CALLED.items())[i % len(CALLED)]
    kind = KINDS[(i // 7) % len(KINDS)]
    query = (word, said, f"{said} {kind}")[(i // len(CALLED)) % 3]
    if i >= fresh_from and i % 5 == 0:
        query = f"{said}s"  # never asked before
    return f"client-{i}", query, object_of(word, kind)


def clicks(folder: Path, *, n: int = 600, click: Callable[[int], Line] = asked, name: str = "log") -> Path:
    lines = ["user\tquery\tproduct_id\tquery_time\tclick_time"]
    for i in range(n):
        at = START + timedelta(minutes=10 * i)
        times = (at.isoformat(sep=" "), (at + timedelta(minutes=15)).isoformat(sep=" "))
        lines.append("\t".join([*click(i), *times]))
    path = folder / f"{name}.tsv"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path
