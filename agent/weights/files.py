"""Whole files under names, in a folder or behind a URL.

Guarantees that a reader finds a file whole or not at all, and that it is durable when the write returns: in a
folder by a temporary file, fsync, rename and fsync of the folder; on an object store by one put, which is
atomic there. ``create`` alone guarantees that of several writers one wins. Says nothing about what the bytes
mean: a checksum stands with whoever names the file.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from agent.errors import Permanent, Transient
from agent.weights.disk import Folder
from agent.weights.remote import ObjectStore, open_url

_SEGMENT = r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*"
_NAME = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")
_PREFIX = re.compile(rf"({_SEGMENT}/)*({_SEGMENT})?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


class Place(Protocol):
    """Where files lie; raises ``failures``, and FileNotFoundError where there is none of that name."""

    failures: tuple[type[Exception], ...]

    def put(self, name: str, content: bytes) -> None:
        """Write or replace, whole."""
        ...

    def create(self, name: str, content: bytes) -> None:
        """Write; raises FileExistsError, or another failure, where the name is taken."""
        ...

    def get(self, name: str) -> bytes:
        """Return all bytes."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of all files below a folder (``""``: all)."""
        ...

    def delete(self, name: str) -> None:
        """Take it away."""
        ...


class Files:
    """A store of whole files, shared by all processes that are given the same folder or URL.

    Names are relative paths of letters, digits and ``._=-``; a part does not begin with a dot.
    """

    def __init__(self, where: Path | str) -> None:
        """Open a folder (made by the first write) or a URL: ``file:///…``, ``s3://bucket/prefix``.

        Raises:
            Permanent: no folder, no URL, or the URL's driver is missing.
        """
        self.where = str(where)
        """As given; for messages."""
        self._place = _place(where)

    def put(self, name: str, content: bytes) -> None:
        """Put the content under the name in one step.

        Raises:
            Transient: it could not be written now.
            Permanent: that is no name.
        """
        with self._told(name, "written"):
            self._place.put(name, content)

    def create(self, name: str, content: bytes) -> bool:
        """Put the content under the name if there is nothing yet; return whether this call did.

        An object store may lose its answer, not the write: the content tells whose file it is, so it must be
        one that no other writer would write. Raises as `put`.
        """
        with self._told(name, "written"):
            try:
                self._place.create(name, content)
            except self._place.failures as error:
                found = self.get(name)
                if found is None:
                    raise
                return found == content and not isinstance(error, FileExistsError)
            return True

    def get(self, name: str) -> bytes | None:
        """Return the file's bytes; None where there is none of that name.

        Raises:
            Transient: it could not be read now.
            Permanent: that is no name.
        """
        with self._told(name, "read"):
            try:
                return self._place.get(name)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None

    def names(self, prefix: str = "") -> list[str]:
        """Return the names that begin so, sorted.

        Raises:
            Transient: the store could not be read now.
            Permanent: no name begins so.
        """
        if not _PREFIX.fullmatch(prefix):
            raise Permanent(f"{self.where}: no name begins with {prefix!r}")
        with self._told("names", "read", checked=True):
            try:
                found = self._place.names(prefix.rpartition("/")[0])
            except FileNotFoundError:
                return []
        return sorted(name for name in found if name.startswith(prefix) and is_name(name))

    def delete(self, names: Iterable[str]) -> None:
        """Take files away; names without a file are passed over. Raises as `put`."""
        for name in names:
            with self._told(name, "deleted"):
                try:
                    self._place.delete(name)
                except FileNotFoundError:
                    continue

    @contextmanager
    def _told(self, name: str, did: str, *, checked: bool = False) -> Iterator[None]:
        """Refuse what is no name, and turn the place's own errors into ours."""
        if not (checked or is_name(name)):
            raise Permanent(f"{self.where}: {name!r} is no name of a file")
        try:
            yield
        except self._place.failures as error:
            raise Transient(f"{self.where}: {name} could not be {did} now: {error!r}") from error


def is_name(text: str) -> bool:
    """Tell whether a file can have this name; one that can stays inside the store."""
    return _NAME.fullmatch(text) is not None


def looks_like_url(text: str) -> bool:
    """Tell whether it begins as a URL does, well formed or not; a drive's letter is no scheme."""
    return _SCHEME.match(text) is not None


def _place(where: Path | str) -> Place:
    if isinstance(where, Path) or not looks_like_url(where):
        return Folder(Path(where))
    scheme, _, rest = where.partition("://")
    if not rest or "::" in where or any(c.isspace() or c in "?#" for c in where):
        raise Permanent(
            f"{where!r} is no URL of a store: write e.g. s3://bucket/prefix or file:///folder; "
            "a folder with a colon in its name begins with ./"
        )
    if scheme in {"file", "local"}:
        if not rest.startswith("/"):
            raise Permanent(f"{where!r}: a folder's URL is absolute: file:///folder")
        return Folder(Path(rest))
    return ObjectStore(*open_url(where, scheme))
