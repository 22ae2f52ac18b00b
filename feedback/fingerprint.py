"""What both first pages were when a rewrite was verified, so that a change of either can be seen. Pure."""

from collections.abc import Sequence

from feedback.text import digest


def fingerprint(raw_ids: Sequence[str], other_ids: Sequence[str], depth: int) -> str:
    """Return what the first ``depth`` objects of both lists are, in order, in 16 characters."""
    return digest("\x1f".join([*raw_ids[:depth], "\x1e", *other_ids[:depth]]))
