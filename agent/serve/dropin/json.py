"""JSON of OpenSearch's clients, in and out: what is not changed keeps its digits."""

from decimal import Decimal, InvalidOperation

import msgspec

from agent.retrieval.templates.markers import Body

FAULTS = (msgspec.MsgspecError, RecursionError, UnicodeError, InvalidOperation)
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def decoded(content: bytes) -> Body | None:
    """Return a body's object, its fractions as they were written; None: it is none."""
    try:
        found = _DECODER.decode(content)
    except FAULTS:
        return None
    return found if isinstance(found, dict) else None


def encoded(answer: Body) -> bytes:
    """Return an object as JSON."""
    return _ENCODER.encode(answer)
