"""The secret keys of a gateway: read from settings and files, compared in constant time.

Guarantees that a comparison takes as long whichever key it is, or none, and that the keys themselves are kept
as digests alone.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from agent.errors import Permanent
from agent.sections import SHOP, AccessKey, AccessSettings, Scope
from agent.settings import Settings

MIN_CHARS = 16


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Whoever holds a key."""

    name: str
    """In metrics; never the key."""
    scopes: frozenset[Scope]
    per_minute: dict[Scope, int]
    """Requests; 0: no limit."""


class KeyRing:
    """All keys of a gateway."""

    def __init__(self, settings: AccessSettings) -> None:
        """Take keys that stand in the settings: see `with_keys`."""
        limits = {Scope.SEARCH: settings.searches_per_minute, Scope.EVENTS: settings.events_per_minute}
        self._held: list[tuple[bytes, Holder]] = []
        for number, key in enumerate(settings.server_keys, start=1):
            holder = Holder(name=f"server-{number}", scopes=SHOP, per_minute=limits)
            self._held.append((digest_of(key.get_secret_value()), holder))
        for name, one in settings.keys.items():
            if one.key is not None:
                holder = Holder(name=name, scopes=one.scopes, per_minute=limits | _own_limits(one))
                self._held.append((digest_of(one.key.get_secret_value()), holder))

    def holder(self, given: str) -> Holder | None:
        """Return whose key it is; None: nobody's. All keys are compared, whichever it is."""
        digest = digest_of(given)
        found = [holder for one, holder in self._held if hmac.compare_digest(digest, one)]
        return found[0] if found else None


def matches(given: str, keys: Iterable[str]) -> bool:
    """Tell whether it is one of the keys; takes as long whichever it is, or none."""
    digest = digest_of(given)
    return any([hmac.compare_digest(digest, digest_of(key)) for key in keys])  # noqa: C419 - all are compared


def digest_of(key: str) -> bytes:
    """Return what is compared in a key's place: as long for all keys."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def with_keys(settings: Settings) -> Settings:
    """Return the settings with the keys that stand in files: for gateways on machines without these files.

    Raises:
        Permanent: a file cannot be read, or holds a key that is too short, or one key has two names.
    """
    access = settings.access
    path = access.server_keys_file
    more = () if path is None else tuple(SecretStr(key) for key in _lines(path))
    keys = {name: _read(one) for name, one in access.keys.items()}
    read = access.model_copy(
        update={"server_keys": (*access.server_keys, *more), "server_keys_file": None, "keys": keys}
    )
    _refuse_twins(read)
    return settings.model_copy(update={"access": read})


def _own_limits(key: AccessKey) -> dict[Scope, int]:
    own = {Scope.SEARCH: key.searches_per_minute, Scope.EVENTS: key.events_per_minute}
    return {scope: limit for scope, limit in own.items() if limit is not None}


def _read(one: AccessKey) -> AccessKey:
    if one.file is None:
        return one
    keys = _lines(one.file)
    if len(keys) != 1:
        raise Permanent(f"access.keys: {one.file} must hold one key and nothing else")
    return one.model_copy(update={"key": SecretStr(keys[0]), "file": None})


def _lines(path: Path) -> list[str]:
    try:
        keys = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise Permanent(f"access: {path}: {error}") from error
    if not keys or min(map(len, keys)) < MIN_CHARS:
        raise Permanent(f"access: {path}: must hold keys of {MIN_CHARS} characters or more, one a line")
    return keys


def _refuse_twins(settings: AccessSettings) -> None:
    """Raise Permanent where it depends on the order which scopes a key has."""
    named = [key.key.get_secret_value() for key in settings.keys.values() if key.key is not None]
    every = [*{key.get_secret_value() for key in settings.server_keys}, *named]
    if len(set(every)) < len(every):
        raise Permanent("access.keys: one key stands under two names: give each its own")
