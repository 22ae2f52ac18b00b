"""The prompt of a query as serving makes it: judged neighbours as examples."""

from collections.abc import Callable

from agent.policy.plan import form_of
from agent.policy.prompt import Prompt
from agent.retrieval import judged_call
from agent.scoring.snapshot import SEGMENT
from agent.settings import Settings
from feedback.evidence.neighbours import VerifiedIndex
from feedback.records import History

SPARE = 3
"""Times as many neighbours are looked up as a prompt holds, so that hidden ones can be left out."""


def prompt_for(
    query: str,
    index: VerifiedIndex,
    settings: Settings,
    *,
    hidden: Callable[[str], bool] = lambda _: False,
    history: History = (),
) -> Prompt:
    """Return the prompt with the nearest asked queries as examples: never the query, never a hidden one.

    ``history``: what a session asked before.
    """
    k = settings.policy.neighbours
    found = index.nearest(query, k=SPARE * k, segment=SEGMENT) if k else []
    pairs = [(n.verified.query, n.verified.text) for n in found if not hidden(n.verified.query)]
    return Prompt(
        query=query,
        examples=tuple(pairs[:k]),
        form=form_of(query, settings.plan, judged_call(settings.opensearch)),
        history=history,
    )
