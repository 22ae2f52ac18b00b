"""What rewriter replicas say of themselves: the metrics that each left in the store, each under its name."""

from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from feedback.keys import Keys

MOST = 200
"""Replicas that are read, those heard last."""
MOST_BYTES = 65_536
"""Of one; a longer text is passed over."""
log = structlog.get_logger(__name__)


async def read_replicas(redis: Redis, keys: Keys) -> dict[str, bytes]:
    """Return each living replica's metrics as text; raises what Redis raises."""
    heard: Any = await redis.zrevrange(keys.replicas(), 0, MOST - 1)
    names = [name.decode() for name in heard]
    texts: Any = await redis.mget([keys.replica(name) for name in names]) if names else []
    return {name: text for name, text in zip(names, texts, strict=True) if text and len(text) <= MOST_BYTES}


def metrics_of(texts: Mapping[str, bytes]) -> list[Metric]:
    """Return the metrics of all, with the label ``replica``; what cannot be read is passed over."""
    merged: dict[str, Metric] = {}
    for name, text in texts.items():
        for family in _families(name, text):
            metric = merged.setdefault(
                family.name, Metric(family.name, family.documentation, family.type, family.unit)
            )
            for sample in family.samples:
                metric.samples.append(sample._replace(labels={**sample.labels, "replica": name}))
    return list(merged.values())


def _families(name: str, text: bytes) -> Iterable[Metric]:
    try:
        return [
            one for one in text_string_to_metric_families(text.decode()) if not one.name.endswith("_created")
        ]
    except ValueError as error:
        log.warning("replica.unreadable", replica=name, error=error)
        return []
