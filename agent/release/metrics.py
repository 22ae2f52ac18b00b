"""The release process' metrics, declared once; what became of versions stands in the store."""

from prometheus_client import Counter, Gauge, Histogram

STEP_SECONDS = Histogram(
    "unseen_release_step_seconds",
    "Time of one look at all that waits for a decision.",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120),
)
DECIDED = Counter("unseen_release_decisions", "Looks that decided something.")
FAILURES = Counter("unseen_release_failures", "Looks that failed and are tried again.", ["reason"])
FAILURES.labels(reason="Transient")  # there at 0 before it happened
DOUBT = Gauge(
    "unseen_release_doubt_state",
    "1 where a doubt keeps the version on trial from being promoted, by which: again, abandoned, "
    "over_holdback, anchor, budget.",
    ["doubt"],
)


def no_doubt() -> None:
    """Say that nothing is on trial that could be doubted."""
    for doubt in ("again", "abandoned", "over_holdback", "anchor", "budget"):
        DOUBT.labels(doubt=doubt).set(0)


no_doubt()
