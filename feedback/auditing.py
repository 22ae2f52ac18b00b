"""The audit: who did what to releases, clients and their data, when and why, the newest kept."""

from typing import Any

import msgspec

from feedback.delivery.streams import FIELD
from feedback.keys import Keys
from feedback.version_records import AuditEntry

AUDIT_MAXLEN = 10_000


def write_audit(pipe: Any, keys: Keys, entry: AuditEntry) -> None:  # noqa: ANN401 - pipelines are half typed
    """Add an entry in the transaction of what it tells of."""
    pipe.xadd(keys.audit(), {FIELD: msgspec.json.encode(entry)}, maxlen=AUDIT_MAXLEN, approximate=False)
