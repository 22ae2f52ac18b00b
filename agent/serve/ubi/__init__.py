"""User Behavior Insights (UBI) 1.3.0 as shops send it: checked, and turned into our records."""

from agent.serve.ubi.events import Sorted, sort_out, to_record
from agent.serve.ubi.models import UbiEvent, UbiQuery
from agent.serve.ubi.rules import MAX_EVENTS, Rules, first_reason, is_ours
from agent.serve.ubi.sender import Sender

__all__ = [
    "MAX_EVENTS",
    "Rules",
    "Sender",
    "Sorted",
    "UbiEvent",
    "UbiQuery",
    "first_reason",
    "is_ours",
    "sort_out",
    "to_record",
]
