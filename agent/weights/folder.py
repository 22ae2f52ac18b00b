"""Which versions exist in a store of files alone: the registry for work without Redis.

Guarantees that a version number is given once, to two processes at a time too, and never again; that a
manifest is written once; and that a version exists once its manifest does, which is written after its
adapter.
Says nothing about what serves: nothing does.

    versions/00000007.taken   whose number it is; stays for good
    versions/00000007.json    the Manifest
"""

import re
import secrets

import msgspec

from agent.errors import Corrupt, Permanent
from agent.weights.files import Files
from feedback.version_records import Manifest

_FOLDER = "versions/"
_NAME = re.compile(r"versions/(?P<number>\d{8})\.(?P<kind>taken|json)")


class FolderRegistry:
    """The versions of one store; each call raises Transient where the store gives no answer."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def next_version(self) -> int:
        """Return a version number that nobody else has, from 1."""
        number = 1 + max(self._numbers("taken", "json"), default=0)
        while not self._files.create(_name(number, "taken"), secrets.token_hex(16).encode()):
            number += 1
        return number

    def publish(self, manifest: Manifest) -> None:
        """Make a version exist; its adapter lies in the store already.

        Raises:
            Permanent: the version exists.
        """
        if not self._files.create(_name(manifest.version, "json"), msgspec.json.encode(manifest)):
            raise Permanent(f"version {manifest.version} exists in {self._files.where}")

    def manifest(self, version: int) -> Manifest:
        """Return a version's manifest.

        Raises:
            Permanent: it does not exist.
            Corrupt: it cannot be read, or is another version's.
        """
        name = _name(version, "json")
        content = self._files.get(name)
        if content is None:
            raise Permanent(f"version {version} does not exist in {self._files.where}")
        try:
            manifest = msgspec.json.decode(content, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Corrupt(f"{self._files.where}: {name} cannot be read: {error}") from error
        if manifest.version != version:
            raise Corrupt(f"{self._files.where}: {name} is the manifest of version {manifest.version}")
        return manifest

    def versions(self) -> list[Manifest]:
        """Return the manifests that exist, oldest first. Raises Corrupt as `manifest`."""
        return [self.manifest(number) for number in self._numbers("json")]

    def newest(self) -> Manifest:
        """Return the newest version's manifest.

        Raises:
            Permanent: there is none.
            Corrupt: as `manifest`.
        """
        numbers = self._numbers("json")
        if not numbers:
            raise Permanent(f"no version in {self._files.where}: unseen train makes them")
        return self.manifest(numbers[-1])

    def _numbers(self, *kinds: str) -> list[int]:
        found = filter(None, map(_NAME.fullmatch, self._files.names(_FOLDER)))
        return sorted(int(one["number"]) for one in found if one["kind"] in kinds)


def _name(version: int, kind: str) -> str:
    return f"{_FOLDER}{version:08d}.{kind}"
