"""Prometheus metrics of the event path, declared once. Base units; labels have few values.

The live figures of all processes together are in Redis (``feedback.collecting.counts``); these are one
process's own.
"""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("unseen_events", "Events appended to a stream.", ["action"])
IMPRESSIONS = Counter("unseen_impressions", "Impressions appended to a stream.", ["arm"])
STREAM_FAILURES = Counter("unseen_stream_failures", "Appends that failed or were refused.", ["reason"])
SHED = Counter("unseen_shed", "Records not written because Redis neared its bounds.", ["kind", "arm"])
MEMORY = Gauge("unseen_redis_memory_ratio", "Share of Redis' maxmemory that is used; 0 where it has none.")
COLLECTED = Counter("unseen_collected", "Entries that a collector applied or dropped.", ["stream"])
DROPPED = Counter("unseen_dropped", "Records that a collector dropped.", ["reason"])
QUARANTINED = Counter("unseen_quarantined", "Clients that were found to click as one with others.")
DEAD_LETTERS = Counter("unseen_dead_letters", "Unreadable entries set aside.", ["stream"])
EVICTED = Counter("unseen_evicted", "Queries and objects whose evidence gave way to others.", ["kind"])
COLLECTOR_FAILURES = Counter(
    "unseen_collector_failures", "Batches that failed and are tried again.", ["reason"]
)
COLLECTOR_FAILURES.labels("ConnectionError")  # there at 0 before it happened, as in agent.serve.metrics
BATCH_SECONDS = Histogram("unseen_collector_batch_seconds", "Time of a batch, from read to commit.")
CLICK_LAG_SECONDS = Histogram(
    "unseen_click_to_evidence_seconds",
    "From a click to its place in the evidence.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
)
EXPLORED_SHARE = Gauge(
    "unseen_explored_ratio", "Searches of the explore arm among those it may get, by band.", ["band"]
)
EXPLORE_CLICKS = Gauge(
    "unseen_explore_clicks_per_search",
    "Clicks a search of the explore arm, and of the stable arm on the same queries, by band.",
    ["band", "arm"],
)
EXPLORE_COST = Gauge(
    "unseen_explore_cost_clicks_per_search",
    "Clicks a search that exploring takes from shoppers, by band: mean, low and high (95 %).",
    ["band", "bound"],
)
PARTITIONS = Gauge("unseen_collector_partitions", "Partitions whose lease this process holds.")
EXAMINATION = Gauge("unseen_examination_ratio", "Estimated probability that a rank is looked at.", ["rank"])
RANKS_JOINED = Gauge(
    "unseen_examination_joined_ranks", "Ranks that objects shown at several ranks join to the first; of 10."
)
