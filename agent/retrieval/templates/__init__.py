"""The shop's own queries: complete OpenSearch bodies with one marked text clause and named parameters."""

from agent.retrieval.templates.library import Templates, judged_call, judged_plan
from agent.retrieval.templates.markers import Body
from agent.retrieval.templates.template import DEFAULT, Mode, Template, lacking

__all__ = ["DEFAULT", "Body", "Mode", "Template", "Templates", "judged_call", "judged_plan", "lacking"]
