"""Whether the search templates fit the live index: looked at until OpenSearch says so.

`unseen serve` refuses to start with templates that do not fit; where OpenSearch was away then, or the index
changed since, a gateway finds out here. It serves meanwhile, and what is known stands in its vitals.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping

import structlog

from agent.errors import SearchFailed
from feedback.periodic import rest

log = structlog.get_logger(__name__)
AWAY_S = 5.0
UNFIT_S = 60.0
SAID = "templates"
"""The word of the vitals."""
FIT, UNCHECKED = "fit", "unchecked"
MOST_CHARS = 300
"""Of the first fault, as it is told."""


class Fitting:
    """One gateway's look at its templates."""

    def __init__(
        self,
        faults: Callable[[], Awaitable[list[str]]],
        said: MutableMapping[str, str],
        *,
        away_s: float = AWAY_S,
        unfit_s: float = UNFIT_S,
    ) -> None:
        """Take what looks, as `Catalogue.faults`, where it is to be said, and the rests between two looks."""
        self._faults = faults
        self._said = said
        self._away_s = away_s
        self._unfit_s = unfit_s

    async def run(self, stop: asyncio.Event) -> None:
        """Look until they fit or told to stop; while OpenSearch is away they are unchecked."""
        self._said.setdefault(SAID, UNCHECKED)
        while not stop.is_set():
            try:
                faults = await self._faults()
            except SearchFailed:
                await rest(stop, self._away_s)
                continue
            if not faults:
                self._said[SAID] = FIT
                log.info("templates.fit")
                return
            if self._said[SAID] != (told := faults[0][:MOST_CHARS]):
                log.error("templates.unfit", faults=[fault.partition(":")[0] for fault in faults])
            self._said[SAID] = told
            await rest(stop, self._unfit_s)


def fault_of(said: str) -> str | None:
    """Return what is wrong by a gateway's word, as a sentence; None: nothing, or it says nothing."""
    if said in ("", FIT):
        return None
    if said == UNCHECKED:
        return "the search templates are not held against the index yet: OpenSearch gives no answer"
    return f"the search templates do not fit the index: {said}"


def faults_of(gateways: Iterable[Mapping[str, str]]) -> list[str]:
    """Return what is wrong by the vitals of several gateways, each fault once."""
    faults = (fault_of(said.get(SAID, "")) for said in gateways)
    return list(dict.fromkeys(fault for fault in faults if fault))
