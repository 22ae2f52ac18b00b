"""The metrics of serving, declared once."""

from collections import Counter as Tally

from prometheus_client import Counter, Gauge, Histogram

BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1, 2, 5, 10, 30)

SEARCHES = Counter(
    "unseen_searches_total",
    "Searches answered, by arm, rung of the ladder, source and purpose.",
    ["arm", "rung", "source", "purpose"],
)
SEARCH_ERRORS = Counter("unseen_search_errors_total", "Searches that OpenSearch failed.")
STAGE_SECONDS = Histogram(
    "unseen_stage_seconds",
    "Time of a stage of one search: choose, search, whole.",
    ["stage"],
    buckets=BUCKETS,
)
LATE = Counter("unseen_deadline_misses_total", "Live rewrites that came after the deadline.")
REWRITER_FAILURES = Counter(
    "unseen_rewriter_failures_total", "Requests to the rewriter that failed, by kind.", ["kind"]
)
CACHE_FAILURES = Counter(
    "unseen_cache_failures_total", "Reads and writes of the cache that failed, by operation.", ["operation"]
)
UNLENT = Counter(
    "unseen_unlent_total",
    "Looks at what clicks around a query speak for that failed, by why: late, search_failed, busy.",
    ["why"],
)
IMPRESSIONS = Counter(
    "unseen_impression_buffer_total", "Impressions, by outcome: written, shed, delayed, lost.", ["outcome"]
)
EVENTS = Counter(
    "unseen_gateway_events_total",
    "Events received, by outcome: accepted, ignored, refused, unwritten.",
    ["outcome"],
)
REFUSED = Counter("unseen_refused_requests_total", "Requests answered with a 4xx, by status.", ["status"])
EXPLORE_CHANCES = Counter(
    "unseen_explore_chances_total",
    "Sum of the chances to explore of searches outside holdback, by how often the query is asked.",
    ["band"],
)
EXPLORE_SEARCHES = Counter(
    "unseen_explore_eligible_searches_total", "The searches whose chances those are.", ["band"]
)
KNOWN_SEQ = Gauge("unseen_verified_seq", "The verifier's sequence number that the gateway has seen.")
SUSPENDED = Counter(
    "unseen_suspensions_total", "Verified rewrites suspended because a page is not what it was."
)
REFRESH_FAILURES = Counter(
    "unseen_refresh_failures_total", "Times that the gateway could not follow the verdicts."
)
REWRITE_SECONDS = Histogram(
    "unseen_rewrite_seconds", "Time of one batch in the compute thread.", ["kind"], buckets=BUCKETS
)
REWRITES = Counter("unseen_rewrites_total", "Rewrites made, by kind.", ["kind"])
VERSION = Gauge("unseen_policy_version", "The version that serves in this replica.")
CANARY = Gauge("unseen_canary_version", "The version on trial in this replica; 0: none.")

VITALS: Tally[str] = Tally()
"""This process's own figures for the live view: plain numbers since its start."""
