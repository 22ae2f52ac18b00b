"""Types of UBI's fields and of ours beside them; each says what is wrong in a sentence of its own.

Limits of UBI's fields are UBI's (100 characters for names and ids, 256 for an object's id, 1024 for a
message). Ours: 512 for an object's id in the flat form, which is what OpenSearch bounds an ``_id`` by; 128
for an ``event_id``; no control character in an id that becomes a key. A length counts characters.
"""

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

MOST_ORDINAL = 100_000
MOST_QUANTITY = 1_000_000
MOST_MINOR = 10**12
DIGITS = 15
"""That a JSON number keeps on its way through a double: 0.1 + 0.2 is 0.3 to so many."""


def _integer(value: object) -> object:
    """Return 4 for 4.0, as JSON Schema has it; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(value: object) -> object:
    """Return the text of an integer; anything else as it is."""
    whole = _integer(value)
    return str(whole) if isinstance(whole, int) and not isinstance(whole, bool) else value


def _from_1(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 1:
        raise ValueError("counts from 1")
    return value


def _amount(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic passes on ValueError alone
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else value


Number = Annotated[float, Field(strict=True)]
Name = Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Of an application, a client, a session, a query, ...: at most 100 characters (UBI 1.3.0)."""
ActionName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Message = Annotated[str, StringConstraints(max_length=1024)]
EventId = Annotated[
    str, StringConstraints(max_length=128), BeforeValidator(_text, json_schema_input_type=str | int)
]
UbiObjectId = Annotated[
    str, StringConstraints(max_length=256), BeforeValidator(_text, json_schema_input_type=str | int)
]
"""Text of at most 256 characters, or an integer (UBI 1.3.0); text inside."""
FlatObjectId = Annotated[
    str, StringConstraints(max_length=512), BeforeValidator(_text, json_schema_input_type=str | int)
]
HitId = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | int)]
Ordinal = Annotated[
    int,
    Field(strict=True, ge=1, le=MOST_ORDINAL),
    BeforeValidator(_integer, json_schema_input_type=int),
    BeforeValidator(_from_1, json_schema_input_type=int),
]
AtMs = Annotated[int, Field(strict=True, ge=0, le=2**53)]
Quantity = Annotated[
    int,
    Field(strict=True, ge=1, le=MOST_QUANTITY),
    BeforeValidator(_integer, json_schema_input_type=int),
]
Minor = Annotated[
    int, Field(strict=True, ge=0, le=MOST_MINOR), BeforeValidator(_integer, json_schema_input_type=int)
]
Amount = Annotated[
    Decimal,
    Field(ge=0, le=MOST_MINOR, max_digits=20, allow_inf_nan=False),
    BeforeValidator(_amount, json_schema_input_type=float | str),
]
"""Money in units of its currency: ``49.95`` or ``"49.95"``."""
Currency = Annotated[str, StringConstraints(pattern=r"^([A-Z]{3})?$")]
