"""Where a rewrite came from, and why its rung answered: sentences and sources. Pure."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from agent.lending.offers import LENDS_FROM, heard
from agent.serve.ladder import Decision
from feedback.evidence.candidates import Candidate, pairs
from feedback.evidence.neighbours import Neighbour, VerifiedIndex
from feedback.records import Rung, Verified
from feedback.text import normalise

NOT_ASKED = "not_asked"
"""Why there are no words of the live model: it was not loaded to explain."""
POLICYS_TURN = "too little is known of it and nobody lends, so it is the policy's turn"
WHY = {
    "verified": "the query was judged by its own clicks, and this rewrite holds",
    "nearest": "too little is known of it; judged queries like it lend their words, as is known to pay",
    "cache": f"{POLICYS_TURN}; it wrote this before, and it still stands",
    "model": f"{POLICYS_TURN}, and nothing is cached; the live model writes this inside the deadline",
    "again": "the page had nothing on it, and the policy, told so, had other words that find something",
    f"raw:{NOT_ASKED}": f"{POLICYS_TURN}, and nothing is cached: the live model would be asked, which was "
    "not loaded here; past the deadline raw is served",
    "raw:failed": f"{POLICYS_TURN}, and nothing is cached; the live model cannot answer",
    "raw:moved": "the verdict rests on other pages than the catalogue shows now: raw till it is judged again",
    "raw:suspended": "a gateway saw the verdict's pages change: raw until it is judged again",
    "raw:unproven": "nothing is known of it, and the policy's gain over raw is not known to be enough "
    "(serve.min_policy_gain)",
    "raw:not_held": "the policy has words for it, but the clicks around the query speak against them",
    "raw:revoked": "the version that serves was rolled back: no policy speaks",
}
JUDGED_SILENT = "the query was judged by its own clicks: nothing is to be added"
POLICY_SILENT = "nothing is known of it, and the policy adds nothing (or nothing within the limits)"


def why(decision: Decision, verdict: Verified | None) -> str:
    """Return why its rung answers, as a sentence."""
    return why_of(decision.source, verdict)


def why_of(source: str, verdict: Verified | None) -> str:
    """Return what a source says, as a sentence."""
    if source == "raw:silent":
        return JUDGED_SILENT if verdict is not None and verdict.settled else POLICY_SILENT
    return WHY.get(source, source)


def origin(
    decision: Decision,
    *,
    near: Sequence[Neighbour],
    candidates: Sequence[Candidate],
    index: VerifiedIndex,
    query: str,
) -> dict[str, Any]:
    """Return where the decision's words came from; ``near`` stand in the policy's prompt."""
    match decision.rung:
        case Rung.VERIFIED:
            return {"kind": "verified", "candidates": _of_candidates(decision.text, candidates)}
        case Rung.NEAREST:
            return {"kind": "nearest", "lenders": lenders(decision.text, heard(query, index))}
        case Rung.POLICY:
            assert decision.rewrite is not None  # noqa: S101 - the policy's rung has its action
            return {
                "kind": "policy",
                "from": decision.source,
                "version": decision.rewrite.version,
                "made_at_ms": decision.rewrite.made_at_ms,
                "prompt": [_example(n) for n in near],
            }
        case Rung.RAW:
            return {"kind": "raw"}


def _example(near: Neighbour) -> dict[str, Any]:
    return {"query": near.verified.query, "text": near.verified.text, "similarity": near.similarity}


def _of_candidates(text: str, candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return the candidate that the text is, or the two whose words it joins; none: no longer among them."""
    names = {one.text for one in candidates if normalise(one.text) == normalise(text)}
    for one, other in combinations(candidates, 2):
        if not names and pairs([one, other], 2) == [text]:
            names = {one.text, other.text}
    return [
        {"text": one.text, "source": one.source, "arms": sorted(arm.value for arm in one.arms)}
        for one in candidates
        if one.text in names
    ]


def lenders(text: str, near: Sequence[Neighbour]) -> list[dict[str, Any]]:
    """Return the judged queries that lent a text: those that offer it, else those that agree on its words."""
    able = [n for n in near if n.similarity > LENDS_FROM]
    whole = [n for n in able if f"{n.verified.text} {n.verified.query}".strip() == text]
    words = set(text.split())
    agreeing = [n for n in able if words & set(n.verified.text.split())]
    return [
        {
            "query": n.verified.query,
            "text": n.verified.text,
            "similarity": n.similarity,
            "seq": n.verified.seq,
            "agrees": not whole,
        }
        for n in whole or agreeing
    ]
