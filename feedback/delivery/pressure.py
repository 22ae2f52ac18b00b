"""What is not written while Redis nears its bounds: the cheapest lesson first, purchases last. Pure.

Every explored or held-back page is worth far more to learning than one more page of the arm that exploits
what is known; a click teaches more than a page without one; money is the last that a shop wants to miss.
"""

from enum import IntEnum

from feedback.records import Action, Arm, Event, Impression
from feedback.settings import FeedbackSettings

EXPLOITS = frozenset({Arm.STABLE, Arm.CANARY, Arm.SHADOW})
"""Arms whose pages are made of what is known already."""


class Rank(IntEnum):
    """How dear a record is; those of a lower rank are shed first."""

    EXPLOITING = 0
    """Pages of the arms that exploit."""
    PAGES = 1
    """Other pages, and what was seen of them."""
    CLICKS = 2
    """Clicks and baskets."""
    MONEY = 3
    """Purchases, and what takes them back."""


RANK_OF = {
    Action.VIEW: Rank.PAGES,
    Action.CLICK: Rank.CLICKS,
    Action.ADD_TO_CART: Rank.CLICKS,
    Action.PURCHASE: Rank.MONEY,
    Action.RETURN: Rank.MONEY,
}


def rank_of(record: Impression | Event) -> Rank:
    """Return how dear a record is."""
    if isinstance(record, Event):
        return RANK_OF[record.action_name]
    return Rank.EXPLOITING if record.arm in EXPLOITS else Rank.PAGES


def sheds(record: Impression | Event, full: float, settings: FeedbackSettings) -> bool:
    """Return whether a record is not written where the fuller of memory and its stream is so full."""
    return full >= settings.shed_from[rank_of(record)]
