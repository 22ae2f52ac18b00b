"""The JSON of requests to OpenSearch and its answers, several times as fast as the client's own.

Guarantees that whatever of JSON's types the client's own serializer reads, writes or fails at is read,
written or failed at here: a lone surrogate in a shop's document, say, costs time and no page.
"""

from typing import Any

import msgspec
from opensearchpy.serializer import JSONSerializer
from typing_extensions import override


class FastJson(JSONSerializer):  # type: ignore[misc] # untyped where opensearch-py has no stubs
    """msgspec's, and the client's own for what that does not take."""

    @override
    def loads(self, s: str) -> Any:
        """Return an answer; raises SerializationError where it is no JSON."""
        try:
            return msgspec.json.decode(s)
        except (msgspec.MsgspecError, UnicodeError, TypeError):
            return super().loads(s)

    @override
    def dumps(self, data: Any) -> Any:
        """Return a body, text as it is; raises SerializationError where it is no JSON."""
        if isinstance(data, str | bytes):
            return data
        try:
            return msgspec.json.encode(data).decode()
        except (TypeError, ValueError, msgspec.MsgspecError):
            return super().dumps(data)
