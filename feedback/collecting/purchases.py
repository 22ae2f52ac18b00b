"""How purchases found their pages, what became of them, and which are still to come: for people."""

from collections.abc import Mapping
from typing import Any

from feedback.clock import wall_clock
from feedback.collecting.accounts import BY_LAST_CLICK, BY_QUERY_ID, CLIPPED, REPEATED, TAKEN_BACK
from feedback.collecting.counts import read_counts
from feedback.evidence.maturity import MaturityReader
from feedback.keys import Keys
from feedback.records import Maturity
from feedback.settings import FeedbackSettings, RedisSettings
from feedback.stores import connect

UNATTRIBUTED = "unattributed"


async def report(redis: RedisSettings, keys: Keys, settings: FeedbackSettings) -> dict[str, Any]:
    """Return the figures since the store began; raises what Redis raises."""
    async with connect(redis.state_url, redis.timeout_s) as connection:
        counts = await read_counts(connection, keys)
        maturity = await MaturityReader(connection, keys, settings, wall_clock).estimate()
    return figures(counts.orders, maturity)


def figures(orders: Mapping[str, int], maturity: Maturity | None) -> dict[str, Any]:
    """Return purchases by the rule that found their page with their shares, and what became of them."""
    purchases = orders.get("purchases", 0)
    by_rule = {rule: orders.get(rule, 0) for rule in (BY_QUERY_ID, BY_LAST_CLICK)}
    by_rule[UNATTRIBUTED] = max(0, purchases - sum(by_rule.values()))
    return {
        "purchases": purchases,
        "by_rule": by_rule,
        "share_by_rule": {rule: n / purchases if purchases else 0.0 for rule, n in by_rule.items()},
        "returns": orders.get("returns", 0),
        "taken_back": orders.get(TAKEN_BACK, 0),
        "repeated_on_a_page": orders.get(REPEATED, 0),
        "pieces_returned_unbought": orders.get(CLIPPED, 0),
        "unknown_currency": orders.get("unknown_currency", 0),
        "matured": maturity.matured if maturity else None,
        "mean_delay_s": maturity.mean_delay_s if maturity else None,
        "delay_model": maturity.model if maturity else None,
    }
