"""Figures of reports, made by the code that makes them of a run, with queries that would break a page."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reported_week import LONG, SCRIPT, TURNED

from agent.demo.client import Page
from agent.demo.measure import Judged
from agent.demo.measure import summary as demo_summary
from agent.demo.shop import make_shop, never_asked
from agent.evaluate.backtest_figures import (
    SYSTEMS,
    Answer,
    Past,
    Row,
    by_query,
    over_clicks,
    part,
    rows,
    summary,
    told,
)
from agent.evaluate.clicklog import Click
from agent.evaluate.judgments import Judgments
from agent.evaluate.labelled import Answered, EvaluateOptions, figures_of
from agent.reporting.command import made_by

HOSTILE = (
    SCRIPT,
    LONG,
    TURNED,
    '" onmouseover="alert(1)',
    "{{ 7 * 7 }}",
    "</title></svg><script>alert(2)</script>",
)
WORDS = ("oak", "sofa", "lamp", "hose", "drill", "paint", "table", "chair", "ladder", "shelf")
COMMAND = (
    "unseen evaluate --catalogue products.jsonl.gz --judgments judgments.tsv.gz --report report/labels.json"
)


def queries(n: int) -> list[str]:
    return [*HOSTILE, *(f"{WORDS[i % 10]} {WORDS[i // 10 % 10]} {i}" for i in range(n))]


def labels(
    n: int = 300, *, seed: int = 0, policies: Sequence[str] = ("raw", "rm3", "spelling", "latest")
) -> dict[str, Any]:
    """Return the figures of an evaluation."""
    draw = random.Random(seed)
    asked = sorted(queries(n))
    objects = [f"d{i}" for i in range(30)]
    relevant = {query: frozenset(draw.sample(objects, 3)) for query in asked}

    def answered(better: float, *, words: bool = False) -> Answered:
        lists = [_list(draw, objects, relevant[query], better) for query in asked]
        texts = [" ".join(draw.sample(WORDS, draw.randint(0, 4))) if words else "" for _ in asked]
        return Answered(lists=lists, texts=texts)

    made = {"raw": answered(0.3), "rm3": answered(0.35), "latest": answered(0.5, words=True)}
    made["spelling"] = Answered(lists=made["raw"].lists, texts=[""] * len(asked), instead=asked)
    options = EvaluateOptions(catalogue=Path("c"), judgments=Path("j"), policies=tuple(policies), seed=seed)
    judgments = Judgments(by_query={**{q: {} for q in asked}, "nothing": {}})
    figures = figures_of(options, judgments, relevant, {name: made[name] for name in ("raw", *policies)})
    run = {
        "catalogue": "products.jsonl.gz",
        "judgments": "judgments.tsv.gz",
        "store": "weights",
        "seed": seed,
    }
    return figures | {"run": made_by(COMMAND) | run | {"model": "smollm2"}}


def _list(draw: random.Random, objects: Sequence[str], relevant: frozenset[str], better: float) -> list[str]:
    keyed = sorted(objects, key=lambda one: draw.random() - (better if one in relevant else 0.0))
    return keyed[: draw.choice((0, 10, 10, 10, 10))]


def backtest(n: int = 200, *, seed: int = 0) -> dict[str, Any]:
    """Return the figures of a backtest, as `agent.evaluate.backtest` puts them together."""
    draw = random.Random(seed)
    asked, objects = queries(n), [f"d{i}" for i in range(30)]
    clicks = [
        Click(
            client_id=f"c{i}",
            user_query=query,
            query=query,
            object_id=draw.choice(objects),
            query_at_ms=1000 * i,
            click_at_ms=1000 * i + 500,
        )
        for i, query in enumerate(draw.choices(asked, k=4 * n) if n else [])
    ]
    wanted = {one.query: one.object_id for one in clicks}
    answers = {query: _answer(draw, query, objects, wanted.get(query, "d0")) for query in asked}
    past = Past(queries=set(asked[::2]), objects=set(objects[::2]))
    judged = rows(clicks, answers, past)
    whole = summary(judged, seed=seed)
    kept = ("ndcg10", "recall100", "never_seen", "empty", "new_objects", "by_rung", "intervals")
    return {
        **whole,
        "judge_from": 0.9,
        "verified": {"queries": 87, "of": 300},
        "slices": [_slice(judged, i) for i in range(10)],
        "learner": {
            "updates": 0 if not n else 120,
            "rollouts": 900,
            "seconds": 600.0,
            "version": 4,
            "published": 4,
            "refused": 1,
        },
        "learning_on": {"steps": 10, **{name: whole[name] for name in kept}},
        "by_query": told(by_query(judged), set(asked) - set(asked[6::5])),
        "run": made_by("unseen backtest") | {"catalogue": "c.jsonl", "clicks": ["l.tsv"], "min_clients": 3},
        "seconds": 1234.0,
        "log": {
            "clicks": 8000,
            "unknown_objects": 12,
            "bad_lines": [{"file": "l.tsv", "line": 7, "reason": SCRIPT}],
        },
        "catalogue": {"objects": 1200, "rejected": [{"line": 3, "object_id": "x", "reason": "no title"}]},
        "notes": ["The log has no impressions."],
    }


def _answer(draw: random.Random, query: str, objects: Sequence[str], wanted: str) -> Answer:
    rung = draw.choice(("verified", "nearest", "policy", "raw"))
    made = {name: _list(draw, objects, frozenset({wanted}), 0.2) for name in SYSTEMS}
    if rung == "raw":
        made["served"] = made["raw"]
    else:
        made["served"] = _list(draw, objects, frozenset({wanted}), 0.5)
    text = "" if rung == "raw" else " ".join(draw.sample(WORDS, draw.randint(1, 3)))
    return Answer(query=query, rung=rung, source=rung, text=text, claimed=0.1, lists=made)


def _slice(judged: Sequence[Row], i: int) -> dict[str, Any]:
    own = list(judged)[i::10]
    return {
        "from": i / 10,
        "to": (i + 1) / 10,
        "frozen": i > 7,
        "judged_queries": 20,
        **over_clicks(own),
        "never_seen": part(own, lambda row: row.never_seen),
        "verified": {"queries": 10 * i, "of": 99},
    }


def demo(n: int = 120, *, seed: int = 0, points: int = 90) -> dict[str, Any]:
    """Return the figures of a demo."""
    draw = random.Random(seed)
    make_shop(0)
    judged = []
    for query in never_asked(0, 0)[:n]:
        raw, gain = draw.random() * 0.7, draw.choice((0.0, 0.0, 0.2, 0.3, -0.1))
        rung = draw.choice(("verified", "nearest", "policy")) if gain else "raw"
        page = Page(
            query_id="",
            object_ids=(),
            titles=("Grey sofa",),
            rewrite="grey sofa" if gain else "",
            arm="stable",
            rung=rung,
            source=rung,
            version=3,
        )
        learned = min(1.0, max(0.0, raw + gain))
        ndcg = {
            "raw": raw,
            "learned": learned,
            "oracle": min(1.0, raw + 0.25),
            "rm3": raw,
            "click_memory": raw,
            "synonyms": raw,
        }
        judged.append(Judged(query=query, page=page, ndcg=ndcg, first_before="Lamp"))
    return demo_summary(judged) | {
        "click_to_weights_s": {"median": 41.0, "p99": None},
        "exploration": {"days": 1, "bands": {}},
        "versions": 5,
        "serving_version": 3,
        "rolled_back": 1,
        "rollouts_per_s": 3.2,
        "updates": 20,
        "verified": 170,
        "requests": 5768,
        "clicks": 1300,
        "purchases": 90,
        "failed": 0,
        "pages": {"raw": 3000, "verified": 2768},
        "sources": {},
        "click_through": {"raw": 0.2, "rewritten": 0.3},
        "seed": 0,
        "shop_seed": 0,
        "seconds": 300.0,
        "opensearch": "3.4.0",
        "curves": [_point(draw, i) for i in range(points)],
        "events": [
            {"at_s": 100.0, "version": 2, "state": "trial", "stage": "gate", "why": "every figure holds"},
            {"at_s": 140.0, "version": 2, "state": "stable", "stage": "trial", "why": SCRIPT},
            {"at_s": 200.0, "version": 2, "state": "revoked", "stage": "brake", "why": "clicks fell"},
        ],
        "run": made_by("unseen demo --report report/demo.json"),
    }


def _point(draw: random.Random, i: int) -> dict[str, Any]:
    lift = 0.3 * i / 90 + 0.02 * draw.random()
    return {
        "at_s": 3.0 * i,
        "arms": {},
        "clicks_a_page": {
            "stable": 0.2 + 0.001 * i,
            "holdback": 0.19 + 0.01 * draw.random(),
            "explore": 0.21,
        },
        "lift": None if i < 10 else {"mean": lift, "low": lift - 0.15, "high": lift + 0.15},
        "reward": None if i < 5 else 0.001 * i,
        "verified": float(2 * i),
    }
