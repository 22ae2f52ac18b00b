"""The metrics of serving, declared once.

A label whose values are known has them all from the start, at 0: what never happened is no gap.
"""

from collections import Counter as Tally

from prometheus_client import Counter, Gauge, Histogram

BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1, 2, 5, 10, 30)
STAGE_BUCKETS = tuple(sorted({*BUCKETS, 0.0015, 0.0025, 0.004, 0.006, 0.0075, 0.015}))
"""Finer where the gateway's own work lies."""

SEARCHES = Counter(
    "unseen_searches_total",
    "Searches answered, by arm, rung of the ladder, source (raw with its reason: raw:deadline) and purpose.",
    ["arm", "rung", "source", "purpose"],
)
SHADOWED = Counter(
    "unseen_shadow_searches_total",
    "Searches in shadow, by the rung that would have answered them; unknown: nobody found out.",
    ["rung"],
)
SEARCH_ERRORS = Counter("unseen_search_errors_total", "Searches that OpenSearch failed.")
STAGE_SECONDS = Histogram(
    "unseen_stage_seconds",
    "Time of a stage of one search: choose, search, whole; own, of all work for a request to /search without "
    "waits for OpenSearch, the model and the request's body (see agent.serve.own_time).",
    ["stage"],
    buckets=STAGE_BUCKETS,
)
LATE = Counter("unseen_deadline_misses_total", "Live rewrites that came after the deadline.")
REWRITER_FAILURES = Counter(
    "unseen_rewriter_failures_total", "Requests to the rewriter that failed, by kind.", ["kind"]
)
CACHE_READS = Counter(
    "unseen_cache_reads_total",
    "Reads of the cache, of what (rewrite, pool, history: a rewrite for one) and their outcome (hit, miss, "
    "failed).",
    ["what", "outcome"],
)
CACHE_FAILURES = Counter(
    "unseen_cache_failures_total",
    "Uses of the cache that failed, by operation: read, slow (a read that took too long), resting (one that "
    "was not tried, since others failed a moment ago), write, pin.",
    ["operation"],
)
UNLENT = Counter(
    "unseen_unlent_total",
    "Looks at what clicks around a query speak for that failed, by why: late, search_failed, busy.",
    ["why"],
)
FILLED = Counter(
    "unseen_filled_ahead_total",
    "Frequent queries whose words were asked for before a search did, by outcome: filled, old (a replica has "
    "not followed yet), failed.",
    ["outcome"],
)
HISTORIES = Counter(
    "unseen_history_reads_total",
    "Looks at what a session asked before a search, by outcome: found, none, failed.",
    ["outcome"],
)
SECOND_TRIES = Counter(
    "unseen_second_tries_total",
    "Pages with nothing on them for which the policy was asked once more, by outcome: found (something), "
    "empty, silent (it had no other words), late (the deadline had passed), failed (the search).",
    ["outcome"],
)
RAW_BESIDE = Counter(
    "unseen_raw_beside_total",
    "Raw searches made while the live model was waited for, by outcome: used (shown), compared (held against "
    "the page of the model's words), wasted (it failed, or nobody waited any more).",
    ["outcome"],
)
IMPRESSIONS = Counter(
    "unseen_impression_buffer_total", "Impressions, by outcome: written, shed, delayed, lost.", ["outcome"]
)
EVENTS = Counter(
    "unseen_gateway_events_total",
    "Events received, by outcome: accepted, ignored, refused, shed, unwritten.",
    ["outcome"],
)
ANONYMOUS = Counter(
    "unseen_anonymous_events_total",
    "Events of browsers without a client_token, by outcome: taken, refused.",
    ["outcome"],
)
PINS = Counter(
    "unseen_further_pages_total",
    "Further pages, by where the plan of their first one was found: here, cache; or why it was not, so that "
    "the ladder answered: unnamed (no query_id of ours, and no first page of the client's is known), "
    "foreign, expired, slow, failed, other_query, other_client, other_params; or revoked: the version that "
    "made the first one, so that raw follows.",
    ["found"],
)
REPORTS = Counter(
    "unseen_reported_pages_total",
    "Pages that shops reported, by outcome: accepted, refused, unwritten.",
    ["outcome"],
)
ZONELESS = Counter(
    "unseen_zoneless_times_total", "Times of events and queries that named no zone and were taken as UTC."
)
NOBODY = "-"
"""The name of whoever has no key, or of whom it is not asked."""
LIMITED = Counter(
    "unseen_limited_requests_total",
    "Requests refused before any work, by why (rate, busy, background) and the name of the caller's key.",
    ["why", "key"],
)
AT_ONCE = Gauge(
    "unseen_at_once_requests",
    "Requests that this gateway process has in hand: of the shop's servers (in the background: of another "
    "purpose than search), browsers, the admin port.",
    ["surface"],
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
VERSION = Gauge(
    "unseen_policy_version", "The version that a rewriter replica holds in a slot; 0: none.", ["slot"]
)
WEIGHTS_FAILURES = Gauge(
    "unseen_weights_failed_loads", "Versions that a rewriter replica could not take up, since its start."
)
OF_REPLICAS = (REWRITE_SECONDS, REWRITES, VERSION, WEIGHTS_FAILURES, CACHE_FAILURES)
"""What rewriter replicas say, through the store: see `agent.serve.replica_metrics`."""

for _status in ("400", "401", "413", "422", "429"):
    REFUSED.labels(status=_status)
for _operation in ("read", "write", "pin", "slow"):
    CACHE_FAILURES.labels(operation=_operation)
for _outcome in ("hit", "miss", "failed"):
    for _what in ("rewrite", "pool", "history"):
        CACHE_READS.labels(what=_what, outcome=_outcome)
for _outcome in ("filled", "old", "failed"):
    FILLED.labels(outcome=_outcome)
for _outcome in ("found", "none", "failed"):
    HISTORIES.labels(outcome=_outcome)
for _outcome in ("found", "empty", "silent", "late", "failed"):
    SECOND_TRIES.labels(outcome=_outcome)
for _outcome in ("used", "compared", "wasted"):
    RAW_BESIDE.labels(outcome=_outcome)
for _kind in ("live", "refresh", "pool"):
    REWRITER_FAILURES.labels(kind=_kind)
for _outcome in ("written", "shed", "delayed", "lost"):
    IMPRESSIONS.labels(outcome=_outcome)
for _outcome in ("accepted", "ignored", "refused", "shed", "unwritten"):
    EVENTS.labels(outcome=_outcome)

VITALS: Tally[str] = Tally()
"""This process's own figures for the live view: plain numbers since its start."""
