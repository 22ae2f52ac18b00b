"""Why a link cannot be applied: what would put evidence where nobody looks, or beyond all numbers. Pure."""

from collections.abc import Iterable

from feedback.collecting.join import Bounds
from feedback.evidence.decay import MAX_HALF_LIVES
from feedback.evidence.reading import FOLDS
from feedback.link_records import Link, Place, Sold
from feedback.text import MAX_QUERY_CHARS, normalise

MOST = 2**53
"""Up to which every integer is a double, as Redis and Lua count."""


def fault(link: Link, bounds: Bounds) -> str | None:
    """Return what is wrong with a link, by its field; None where it can be applied or is another's."""
    if not isinstance(link, Sold) or link.tenant != bounds.keys.tenant:
        return None
    wrong = _beyond(
        {"rev": link.rev, "value_minor": link.value_minor, "at_ms": link.at_ms}
        | {f"tallies.{name}": abs(n) for name, n in link.tallies.items()}
    )
    return wrong or (_misplaced(link, link.place, bounds) if link.place else None)


def _misplaced(link: Sold, place: Place, bounds: Bounds) -> str | None:
    times = {"at_ms": link.at_ms, "place.shown_at_ms": place.shown_at_ms}
    return (
        _beyond({"place.rank": place.rank, "place.version": place.version, "place.trial": place.trial})
        or _beside(place, link.query_id, bounds)
        or next((f"{name}: {at_ms} is out of range" for name, at_ms in _odd(times.items(), bounds)), None)
    )


def _beside(place: Place, query_id: str, bounds: Bounds) -> str | None:
    keys, query = bounds.keys, place.query
    if place.query_id != query_id or keys.partition_in(query_id) != bounds.partition:
        return "place.query_id: is not of this partition"
    if not query or query != normalise(query) or len(query) > MAX_QUERY_CHARS:
        return "place.query: is none"
    if keys.partition_of(query) != bounds.partition:
        return "place.query: is not of this partition"
    if not 0 <= place.fold < FOLDS:
        return f"place.fold: {place.fold} is out of range"
    return "place.segment: has a bar" if "|" in place.segment else None


def _beyond(numbers: dict[str, int]) -> str | None:
    return next((f"{name}: {n} is out of range" for name, n in numbers.items() if not 0 <= n <= MOST), None)


def _odd(times: Iterable[tuple[str, int]], bounds: Bounds) -> Iterable[tuple[str, int]]:
    """Yield the times that evidence cannot weigh, and those that have not come."""
    known = bounds.settings
    oldest_ms = max(0.0, bounds.now_ms - MAX_HALF_LIVES * known.half_life_s * 1000)
    newest_ms = bounds.now_ms + 2 * known.future_tolerance_s * 1000  # two clocks, each as wrong as one may be
    return ((name, at_ms) for name, at_ms in times if not oldest_ms <= at_ms <= newest_ms)
