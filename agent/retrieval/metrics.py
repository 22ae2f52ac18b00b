"""The metrics of retrieval, declared once."""

from prometheus_client import Counter, Gauge, Histogram

BACKGROUND_SEARCHES = Counter(
    "unseen_background_searches_total", "Searches that no shopper waits for, by purpose.", ["purpose"]
)
BACKGROUND_LIMIT = Gauge("unseen_background_searches_limit", "Background searches allowed at a time.")
SEARCH_SECONDS = Histogram(
    "unseen_opensearch_seconds",
    "Time of one request to OpenSearch.",
    ["kind"],
    buckets=(
        0.002,
        0.005,
        0.01,
        0.02,
        0.05,
        0.1,
        0.2,
        0.5,
        1,
        2,
        5,
    ),
)
SEARCH_FAILURES = Counter(
    "unseen_opensearch_failures_total", "Requests to OpenSearch that got no answer, by kind.", ["kind"]
)
