"""The metrics of `unseen exporter`, declared once: facts of the shop as its store has them.

A sum over all collectors, gateways and versions, whoever of them lives; counters count from the store's
beginning. ``bound`` is mean, low or high (95 %, both sides, where nothing else is said).
"""

from agent.watching.fact import Fact

READABLE = Fact("unseen_shop_readable_state", "1 where the exporter could read the store, else 0.")
READ_SECONDS = Fact("unseen_shop_read_seconds", "Time that the exporter took to read the store.")

STREAM_ENTRIES = Fact("unseen_shop_stream_entries", "Entries of a stream that are not applied.", ("stream",))
STREAM_PENDING = Fact(
    "unseen_shop_stream_pending_entries", "Of those, delivered to a collector and not applied.", ("stream",)
)
STREAM_LAG = Fact(
    "unseen_shop_stream_lag_seconds",
    "Age of a stream's oldest entry that is not applied, of the partition furthest behind; 0: there is none.",
    ("stream",),
)
DEAD = Fact("unseen_shop_dead_letter_entries", "Entries that could not be read, and are kept.")
EXPLORED = Fact("unseen_shop_explored_entries", "Explore pages that are kept for the learner.")
PARTITIONS = Fact("unseen_shop_partitions", "Partitions of the streams.")
OWNED = Fact("unseen_shop_owned_partitions", "Partitions that a living collector owns.")
MEMORY = Fact(
    "unseen_shop_memory_ratio", "Share of Redis' maxmemory that is used, of the fullest server; 0: no bound."
)
SHED = Fact(
    "unseen_shop_shed_total",
    "Records not written because Redis neared its bounds.",
    ("kind", "arm"),
    "counter",
)
DROPPED = Fact("unseen_shop_dropped_total", "Records that collectors dropped.", ("reason",), "counter")
PAGES = Fact("unseen_shop_pages_total", "First pages that collectors applied.", ("arm", "made"), "counter")
ACTIONS = Fact(
    "unseen_shop_actions_total", "What shoppers did, as applied.", ("action", "arm", "made"), "counter"
)
ORDERS = Fact(
    "unseen_shop_orders_total",
    "Purchases and returns: taken, attributed by each rule, and what became of them.",
    ("what",),
    "counter",
)
QUARANTINED = Fact("unseen_shop_quarantined_clients", "Clients that were judged, released ones too.")

EVIDENCE = Fact("unseen_shop_evidence_queries", "Queries of which evidence is kept.")
EVIDENCE_FIELDS = Fact(
    "unseen_shop_evidence_object_fields", "Fields of the totals of objects: objects by fold and measure."
)
VERDICTS = Fact(
    "unseen_shop_verdicts",
    "Queries that were judged, by what they get: rewrite, nothing, unsettled.",
    ("verdict",),
)
PROPOSALS = Fact("unseen_shop_proposed_candidates", "Candidates that lack evidence, which may be tried out.")
PREDICTED = Fact(
    "unseen_shop_predicted_gain_dcg", "Posterior mean of the gain of verified rewrites over raw, their mean."
)
HARM = Fact(
    "unseen_shop_harm_ratio",
    "Share of queries that are expected to be worse than raw: of verified rewrites by their posterior "
    "(verdicts), of the serving version's held-back queries (gate).",
    ("by",),
)
LIFT = Fact(
    "unseen_shop_lift_ratio",
    "Relative difference of an arm's pages to holdback's in what is measured (clicks, purchases; abandoned: "
    "no click). Arm treated: all but holdback; of its queries by band and by rung, both sides alike.",
    ("arm", "measure", "by", "slice", "bound"),
)
COMPARED = Fact("unseen_shop_compared_pages", "Pages that the lift rests on.", ("arm",))
COMPARED_AGE = Fact(
    "unseen_shop_compared_age_seconds",
    "Since arms were compared and verdicts read; before the first time, since the exporter's start.",
)
LOAN_GAIN = Fact("unseen_shop_loan_gain_dcg", "Gain of a loan by the terms of now.", ("bound",))

VERSION = Fact("unseen_shop_version", "A version's number by slot; 0: none is there.", ("slot",))
VERSION_AGE = Fact("unseen_shop_version_age_seconds", "Since a slot's version was made.", ("slot",))
VERSION_GAIN = Fact(
    "unseen_shop_version_gain_dcg", "Of a slot's version over raw at least (95 %), at the gate.", ("slot",)
)
VERSIONS = Fact("unseen_shop_versions", "Versions that are kept, by where they stand.", ("state",))
REVOKED = Fact("unseen_shop_revoked_versions", "Versions that were rolled back, ever.")
VERSION_LIFT = Fact(
    "unseen_shop_version_lift_ratio",
    "Clicks of the version that a trial or a check measured last, against the one before it.",
    ("bound",),
)
FIGURE = Fact(
    "unseen_shop_figure_value", "Figures of the newest judgement of a stage.", ("stage", "figure", "version")
)
LIMIT = Fact(
    "unseen_shop_figure_limit_value", "What a figure must not pass.", ("stage", "figure", "version", "end")
)
ALARM = Fact(
    "unseen_shop_alarm_state",
    "1 where a figure of the newest judgement of a stage passed its limit.",
    ("stage", "alarm"),
)
BUDGET_LEFT = Fact(
    "unseen_shop_loss_budget_left_ratio",
    "Of a month's clicks, what releases may still cost by their own measurement; at 0 none begins.",
)
PAUSED = Fact("unseen_shop_paused_state", "1 while somebody has stopped it.", ("what",))
SPEAKS = Fact(
    "unseen_shop_speaking_state", "1 where a process has said something of itself lately.", ("process",)
)
REPLICAS = Fact("unseen_shop_rewriter_replicas", "Rewriter replicas that live.")
