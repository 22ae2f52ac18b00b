"""Two lists as one page, and what its clicks say of them. Pure.

Guarantees that the same seed drafts the same page; that swapping the lists turns the sign of a preference;
that equal lists get none; and that clicks which depend on the rank alone give 0 on average over the drafts
of any two lists that are as long as the page.

Team drafting after Radlinski, Kurup and Joachims (CIKM 2008); credit is marginalised over all drafts that
could have given the page (Hofmann, Whiteson and de Rijke, TOIS 2013). An object of the common prefix, or one
that both lists show within one rank, belongs to neither team. Left at that, clicks at random would prefer the
list with more objects of its own: one new object before an unchanged list gets every credit there is. So a
click counts by how far what was shown at its rank differs from what the round's other coin would have shown
there, halved: both objects of their own: 1; one against an object of both lists, or against nothing, where
the other list has run out: 1/2; the same object: 0.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from feedback.errors import Permanent

RAW, REWRITE, BOTH = "raw", "rewrite", "both"
SIGN = {RAW: -1.0, REWRITE: 1.0, BOTH: 0.0}
COIN = 0.5
Pick = tuple[str, str]
"""Object and the team that picked it."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One page out of two lists."""

    object_ids: tuple[str, ...]
    teams: tuple[str, ...]
    """Per object ``raw``, ``rewrite`` or ``both``; empty when the lists are the same."""


def team_draft(raw: Sequence[str], rewritten: Sequence[str], *, size: int, seed: str) -> Draft:
    """Return the first ``size`` objects drafted in turns; each round a coin says which list picks first.

    ``both``: in the common prefix, or at most one rank apart in the two lists.
    """
    if tuple(raw[:size]) == tuple(rewritten[:size]):
        return Draft(object_ids=tuple(raw[:size]), teams=())
    coin = random.Random(seed)
    page: dict[str, str] = {}
    lists = {RAW: raw, REWRITE: rewritten}
    while picks := _round(lists, page, coin.choice((RAW, REWRITE)), size - len(page)):
        page.update(picks)
    shared = _shared(raw, rewritten)
    teams = tuple(BOTH if object_id in shared else team for object_id, team in page.items())
    return Draft(object_ids=tuple(page), teams=teams)


def preference(
    raw: Sequence[str], rewritten: Sequence[str], shown: Sequence[str], clicked: Collection[str]
) -> float:
    """Return how far the page's clicks prefer the rewritten list, in [-1, 1]; 0 without a click.

    The mean credit of the clicked objects.

    Raises:
        Permanent: no draft of the two lists gives this page.
    """
    found = credit(raw, rewritten, shown)
    told = [found[rank] for rank, object_id in enumerate(shown) if object_id in clicked]
    return sum(told) / len(told) if told else 0.0


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One round that agrees with the page."""

    start: int
    picks: tuple[Pick, ...]
    otherwise: tuple[Pick, ...]
    """What the other coin would have given."""

    @property
    def end(self) -> int:
        return self.start + len(self.picks)


def credit(raw: Sequence[str], rewritten: Sequence[str], shown: Sequence[str]) -> list[float]:
    """Return the credit of a click on each shown object, in [-1, 1]; positive for the rewritten list.

    Raises:
        Permanent: no draft of the two lists gives this page.
    """
    steps, reach = _forward({RAW: raw, REWRITE: rewritten}, shown)
    leave = [0.0] * len(shown) + [1.0]
    for step in reversed(steps):
        leave[step.start] += COIN * leave[step.end]
    if not leave[0]:
        raise Permanent("the page is no draft of its two lists")
    shared = _shared(raw, rewritten)
    found = [0.0] * len(shown)
    for step in steps:
        weight = reach[step.start] * COIN * leave[step.end] / leave[0]
        for i, pick in enumerate(step.picks):
            other = step.otherwise[i] if i < len(step.otherwise) else pick
            # The same team under either coin: the other list has nothing left to set against it.
            against = 0.0 if other == pick else _value(other, shared)
            found[step.start + i] += weight * (_value(pick, shared) - against) / 2
    return found


def _forward(lists: Mapping[str, Sequence[str]], shown: Sequence[str]) -> tuple[list[_Step], list[float]]:
    """Return the rounds that agree with the page, in order, and how likely each length is drafted so."""
    reach = [1.0] + [0.0] * len(shown)
    steps: list[_Step] = []
    for start in range(len(shown)):
        if not reach[start]:
            continue
        coins = [_round(lists, shown[:start], first, len(shown) - start) for first in (RAW, REWRITE)]
        for picks, otherwise in (coins, coins[::-1]):
            step = _Step(start=start, picks=picks, otherwise=otherwise)
            if picks and [d for d, _ in picks] == list(shown[start : step.end]):
                steps.append(step)
                reach[step.end] += COIN * reach[start]
    return steps, reach


def _round(
    lists: Mapping[str, Sequence[str]], taken: Collection[str], first: str, room: int
) -> tuple[Pick, ...]:
    """Return what one round adds: each list's best object that is not taken, the first team's first."""
    picks: dict[str, str] = {}
    for team in (first, REWRITE if first == RAW else RAW):
        best = next((d for d in lists[team] if d not in taken and d not in picks), None)
        if best is not None and len(picks) < room:
            picks[best] = team
    return tuple(picks.items())


def _value(pick: Pick, shared: Collection[str]) -> float:
    object_id, team = pick
    return 0.0 if object_id in shared else SIGN[team]


def _shared(raw: Sequence[str], rewritten: Sequence[str]) -> frozenset[str]:
    """Return the objects that both lists show within one rank (the common prefix among them)."""
    rank = {object_id: i for i, object_id in enumerate(raw)}
    return frozenset(d for i, d in enumerate(rewritten) if d in rank and abs(rank[d] - i) <= 1)
