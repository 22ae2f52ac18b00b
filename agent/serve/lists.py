"""Which rewrites of a draw find the same page, so that the pages' probabilities are known.

Guarantees a bound on memory, and that no list stands for what the catalogue gave longer ago than the setting
says.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from agent.policy.call import DEFAULT_CALL, TemplateCall
from agent.policy.plan import Plan, plan
from agent.sections import PlanSettings
from feedback.records import Choice, Draw

DEPTH = 10
"""Ranks by which two lists are the same."""
CAPACITY = 20_000
Top = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Look:
    """One search: lists are compared within it."""

    user_query: str
    size: int
    now_ms: int
    call: TemplateCall = DEFAULT_CALL


class Lists:
    """What plans found lately; one event loop."""

    def __init__(self, settings: PlanSettings, *, max_age_s: float) -> None:
        self._settings = settings
        self._max_age_ms = max_age_s * 1000
        self._found: OrderedDict[tuple[Plan, int], tuple[Top, int]] = OrderedDict()

    def missing(self, draw: Draw, look: Look) -> list[Plan]:
        """Return the plans of the raw query and of all choices whose list is not known, each once."""
        return [one for one in dict.fromkeys(self._plans(draw, look)) if self._top(one, look) is None]

    def put(self, found: Iterable[tuple[Plan, Sequence[str]]], look: Look) -> None:
        """Take in what plans found."""
        for one, object_ids in found:
            name = (one, _depth(look))
            self._found[name] = (tuple(object_ids[: _depth(look)]), look.now_ms)
            self._found.move_to_end(name)
        while len(self._found) > CAPACITY:
            self._found.popitem(last=False)

    def numbered(self, draw: Draw, look: Look) -> Draw | None:
        """Return the draw with the number of each choice's page; None where a list is not known."""
        tops = [self._top(one, look) for one in self._plans(draw, look)]
        if None in tops:
            return None
        numbers = {top: i for i, top in enumerate(dict.fromkeys(tops))}
        choices: list[Choice] = [
            msgspec.structs.replace(choice, page=numbers[top])
            for choice, top in zip(draw.choices, tops[1:], strict=True)
        ]
        return msgspec.structs.replace(draw, choices=tuple(choices))

    def _plans(self, draw: Draw, look: Look) -> list[Plan]:
        """Return the raw query's plan, then that of each choice."""
        texts = ("", *(choice.text for choice in draw.choices))
        return [plan(look.user_query, text, self._settings, look.call) for text in texts]

    def _top(self, one: Plan, look: Look) -> Top | None:
        top, found_at_ms = self._found.get((one, _depth(look)), (None, 0))
        return top if 0 <= look.now_ms - found_at_ms <= self._max_age_ms else None  # a clock may go back


def _depth(look: Look) -> int:
    return min(look.size, DEPTH)
