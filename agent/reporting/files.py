"""Where a report lies: JSON and HTML beside each other, each whole or not at all.

Guarantees that a place which cannot be written is told before any work begins, that figures and page beside
each other are of one run, that figures are kept where they cannot be drawn, and that no file is written over
which is no report and was not named.
"""

import json
import math
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agent.errors import Permanent
from agent.reporting.page import html
from agent.reporting.parts import Document

HTML = (".html", ".htm")
JSON = ".json"
TITLE = " \u2013 Unseen</title>"
"""By which a report's page is known."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """The two files of a report."""

    figures: Path
    page: Path

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the files of a report that was asked for under this name, whichever of the two it is of."""
        if path.suffix.lower() in HTML:
            return cls(figures=path.with_suffix(".json"), page=path)
        is_json = path.suffix.lower() == JSON
        return cls(figures=path, page=path.with_suffix(".html") if is_json else Path(f"{path}.html"))

    def beside(self, path: Path) -> Path:
        """Return the file that was not asked for by its name."""
        return self.figures if path == self.page else self.page


def may_write(path: Path) -> None:
    """Look whether a report can be written there; raises Permanent, which says what is in the way.

    A file that was not named, and is not of an earlier report, is in the way too.
    """
    places = Places.of(path)
    try:
        for one in (places.figures, places.page):
            if one.is_dir():
                raise IsADirectoryError(21, "it is a folder", str(one))
        beside = places.beside(path)
        if beside.exists() and not (_has_figures(beside) if beside == places.figures else _is_page(beside)):
            raise FileExistsError(17, f"{beside} lies beside it and is no report", str(beside))
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft(path)
        draft.touch()
        draft.unlink()
    except OSError as error:
        raise _not_written(path, error) from error


def save(
    path: Path, figures: Mapping[str, Any], document: Callable[[Mapping[str, Any], str], Document]
) -> Places:
    """Write the figures and the page that ``document`` makes of them and of their file's name.

    Where ``document`` or the page fails, the figures are written and no page stands beside them.

    Raises:
        Permanent: the place cannot be written.
    """
    places = Places.of(path)
    try:
        places.figures.parent.mkdir(parents=True, exist_ok=True)
        texts = {places.figures: json.dumps(finite(figures), indent=2, allow_nan=False) + "\n"}
        try:
            texts[places.page] = html(document(figures, places.figures.name))
        finally:
            if places.page not in texts:
                places.page.unlink(missing_ok=True)
            _whole(texts)
    except OSError as error:
        raise _not_written(path, error) from error
    return places


def finite(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return figures with null for what is no number or an endless one: JSON has no other word for it."""
    if isinstance(value, Mapping):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _has_figures(path: Path) -> bool:
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        return False
    run = found.get("run") if isinstance(found, dict) else None
    return isinstance(run, dict) and "unseen" in run


def _is_page(path: Path) -> bool:
    return TITLE.encode() in path.read_bytes()


def _whole(texts: Mapping[Path, str]) -> None:
    """Write all of them, or none where one has no room."""
    drafts = {path: _draft(path) for path in texts}
    try:
        for path, draft in drafts.items():
            with draft.open("wb") as file:
                file.write(texts[path].encode(errors="replace"))
                file.flush()
                os.fsync(file.fileno())
        for path, draft in drafts.items():
            draft.replace(path)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")


def _not_written(path: Path, error: OSError) -> Permanent:
    return Permanent(f"the report {path} cannot be written: {error.strerror or error}; give another place")
