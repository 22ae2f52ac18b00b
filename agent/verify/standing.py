"""What the verifier holds of each judged query, and which verdicts follow from all of them together.

Pure: the false-discovery rule reads all claims at once, so a verdict can change without its query being
judged again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from agent.verify.admission import admit
from feedback.records import Verified

ENOUGH_CLICKS = 2.0
"""Effective clicks from which "nothing to add" is a verdict of its own."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The last judgement of one query."""

    best: Verified
    """The claim; its text is empty where there is none."""
    amount: float
    """Examinations and clicks that it rests on."""
    judged_at_ms: int


def due(standing: Standing | None, amount: float, *, growth: float) -> bool:
    """Tell whether evidence has moved by enough, either way, to be judged again."""
    if standing is None:
        return True
    return abs(amount - standing.amount) >= growth * standing.amount


class Standings:
    """All judged queries, by ``segment|query``."""

    def __init__(self) -> None:
        self._all: dict[str, Standing] = {}
        self._written: dict[str, Verified] = {}

    def __len__(self) -> int:
        return len(self._all)

    @property
    def serving(self) -> int:
        """Queries with a verified rewrite."""
        return sum(bool(verdict.text) for verdict in self._written.values())

    def serves(self, name: str) -> bool:
        """Tell whether a rewrite of the query stands in the store."""
        return bool((written := self._written.get(name)) and written.text)

    def get(self, name: str) -> Standing | None:
        """Return the last judgement."""
        return self._all.get(name)

    def restore(self, written: Mapping[str, Verified]) -> None:
        """Start from what an earlier verifier wrote; everything is due to be judged again."""
        self._written = dict(written)
        self._all = {
            name: Standing(best=verdict, amount=0.0, judged_at_ms=verdict.made_at_ms)
            for name, verdict in written.items()
        }

    def put(self, name: str, standing: Standing) -> None:
        """Keep a judgement."""
        self._all[name] = standing

    def withdraw(self, name: str, now_ms: int) -> None:
        """Have nothing said for a query any more."""
        if (one := self._all.get(name)) is not None:
            blank = msgspec.structs.replace(one.best, text="", support=0.0, proposals=(), wanted=())
            self._all[name] = replace(one, best=blank, judged_at_ms=now_ms)

    def stalest(self, served_before_ms: int, silent_before_ms: int, limit: int) -> list[str]:
        """Return queries that were judged before that time, the longest ago first, served ones by their own.

        Those to which nothing is to be added too: the catalogue may have moved under them.
        """
        served = {name for name, verdict in self._written.items() if verdict.text}
        old = [
            (one.judged_at_ms, name)
            for name, one in self._all.items()
            if one.judged_at_ms < (served_before_ms if name in served else silent_before_ms)
        ]
        return [name for _, name in sorted(old)[:limit]]

    def changes(self, judged: Iterable[str], max_harm: float) -> tuple[list[Verified], list[str]]:
        """Return the verdicts to write and the names to withdraw, given what was judged just now."""
        claims = {n: s.best.p_harm for n, s in self._all.items() if s.best.text and s.best.gain > 0}
        served = {n for n, verdict in self._written.items() if verdict.text}
        admitted, fresh = admit(claims, served, max_harm), set(judged)
        verdicts: list[Verified] = []
        withdrawn: list[str] = []
        for name, standing in self._all.items():
            wanted = _verdict(standing, admitted=name in admitted)
            written = self._written.get(name)
            if wanted is None:
                withdrawn += [name] if written else []
            elif name in fresh or written is None or written.text != wanted.text:
                verdicts.append(wanted)
        return verdicts, withdrawn

    def written(self, verdicts: Iterable[tuple[str, Verified]], withdrawn: Iterable[str]) -> None:
        """Keep what now stands in the store."""
        self._written |= dict(verdicts)
        for name in withdrawn:
            self._written.pop(name, None)


def _verdict(standing: Standing, *, admitted: bool) -> Verified | None:
    """Return what is to be served for a query; None where too little is known to say anything."""
    best = standing.best
    if admitted:
        return best
    settled = best.support >= ENOUGH_CLICKS
    if not settled and not best.proposals and not best.wanted:
        return None
    return msgspec.structs.replace(
        best, text="", gain=0.0, gain_sd=0.0, p_harm=0.0, changes=False, settled=settled
    )
