"""Whether all that shoppers got is what the gateway counted: pages by source, errors by reason. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import httpx

from tests.faults.playing import what
from tests.faults.rows import PAGE
from tests.faults.shoppers import Visit

SEARCHES = "unseen_searches_total"
COUNTED: Mapping[str, str] = {
    "search_failed": "unseen_search_errors_total{",
    "not_written": "unseen_gateway_events_total{unwritten",
    "shed": "unseen_gateway_events_total{shed",
    "busy": "unseen_limited_requests_total{busy",
    "too_many": "unseen_limited_requests_total{rate",
}
"""An answer's ``error`` -> the beginning of the names of the figures that count it."""


@dataclass
class Got:
    """What shoppers got, in numbers."""

    searches: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    """Pages, by where the rewrite came from or why there is none."""
    errors: Counter[str] = field(default_factory=Counter)
    """Answers that are no page and no accepted click, by the reason that they gave."""
    unexplained: Counter[str] = field(default_factory=Counter)
    """Those among them that gave none which a figure counts."""

    def take(self, visits: Iterable[Visit]) -> None:
        """Count visits."""
        for visit in visits:
            self.searches += 1
            self._search(visit)
            if visit.is_page and visit.click_status != httpx.codes.ACCEPTED:
                self._error(visit.click_error, f"click: status {visit.click_status}")

    def _search(self, visit: Visit) -> None:
        got = what(visit)
        if got == PAGE:
            self.sources[visit.source] += 1
        else:
            self._error(str(visit.page.get("error", "")), f"search: {got}")

    def _error(self, reason: str, otherwise: str) -> None:
        if reason in COUNTED:
            self.errors[reason] += 1
        else:
            self.errors[otherwise] += 1
            self.unexplained[otherwise] += 1


def differences(got: Got, before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, list[int]]:
    """Return where shoppers and the gateway count differently: ``what: [shoppers, gateway]``.

    Args:
        got: by the shoppers, from one look at the figures to the other; nothing was under way at either.
        before: the gateway's figures, ``name{labels}`` -> value.
        after: the same process's, later.
    """
    rises = {name: round(value - before.get(name, 0.0)) for name, value in after.items()}
    ours = {reason: sum(n for name, n in rises.items() if name.startswith(beginning))
            for reason, beginning in COUNTED.items()}  # fmt: skip
    ours |= {f"page: {source}": n for source, n in _by_source(rises).items()}
    theirs = Counter({reason: n for reason, n in got.errors.items() if reason in COUNTED})
    theirs.update({f"page: {source}": n for source, n in got.sources.items()})
    return {
        one: [theirs[one], ours.get(one, 0)]
        for one in sorted(ours.keys() | theirs.keys())
        if theirs[one] != ours.get(one, 0)
    }


def _by_source(rises: Mapping[str, int]) -> Counter[str]:
    """Return the searches counted, by source: the last label, by name."""
    found = Counter[str]()
    for name, n in rises.items():
        family, _, labels = name.partition("{")
        if family == SEARCHES:
            found[labels.rstrip("}").split(",")[3]] += n
    return found
