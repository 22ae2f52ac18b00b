"""What a batch is answered with."""

from collections.abc import Sequence

from starlette.responses import JSONResponse

from agent.serve.edge import problem
from agent.serve.schemas import Accepted, Refusal
from feedback.errors import Permanent

MOST_NAMED = 100


def no_batch(error: Exception) -> JSONResponse:
    """Return what a body that is no batch is answered with: 400 for no JSON, 422 for none of the shapes."""
    if isinstance(error, Permanent):
        return problem(422, "invalid", str(error))
    return problem(400, "not_json", f"body: {error}")


def answer(name: str, accepted: int, refused: Sequence[tuple[int, str]]) -> JSONResponse:
    """Return 202, or 422 naming what was refused (its place in the batch, and why) of ``name``."""
    if not refused:
        return JSONResponse(Accepted(accepted=accepted).model_dump(), status_code=202)
    reasons = [Refusal(index=index, reason=reason) for index, reason in refused]
    first = reasons[0]
    detail = f"{name}.{first.index}.{first.reason}"
    return problem(422, "invalid", detail, accepted=accepted, refused=reasons[:MOST_NAMED])
