"""The verifier's metrics, declared once."""

from prometheus_client import Counter, Gauge, Histogram

CANDIDATES = Counter(
    "unseen_verifier_candidates_total", "Candidate rewrites searched on the catalogue and judged."
)
JUDGED = Counter("unseen_verifier_judged_total", "Queries judged, by how the judgement ended.", ["reason"])
WRITTEN = Counter("unseen_verifier_verdicts_total", "Verdicts written, by kind.", ["kind"])
SERVING = Gauge("unseen_verifier_serving", "Queries with a verified rewrite.")
PASS_SECONDS = Histogram("unseen_verifier_pass_seconds", "Time of a pass over moved queries.")
FAILURES = Counter("unseen_verifier_failures_total", "Passes that failed and are tried again.", ["reason"])
FAILURES.labels(reason="SearchFailed")  # there at 0 before it happened
LOANS_TRIED = Gauge(
    "unseen_verifier_loans_tried", "Judged queries on which it was tried what others would lend."
)
LOANS_UNTRIED = Counter("unseen_verifier_loans_untried_total", "Trials of loans whose searches failed.")
LOAN_GAIN = Gauge(
    "unseen_verifier_loan_gain",
    "Gain of a loan over raw (DCG) by the clicks of those queries: its mean, and its lower bound.",
    ["bound"],
)
