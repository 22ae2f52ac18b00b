"""A metric whose values are read from the store at a scrape: declared once, filled anew each time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


@dataclass(frozen=True)
class Fact:
    """Name, help, labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


Values = Mapping[tuple[str, ...], float]
"""By the values of the labels, in their order."""
Facts = Mapping[Fact, Values]


def families(facts: Facts) -> Iterator[Metric]:
    """Yield the facts as Prometheus' client has them."""
    for fact, values in facts.items():
        of = CounterMetricFamily if fact.kind == "counter" else GaugeMetricFamily
        family = of(fact.name, fact.help, labels=fact.labels)
        for labels, value in values.items():
            family.add_metric(labels, value)
        yield family
