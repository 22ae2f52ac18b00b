"""Whose a process is."""

PARTS = (
    ("ProxyActor", "proxy"),
    ("Gateway", "gateway"),
    ("Rewriter", "rewriter"),
    ("redis-server", "redis"),
    ("java", "opensearch"),
)
"""What a process's command line holds, and whose it is."""
REST = "rest"
"""Ray's own processes, mostly: what they take does not grow with the searches."""


def part_of(words: str) -> str:
    """Return whose process a command line is."""
    return next((part for mark, part in PARTS if mark in words), REST)
