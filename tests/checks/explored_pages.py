"""Explore pages as a collector records them."""

from typing import Any

from agent.policy.prompt import PROMPT_VERSION
from agent.policy.tiny import BASE_MODEL
from feedback.records import Choice, Draw, Explored, Rewrite

DRAWN = Rewrite(text="sofa", token_ids=(3, 4, 0), token_logprobs=(-1.0, -0.5, -0.5), temperature=0.8)


def explored(
    query: str = "couch",
    *,
    rewrite: Rewrite = DRAWN,
    examples: tuple[tuple[str, str], ...] = (),
    base_model: str = BASE_MODEL,
    **more: Any,  # noqa: ANN401
) -> Explored:
    """Return a page of the tiny policy that was drawn by itself."""
    draw = Draw(
        choices=(Choice(text=rewrite.text, token_ids=rewrite.token_ids, probability=1.0, page=1),),
        taken=0,
        examples=examples,
        base_model=base_model,
        prompt_version=PROMPT_VERSION,
    )
    fields: dict[str, Any] = {
        "query_id": f"00-{query}",
        "client": "c",
        "shown_at_ms": 0,
        "interleaved": True,
        "preference": 0.0,
        "clicks": 0,
        **more,
    }
    return Explored(query=query, rewrite=rewrite, draw=draw, **fields)
