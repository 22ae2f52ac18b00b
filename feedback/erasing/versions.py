"""Which versions a client has taught, and where learning can begin again. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from feedback.delivery.stream_reading import arrival
from feedback.version_records import Manifest


def taught(manifests: Iterable[Manifest], first: Mapping[str, str]) -> list[Manifest]:
    """Return the versions that learned from the rows that go, or from a version that did.

    Args:
        manifests: all versions.
        first: by partition, the stream id of the first row that goes.

    A version has learned from every row up to the end of its window; where it has no window, from all that
    had arrived when it was made. An older version under a new number is judged as the older one.
    """
    by_number = {one.version: one for one in manifests}
    return [one for one in by_number.values() if _learned(by_number.get(one.of, one), first)]


def _learned(manifest: Manifest, first: Mapping[str, str]) -> bool:
    if not first:
        return False
    if not manifest.window:
        return manifest.made_at_ms >= min(arrival(one)[0] for one in first.values())
    return any(
        arrival(window.last) >= arrival(first[partition])
        for partition, window in manifest.window.items()
        if partition in first
    )


def goes_back_to(manifests: Sequence[Manifest], first: Mapping[str, str]) -> tuple[Manifest | None, int]:
    """Return the newest version that learned none of it, and how many optimiser steps are done since.

    None: learning begins at the base model. A checkpoint between two versions makes it fewer steps.
    """
    tainted = {one.version for one in taught(manifests, first)}
    clean = [one for one in manifests if one.version not in tainted and not one.of]
    newest = max(clean, key=lambda one: one.version, default=None)
    done = max((one.steps for one in manifests), default=0)
    return newest, done - (newest.steps if newest else 0)
