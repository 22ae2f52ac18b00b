"""Files on an object store, through the store's fsspec driver.

Only stores whose put is atomic are taken: on others (SFTP, FTP, HDFS) a reader could meet half a file. That
one creation wins among several processes rests on the store's conditional put, which S3, Google and Azure
have and a store that only resembles S3 may not. Credentials and endpoints come from the driver's own
environment (e.g. ``AWS_ENDPOINT_URL``).
"""

import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Protocol, cast

import fsspec

from agent.errors import Permanent


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What a scheme needs."""

    package: str
    """Its driver, as it is installed and imported."""
    errors: tuple[str, ...]
    """What the driver raises, beside OSError, where the store is away or refuses."""


_S3 = _Kind(
    package="s3fs",
    errors=(
        "botocore.exceptions:BotoCoreError",
        "botocore.exceptions:ClientError",
        "aiohttp:ClientError",
    ),
)
_GCS = _Kind(
    package="gcsfs",
    errors=(
        "gcsfs.retry:HttpError",
        "google.auth.exceptions:GoogleAuthError",
        "aiohttp:ClientError",
    ),
)
_AZURE = _Kind(package="adlfs", errors=("azure.core.exceptions:AzureError",))
_KINDS = {
    "memory": _Kind(package="fsspec", errors=()),
    "s3": _S3,
    "s3a": _S3,
    "gs": _GCS,
    "gcs": _GCS,
    "az": _AZURE,
    "abfs": _AZURE,
    "abfss": _AZURE,
}


class Driver(Protocol):
    """What is used of fsspec's AbstractFileSystem, which is untyped."""

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> object:
        """Write a file in one put; in mode ``create`` only where there is none."""
        ...

    def cat_file(self, path: str) -> bytes:
        """Return a file's bytes."""
        ...

    def find(self, path: str) -> list[str]:
        """Return all files below."""
        ...

    def rm_file(self, path: str) -> object:
        """Delete one file."""
        ...

    def invalidate_cache(self) -> object:
        """Forget listings: others write too."""
        ...


class ObjectStore:
    """A place behind a URL."""

    _creating = threading.Lock()
    """Drivers without a conditional put look first and then write: one at a time in this process."""

    def __init__(self, driver: Driver, root: str, failures: tuple[type[Exception], ...]) -> None:
        self.failures = failures
        self._driver = driver
        self._root = root

    def put(self, name: str, content: bytes) -> None:
        """See `Place`."""
        self._driver.pipe_file(f"{self._root}/{name}", content)

    def create(self, name: str, content: bytes) -> None:
        """See `Place`."""
        with self._creating:
            self._driver.pipe_file(f"{self._root}/{name}", content, mode="create")

    def get(self, name: str) -> bytes:
        """See `Place`."""
        return self._driver.cat_file(f"{self._root}/{name}")

    def names(self, folder: str) -> list[str]:
        """See `Place`."""
        self._driver.invalidate_cache()
        found = self._driver.find(f"{self._root}/{folder}".rstrip("/"))
        return [path.removeprefix(f"{self._root}/") for path in found]

    def delete(self, name: str) -> None:
        """See `Place`."""
        self._driver.rm_file(f"{self._root}/{name}")


def open_url(url: str, scheme: str) -> tuple[Driver, str, tuple[type[Exception], ...]]:
    """Return the driver of a URL, the path inside it, and the errors that it raises where it is away.

    Raises:
        Permanent: the scheme is none of those taken, its driver is not installed, or it refuses the URL.
    """
    kind = _KINDS.get(scheme)
    if kind is None:
        known = ", ".join(f"{one}://" for one in ("file", *_KINDS))
        raise Permanent(f"{url!r}: files cannot be put there in one step; those that can: {known}")
    if find_spec(kind.package) is None:
        raise Permanent(f"{url!r}: its driver is not installed: pip install {kind.package}")
    try:
        driver, root = fsspec.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise Permanent(f"{url!r}: {kind.package}: {error}") from error
    return cast("Driver", driver), str(root).rstrip("/"), (OSError, *map(_named, kind.errors))


def _named(error: str) -> type[Exception]:
    return cast("type[Exception]", resolve_name(error))
