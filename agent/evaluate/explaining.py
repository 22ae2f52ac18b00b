"""What a query gets now, and why: from what was read to what is said. Pure.

Guarantees that the answer is the one that the gateway's own ladder gave, with time enough for it, on the page
that the catalogue showed: nothing here decides anew. Gains and worths are those of
`feedback.evidence.posterior` under the settings' own prior; the verifier's is fitted over all queries and may
be stronger.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.evaluate.explaining_found import Found
from agent.evaluate.explaining_origin import origin, why
from agent.lending import Offers
from agent.lending.looking import lendable
from agent.policy.plan import Plan
from agent.retrieval import judged_plan
from agent.serve.arms import raw_share
from agent.serve.choice import Chosen
from agent.serve.ladder import is_stale
from agent.settings import Settings
from feedback.evidence.candidates import Candidate
from feedback.evidence.posterior import Belief, attractions, difference
from feedback.records import CachedRewrite, Rewrite

LEVEL = 0.95


def explained(found: Found, settings: Settings) -> dict[str, Any]:
    """Return it as one plain object."""
    known = attractions(
        found.evidence.merged(),
        mu=found.mu,
        alpha=settings.verify.prior_examinations,
        settings=settings.feedback,
    )
    return {
        "query": found.query,
        "unknown": found.is_unknown,
        "now": _answer(found, found.chosen),
        "canary": _answer(found, found.canary) if found.canary else None,
        "raw_page": _page(found, found.raw, known),
        "rewritten_page": _page(found, found.chosen.plan, known) if not found.chosen.plan.is_raw else None,
        "gain": _gain(found, found.chosen.plan, settings),
        "versions": [_version(found, number, settings) for number in found.written],
        "verdict": _verdict(found, settings),
        "evidence": _evidence(found, known),
        "candidates": [_candidate(found, one, settings) for one in found.candidates],
        "lending": _lending(found, settings),
        "cached": [_cached(found, canary, one) for canary, one in found.cached.items()],
        "pool": [
            {"text": o.text, "version": o.version, "revoked": _revoked(found, o)} for o in found.pool.samples
        ],
        "gate": [_gate(found, number) for number in _concerned(found)],
    }


def _answer(found: Found, chosen: Chosen) -> dict[str, Any]:
    decision = chosen.decision
    return {
        "rung": decision.rung.value,
        "source": decision.source,
        "text": chosen.plan.text,
        "form": chosen.plan.form.value,
        "version": chosen.version,
        "why": why(decision, found.verdict),
        "origin": origin(
            decision, near=found.near, candidates=found.candidates, index=found.index, query=found.query
        ),
    }


def _page(found: Found, plan_: Plan, known: Mapping[str, Belief]) -> list[dict[str, Any]]:
    results, raw_ids = found.pages[plan_], found.pages[found.raw].object_ids
    titles = results.titles or ("",) * len(results.object_ids)
    return [
        {
            "rank": rank,
            "raw_rank": raw_ids.index(object_id) + 1 if object_id in raw_ids else None,
            "object_id": object_id,
            "title": title,
            "worth": said(known[object_id]) if object_id in known else None,
        }
        for rank, (object_id, title) in enumerate(zip(results.object_ids, titles, strict=True), start=1)
    ]


def _gain(found: Found, plan_: Plan, settings: Settings) -> dict[str, float] | None:
    """Return what a page gains over raw by the query's own evidence; None: there is none, or it is raw."""
    if plan_.is_raw or not found.evidence.merged():
        return None
    gain = difference(
        (found.pages[found.raw].object_ids, found.pages[plan_].object_ids),
        found.evidence.merged(),
        mu=found.mu,
        alpha=settings.verify.prior_examinations,
        settings=settings.feedback,
        depth=settings.verify.depth,
    )
    return said(gain) | {"p_harm": gain.chance_below(0.0)}


def said(belief: Belief) -> dict[str, float]:
    """Return a belief with its bounds."""
    low, high = belief.bounds(LEVEL)
    return {"mean": belief.mean, "low": low, "high": high}


