"""Whose traces are looked for, and whether something stored is one. Pure."""

import json
import re
from dataclasses import dataclass
from functools import cached_property

import msgspec

from feedback.errors import Permanent
from feedback.text import digest


class Named(msgspec.Struct, frozen=True):
    """What a record of any kind says of whose it is."""

    client_id: str = ""
    client: str = ""
    """A digest."""
    query_id: str = ""
    session_id: str = ""
    event_id: str = ""


@dataclass(frozen=True)
class Who:
    """One client.

    Raises:
        Permanent: the id is empty, or no text that could have been sent.
    """

    client_id: str

    def __post_init__(self) -> None:
        try:
            self.client_id.encode()
        except UnicodeEncodeError as error:
            raise Permanent("client: the id is no text") from error
        if not self.client_id:
            raise Permanent("client: the id is empty")

    @cached_property
    def digest(self) -> str:
        """As the ledger names it."""
        return digest(self.client_id)

    @cached_property
    def _word(self) -> re.Pattern[bytes]:
        ours = self.client_id
        spelled = {ours, json.dumps(ours)[1:-1], json.dumps(ours, ensure_ascii=False)[1:-1], self.digest}
        one_of = b"|".join(re.escape(word.encode()) for word in sorted(spelled))
        return re.compile(rb"(?<![0-9A-Za-z])(?:" + one_of + rb")(?![0-9A-Za-z])")

    def stands_in(self, stored: bytes) -> bool:
        """Tell whether the id or its digest stands there as a word: ``7`` not in ``17``."""
        return self._word.search(stored) is not None

    def owns(self, stored: bytes) -> Named | None:
        """Return what a record of the client says of itself; None: it is another's.

        One that cannot be read is the client's where it names it.
        """
        try:
            named = msgspec.json.decode(stored, type=Named)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return Named(client_id=self.client_id) if self.stands_in(stored) else None
        return named if named.client_id == self.client_id or named.client == self.digest else None
