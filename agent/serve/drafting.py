"""A page drafted from two lists, whoever searches them: what to search, and what is shown.

Guarantees that the pages of the other choices of a draw are known, or said not to be, so that what a page was
worth can be weighed by how likely it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from agent.policy.plan import Plan, plan
from agent.sections import PlanSettings
from agent.serve.choice import Asked, Chosen
from agent.serve.lists import Lists, Look
from feedback.exploring.interleaving import team_draft
from feedback.records import Draw


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The searches that a drafted page takes."""

    raw: Plan
    drawn: Plan
    others: tuple[Plan, ...]
    """Of the draw's other choices, those whose list is not known: their ids are enough."""
    draw: Draw
    look: Look

    @property
    def plans(self) -> list[Plan]:
        """All of them, each once; raw, then the drawn one."""
        return list(dict.fromkeys((self.raw, self.drawn, *self.others)))


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """What is shown, and what is to be written down of it."""

    object_ids: tuple[str, ...]
    teams: tuple[str, ...]
    """Per object; empty where the lists are the same."""
    raw_object_ids: tuple[str, ...]
    draw: Draw | None
    """None: some choice's page is not known."""


class Drafts:
    """One gateway's."""

    def __init__(self, settings: PlanSettings, *, max_age_s: float) -> None:
        """Take how long a list that was found stands for what the catalogue gives."""
        self._settings = settings
        self._lists = Lists(settings, max_age_s=max_age_s)

    def wanted(self, asked: Asked, chosen: Chosen, *, size: int) -> Wanted | None:
        """Return what a page of so many objects takes; None: nothing is tried out on it."""
        if chosen.draw is None:
            return None
        look = Look(user_query=asked.user_query, size=size, now_ms=asked.now_ms, call=asked.call)
        return Wanted(
            raw=self.raw(chosen.plan),
            drawn=chosen.plan,
            others=tuple(self._lists.missing(chosen.draw, look)),
            draw=chosen.draw,
            look=look,
        )

    def raw(self, drawn: Plan) -> Plan:
        """Return the plan of the same search without a rewrite."""
        return plan(drawn.user_query, "", self._settings, drawn.call)

    def drafted(self, wanted: Wanted, found: Mapping[Plan, Sequence[str]], *, seed: str) -> Drafted:
        """Return the page out of what each plan found; the seed, its query_id, makes it the same again."""
        look = wanted.look
        self._lists.put(found.items(), look)
        raw, drawn = tuple(found[wanted.raw]), tuple(found[wanted.drawn])
        draft = team_draft(raw, drawn, size=look.size, seed=seed)
        draw = self._lists.numbered(wanted.draw, look)
        return Drafted(
            object_ids=draft.object_ids,
            teams=draft.teams,
            raw_object_ids=raw,
            draw=draw and msgspec.structs.replace(draw, object_ids=drawn),
        )