def _version(found: Found, number: int, settings: Settings) -> dict[str, Any]:
    standing, manifest = found.versions.standings.get(number), found.versions.manifests.get(number)
    told: dict[str, Any] = {
        "version": number,
        "of": manifest.of if manifest else 0,
        "state": standing.state.value if standing else ("base model" if not number else "unknown"),
        "revoked": number in found.versions.revoked,
    }
    wrote = found.written[number]
    if isinstance(wrote, str):
        return told | {"text": None, "error": wrote}
    planned = judged_plan(found.asked, wrote.text, settings)
    ids = found.pages[planned].object_ids
    return told | {
        "text": wrote.text,
        "searched": planned.text,
        "changes": ids != found.pages[found.raw].object_ids,
        "object_ids": list(ids),
        "gain": _gain(found, planned, settings),
    }


def _verdict(found: Found, settings: Settings) -> dict[str, Any] | None:
    verdict = found.verdict
    if verdict is None:
        return None
    return {
        **msgspec.to_builtins(verdict),
        "evidence_seq_now": found.evidence.seq,
        "suspended_at_ms": found.suspended_at_ms,
        "moved": found.chosen.decision.source == "raw:moved",
        "raw_share": raw_share(verdict.searches, settings.serve) if verdict.text else None,
        "holdback_share": settings.serve.holdback_share,
    }


def _evidence(found: Found, known: Mapping[str, Belief]) -> dict[str, Any]:
    merged = found.evidence.merged()
    ordered = sorted(known, key=lambda d: (-known[d].mean, d))
    return {
        "seq": found.evidence.seq,
        "searches": found.searches,
        "clicks": found.evidence.clicks,
        "objects": [
            {
                "object_id": d,
                **said(known[d]),
                "clicks": merged[d].clicks,
                "examinations": merged[d].examinations,
            }
            for d in ordered
        ],
    }


def _candidate(found: Found, one: Candidate, settings: Settings) -> dict[str, Any]:
    verdict = found.verdict
    serves = judged_plan(found.query, verdict.text if verdict else "", settings)
    return {
        "text": one.text,
        "source": one.source,
        "support": list(one.support),
        "arms": sorted(arm.value for arm in one.arms),
        "serves": not serves.is_raw and judged_plan(found.query, one.text, settings) == serves,
        "proposed": bool(verdict and one.text in verdict.proposals),
    }


def _lending(found: Found, settings: Settings) -> dict[str, Any]:
    offers, terms = found.offers, found.index.terms
    may = lendable(offers, terms) if settings.serve.lenders else Offers(query=offers.query)
    gains: list[float] = []
    if offers.any:
        pages = [
            found.pages[judged_plan(found.asked, text, settings)].object_ids for text in ("", *offers.texts)
        ]
        gains = offers.gains(pages)
    told = [{"text": t, "gain": g} for t, g in zip(offers.texts, gains, strict=False)]
    verdict = found.verdict
    return {
        "judged": verdict is not None and verdict.settled,
        "lends": terms.lends and settings.serve.lenders > 0,
        "terms": msgspec.to_builtins(terms),
        "similarity": offers.similarity,
        "lendable": may.any,
        "offers": sorted(told, key=lambda one: -one["gain"]),
    }


def _sample(found: Found, one: Rewrite) -> dict[str, Any]:
    return {"text": one.text, "version": one.version, "revoked": _revoked(found, one)}


def _cached(found: Found, canary: int, one: CachedRewrite) -> dict[str, Any]:
    side = canary or found.versions.stable
    return {
        "of": f"version {canary} on trial" if canary else "what serves",
        "text": one.rewrite.text,
        "version": one.rewrite.version,
        "made_at_ms": one.rewrite.made_at_ms,
        "neighbours_seq": one.neighbours_seq,
        "revoked": _revoked(found, one.rewrite),
        "stale": is_stale(one, found.near, side),
    }


def _revoked(found: Found, one: Rewrite) -> bool:
    return one.version in found.versions.revoked


def _concerned(found: Found) -> list[int]:
    """Return the versions whose gate is told: those that answer or may, and those whose words are told."""
    spoke = [one.version for one in (found.chosen, found.canary) if one]
    wanted = {*found.written, *spoke, found.versions.stable, found.versions.trial}
    return sorted(wanted & found.versions.standings.keys(), reverse=True)


def _gate(found: Found, number: int) -> dict[str, Any]:
    standing = found.versions.standings[number]
    gate = next((one for one in reversed(standing.judgements) if one.stage == "gate" and one.figures), None)
    return {
        "version": number,
        "state": standing.state.value,
        "gain_at_least": standing.gain,
        "judgement": msgspec.to_builtins(gate),
    }
