"""The learner's metrics, declared once."""

from prometheus_client import Gauge

DIVERGENCE_NATS = Gauge(
    "unseen_learner_divergence_nats", "Nats a token of own samples between the policy and its base model."
)
