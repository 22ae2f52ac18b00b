"""What a purchase or a return was worth, in minor units of its currency: exact, or refused.

Read from the event's own fields first, then from ``event_attributes``, then from its ``object``:
``quantity``, ``currency``, ``value`` (of all pieces, in units) or ``value_minor``, ``compensates``; where
neither value is given, ``object.price`` (of one piece) times the quantity. UBI 1.3.0 names none of them: they
stand where it leaves events open. Of any other action these names mean what the shop wants and are not read.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from agent.errors import Refused
from agent.serve.ubi.fields import MOST_MINOR, Amount, Currency, EventId, Minor, Quantity
from agent.serve.ubi.models import Ubi, UbiEvent
from agent.serve.ubi.rules import first_reason

NAMES = ("quantity", "currency", "value", "value_minor", "compensates")
WITHOUT = ("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF", 0)
THREE, FOUR = ("BHD IQD JOD KWD LYD OMR TND", 3), ("CLF UYW", 4)
DIGITS = {code: digits for codes, digits in (WITHOUT, THREE, FOUR) for code in codes.split()}
"""Digits after the point, by currency (ISO 4217, list one); 2 for all others."""


class Bought(Ubi):
    """What an event says of money and pieces."""

    quantity: Quantity = 1
    currency: Currency = ""
    value: Amount | None = None
    value_minor: Minor | None = None
    price: Amount | None = None
    compensates: EventId = ""


def bought(event: UbiEvent, *, currency: str) -> Bought:
    """Return what was bought, with ``value_minor`` set; ``currency`` stands where the event names none.

    Raises:
        Refused: a field is not what it must be, an amount lacks its currency or is finer than it, or both
            values are given and differ.
    """
    try:
        said = Bought.model_validate(_given(event))
    except ValidationError as error:
        raise Refused(first_reason(error)) from error
    said = said.model_copy(update={"currency": said.currency or currency})
    return said.model_copy(update={"value_minor": _minor(said)})


def minor(amount: Decimal, currency: str) -> int:
    """Return an amount in minor units; raises Refused where it is finer than the currency."""
    digits = DIGITS.get(currency, 2)
    scaled = amount.scaleb(digits)
    if scaled != scaled.to_integral_value():
        raise Refused(f"value: {currency} has {digits} digits after the point")
    if scaled > MOST_MINOR:
        raise Refused(f"value: must be at most {MOST_MINOR} minor units")
    return int(scaled)


def _given(event: UbiEvent) -> dict[str, Any]:
    attributes = event.event_attributes
    on_object: Mapping[str, Any] = attributes.object.extra if attributes.object else {}
    own = {name: getattr(event, name) for name in NAMES}
    given: dict[str, Any] = {"price": on_object.get("price")}
    for source in (on_object, attributes.extra, own):
        given |= {name: source[name] for name in NAMES if source.get(name) not in (None, "")}
    return {name: value for name, value in given.items() if value is not None}


def _minor(said: Bought) -> int:
    if said.value is None:
        return _of_price(said) if said.value_minor is None else said.value_minor
    if not said.currency:
        raise Refused("currency: missing beside value (or set feedback.currency)")
    found = minor(said.value, said.currency)
    if said.value_minor not in (None, found):
        raise Refused("value: is not what value_minor says")
    return found


def _of_price(said: Bought) -> int:
    """Return the price of all pieces; 0 without one, or without a currency: then it cannot be told."""
    if said.price is None or not said.currency:
        return 0
    return minor(said.price * said.quantity, said.currency)
