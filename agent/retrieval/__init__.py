"""The one door to OpenSearch."""

from agent.retrieval.catalogue import Catalogue
from agent.retrieval.limiter import Limiter, Overloaded
from agent.retrieval.results import LoadReport, Rejected, Results
from agent.retrieval.templates import Templates, judged_call, judged_plan

__all__ = [
    "Catalogue",
    "Limiter",
    "LoadReport",
    "Overloaded",
    "Rejected",
    "Results",
    "Templates",
    "judged_call",
    "judged_plan",
]
