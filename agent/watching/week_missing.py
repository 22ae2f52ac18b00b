"""What a week's report cannot say, why, and what to do about it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.evaluate.lift import MIN_CLIENTS
from agent.reporting.numbers import moment

NOTHING = (
    "There is no page in these days. See whether the gateway is asked and a collector runs: `unseen status`, "
    "`unseen doctor`; look further back with --days."
)
HISTORY = (
    "Sources of lists, lag of streams, memory and latency are kept for now alone, and reward and verified "
    "rewrites as curves for a day: Prometheus keeps them longer (deploy/README.md)."
)


def missing(figures: Mapping[str, Any]) -> list[str]:
    """Return the sentences."""
    return [*_of_ledger(figures), *_of_arms(figures), *_of_queries(figures), *_of_verdicts(figures), HISTORY]


def _of_ledger(figures: Mapping[str, Any]) -> Iterator[str]:
    read, days = figures["read"], figures["days"]
    if not figures["searches"]["pages"]:
        yield NOTHING
    if read["since_ms"] > figures["from_ms"]:
        yield (
            f"Pages before {moment(read['since_ms'])} UTC: of each of the ledger's {read['partitions']:,} "
            f"partitions the newest {read['most'] // read['partitions']:,} rows were read. All figures of "
            "searches are of pages since then."
        )
    if figures["asked_days"] > days:
        yield (
            f"{figures['asked_days'] - days:,} of the {figures['asked_days']:,} days that were asked for: "
            f"the ledger keeps {read['kept_days']:,} (feedback.ledger_days), and these are what is told."
        )
    if read["since_ms"] or 2 * days > read["kept_days"]:
        yield (
            "Whether a verified rewrite is new: too few days before these were read, so that one which "
            "served before them may be called new."
        )


def _of_verdicts(figures: Mapping[str, Any]) -> Iterator[str]:
    verdicts = figures["rewrites"]["verdicts"]
    if verdicts["stored"] > verdicts["most"]:
        yield (
            f"Verdicts beyond {verdicts['read']:,} of {verdicts['stored']:,} (metrics.verdicts is "
            f"{verdicts['most']:,}): how many stand, what the verifier believes and the chance of harm are "
            "of these. What is new or withdrawn is of all."
        )


def _of_arms(figures: Mapping[str, Any]) -> Iterator[str]:
    sides, found = figures["sides"], figures["lift"]
    if not figures["searches"]["pages"]:
        return
    if not sides["holdback"]["pages"]:
        yield "Lift: no page was in holdback; serve.holdback_share keeps some searches raw to compare with."
    elif found["clicks"] is None:
        few = min(sides["treated"]["clients"], sides["holdback"]["clients"])
        yield (
            f"Lift in clicks: {MIN_CLIENTS} clients are needed on both sides and a click on each; the "
            f"smaller side has {few}. Look further back with --days, or raise serve.holdback_share."
        )
    if found["clicks"] is not None and found["purchases"] is None:
        yield "Lift in purchases: nobody bought on one of the sides, or purchases are not sent (/events)."


def _of_queries(figures: Mapping[str, Any]) -> Iterator[str]:
    queries = figures["queries"]
    if queries["withheld"]:
        yield (
            f"Which the other measured queries are ({queries['withheld']:,}): fewer clients than "
            f"feedback.min_clients ({queries['min_clients']}) asked them, so that they are not named."
        )
    if figures["searches"]["pages"] and not queries["measured"]:
        yield (
            f"Lift of single queries: none was asked by {MIN_CLIENTS} clients in holdback and as many "
            "outside it. What the verifier believes of rewrites stands in its place."
        )
    if figures["gate_harm"] is None:
        yield "Harm of the serving version at its gate: none serves, or its judgement is no longer kept."
