"""The one door to OpenSearch."""

from agent.retrieval.catalogue import Catalogue
from agent.retrieval.limiter import Limiter, Overloaded
from agent.retrieval.query import Mode, body
from agent.retrieval.results import LoadReport, Rejected, Results

__all__ = ["Catalogue", "Limiter", "LoadReport", "Mode", "Overloaded", "Rejected", "Results", "body"]
