"""The metrics of retrieval, declared once."""

from prometheus_client import Counter, Gauge, Histogram

BACKGROUND_SEARCHES = Counter(
    "unseen_background_searches_total", "Searches that no shopper waits for, by purpose.", ["purpose"]
)
BACKGROUND_LIMIT = Gauge("unseen_background_searches_limit", "Background searches allowed at a time.")
BACKGROUND_WAIT = Histogram(
    "unseen_background_wait_seconds",
    "Time that a request waited for the budget of background searches, by purpose.",
    ["purpose"],
    buckets=(0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
BACKGROUND_ALONE = Counter(
    "unseen_background_alone_total",
    "Times that Redis gave no answer about the budget of background searches.",
)
BACKGROUND_BUDGET = Gauge(
    "unseen_background_budget_per_second",
    "Background searches a second that all processes may make together.",
)
BACKGROUND_PACE = Gauge(
    "unseen_background_pace_ratio", "Share of the budget that is in use; below 1 the engine asked for less."
)
LIVE_RATE = Gauge("unseen_live_searches_per_second", "Shoppers' searches a second, over the last minute.")
GUESTS_SEARCHES = Gauge(
    "unseen_guests_searches",
    "Background searches of all processes since the tenant began, by purpose.",
    ["purpose"],
)
GUESTS_WAITED = Gauge(
    "unseen_guests_waited_seconds",
    "Time that requests of all processes waited for the budget since the tenant began, by purpose.",
    ["purpose"],
)
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
TURNED_AWAY = Counter(
    "unseen_opensearch_turned_away_total",
    "Shoppers' requests that were not made because too many waited for OpenSearch already.",
)
