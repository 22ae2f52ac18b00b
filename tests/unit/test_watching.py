"""What the exporter makes of what the store holds, on values worked out by hand."""

import math
from itertools import count
from typing import Any

import msgspec
import pytest
from made_versions import MANIFEST
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from agent.errors import Corrupt
from agent.evaluate.lift import lift
from agent.sections import ReleaseSettings
from agent.watching import metrics
from agent.watching.comparing import compared, seen_in
from agent.watching.events import of_counts, of_shed
from agent.watching.fact import Fact, families
from agent.watching.process import StoreCollector
from agent.watching.reading import Reading, merged
from agent.watching.replicas import metrics_of
from agent.watching.verdicts import of_verdicts
from agent.watching.versions import Versions, of_versions
from feedback.collecting.counts import parse_counts
from feedback.evidence.ledger import LedgerRow
from feedback.records import Action, Arm, Band, Rung, Verified
from feedback.version_records import Figure, Judgement, Manifest, Outcome, Pause, Standing, State, Trial

IDS = count()
ALL = ("all", "all")
RELEASE = ReleaseSettings()


def page(arm: Arm, client: str, query: str = "lamp", **more: Any) -> LedgerRow:  # noqa: ANN401 - its fields
    given = {"kind": "page", "query_id": f"q{next(IDS)}", **more}
    return LedgerRow(client=client, fold=0, segment="all", query=query, arm=arm, at_ms=0, **given)


def act(on: LedgerRow, action: Action = Action.CLICK, **more: Any) -> LedgerRow:  # noqa: ANN401 - its fields
    given = {"kind": "action", "action": action, "query_id": on.query_id, **more}
    return LedgerRow(client=on.client, fold=0, segment="all", query=on.query, arm=on.arm, at_ms=0, **given)


def pages(arm: Arm, clients: int, *, clicked: int, name: str = "", **more: Any) -> list[LedgerRow]:  # noqa: ANN401
    """Return a page of each client, of which the first ones click."""
    shown = [page(arm, f"{name}{arm}{i}", **more) for i in range(clients)]
    return [*(act(one) for one in shown[:clicked]), *shown]


def test_an_arm_is_compared_with_holdback_by_client() -> None:
    rows = [*pages(Arm.STABLE, 100, clicked=30), *pages(Arm.HOLDBACK, 50, clicked=10)]
    found = compared(seen_in(rows))[metrics.LIFT]
    ones = {f"s{i}": (1.0, float(i < 30)) for i in range(100)}
    others = {f"h{i}": (1.0, float(i < 10)) for i in range(50)}
    by_hand = lift(ones, others)
    assert by_hand is not None
    assert by_hand.lift == pytest.approx(0.5)  # .3 a page against .2
    for bound, value in (("mean", by_hand.lift), ("low", by_hand.low), ("high", by_hand.high)):
        assert found["treated", "clicks", *ALL, bound] == found["stable", "clicks", *ALL, bound] == value
    assert found["treated", "abandoned", *ALL, "mean"] == pytest.approx(0.7 / 0.8 - 1)
    assert not [labels for labels in found if "purchases" in labels]  # nobody bought: nothing is said


def test_explore_pages_stand_against_those_of_holdback_that_would_have_explored() -> None:
    rows = [
        *pages(Arm.EXPLORE, 40, clicked=10),
        *pages(Arm.STABLE, 40, clicked=20),
        *pages(Arm.HOLDBACK, 40, clicked=20, aside=True, name="aside"),
        *pages(Arm.HOLDBACK, 40, clicked=10),
    ]
    found = compared(seen_in(rows))[metrics.LIFT]
    assert found["explore", "clicks", *ALL, "mean"] == pytest.approx(-0.5)
    assert found["stable", "clicks", *ALL, "mean"] == pytest.approx(1.0)
    assert found["treated", "clicks", *ALL, "mean"] == pytest.approx(0.0)


def test_by_band_and_by_rung_both_sides_are_the_same_queries() -> None:
    of_lamp = {"query": "lamp", "band": Band.HEAD, "rung": Rung.VERIFIED}
    rows = [
        *pages(Arm.STABLE, 40, clicked=20, **of_lamp),
        *pages(Arm.STABLE, 40, clicked=30, query="sofa", band=Band.TAIL, rung=Rung.RAW, name="sofa"),
        *pages(Arm.HOLDBACK, 40, clicked=10),  # of lamp, of which a page of another arm says where it belongs
        *pages(Arm.HOLDBACK, 40, clicked=30, query="sofa", name="sofa"),
    ]
    found = compared(seen_in(rows))[metrics.LIFT]
    assert found["treated", "clicks", "band", "head", "mean"] == pytest.approx(1.0)
    assert found["treated", "clicks", "band", "tail", "mean"] == pytest.approx(0.0)
    assert found["treated", "clicks", "rung", "verified", "mean"] == pytest.approx(1.0)
    assert found["treated", "clicks", "rung", "raw", "mean"] == pytest.approx(0.0)


def test_a_query_belongs_to_the_rung_of_its_newest_page() -> None:
    newest, older = page(Arm.STABLE, "a", rung=Rung.NEAREST), page(Arm.STABLE, "b", rung=Rung.RAW)
    assert seen_in([newest, older]).rung == {"all|lamp": "nearest"}
    # what holdback gets says nothing of what answers the query
    assert seen_in([page(Arm.HOLDBACK, "c", rung=Rung.RAW), newest]).rung == {"all|lamp": "nearest"}


def test_what_was_taken_back_and_who_is_left_out_do_not_count() -> None:
    kept, typed, bad = page(Arm.STABLE, "a"), page(Arm.STABLE, "b"), page(Arm.STABLE, "c")
    back = page(Arm.STABLE, "b", query_id=typed.query_id)
    rows = [
        page(Arm.STABLE, "b", kind="back", of="page", query_id=typed.query_id),
        act(kept, Action.PURCHASE),
        act(bad),
        kept,
        typed,
        bad,
        page(Arm.LOG, "d"),
    ]
    seen = seen_in(rows, frozenset({"c"}))
    assert [(one.client, one.clicked, one.bought) for one in seen.pages] == [("a", False, True)]
    assert len(seen_in([back, *rows], frozenset({"c"})).pages) == 2  # given again


def test_counts_become_counters_by_arm() -> None:
    counts = parse_counts(
        [
            ("impressions|stable|rewritten", "7"),
            ("clicks|stable|raw", "2"),
            ("dropped|again", "3"),
            ("orders|returns", "1"),
        ]
    )
    found = of_counts(counts)
    assert found[metrics.PAGES] == {("stable", "rewritten"): 7}
    assert found[metrics.ACTIONS] == {("click", "stable", "raw"): 2}
    assert found[metrics.DROPPED][("again",)] == 3
    assert found[metrics.DROPPED][("unreadable",)] == 0  # before it happened
    assert found[metrics.ORDERS] == {("returns",): 1}


def test_what_was_never_shed_stands_at_0_by_kind_and_arm() -> None:
    found = of_shed({"purchase|explore": 3, "click|unknown": 1})
    assert {labels: n for labels, n in found.items() if n} == {
        ("purchase", "explore"): 3,
        ("click", "unknown"): 1,
    }
    assert found["impression", "canary"] == 0
    assert len(found) == 6 * 7  # five actions and pages, six arms and none


def verdict(text: str, **more: Any) -> Verified:  # noqa: ANN401 - its fields
    given = {"gain": 0.0, "gain_sd": 0.0, "p_harm": 0.0, "support": 1.0, "changes": bool(text), **more}
    return Verified(query="q", text=text, fingerprint="f", evidence_seq=1, made_at_ms=0, **given)


def test_harm_and_gain_are_means_over_what_is_served() -> None:
    found = of_verdicts(
        [
            verdict("sofa", gain=0.4, p_harm=0.01),
            verdict("settee", gain=0.2, p_harm=0.03),
            verdict("", p_harm=0.5),
            verdict("", settled=False, proposals=("a", "b")),
        ]
    )
    assert found[metrics.HARM][("verdicts",)] == pytest.approx(0.02)
    assert found[metrics.PREDICTED][()] == pytest.approx(0.3)
    assert found[metrics.VERDICTS] == {("rewrite",): 2, ("nothing",): 1, ("unsettled",): 1}
    assert found[metrics.PROPOSALS] == {(): 2}
    assert of_verdicts([])[metrics.HARM] == {("verdicts",): 0.0}


def manifest(version: int, made_at_ms: int = 0) -> Manifest:
    return msgspec.structs.replace(MANIFEST, version=version, made_at_ms=made_at_ms)


def judged(version: int, stage: Any, at_ms: int, gain: float = 0.0, **figures: Figure) -> Standing:  # noqa: ANN401
    judgement = Judgement(at_ms=at_ms, stage=stage, state=State.WAITING, reason="", by="", figures=figures)
    return Standing(version=version, gain=gain, state=State.WAITING, judgements=(judgement,))


def versions(**given: Any) -> Versions:  # noqa: ANN401 - its fields
    nothing: dict[str, Any] = {
        "standings": {},
        "manifests": [],
        "stable": 0,
        "trial": None,
        "revoked": set(),
        "paused": {},
    }
    return Versions(**nothing | given)


def test_slots_tell_what_serves_and_since_when() -> None:
    found = of_versions(
        versions(
            standings={1: Standing(version=1, gain=0.1), 2: Standing(version=2, state=State.TRIAL)},
            manifests=[manifest(1, 1000), manifest(2, 3000)],
            stable=1,
            trial=Trial(version=2, stable=1, share=0.1, began_at_ms=0),
            paused={"learning": Pause(by="me", at_ms=0, why="")},
        ),
        RELEASE,
        5000,
    )
    assert found[metrics.VERSION] == {("stable",): 1, ("trial",): 2, ("newest",): 2}
    assert found[metrics.VERSION_AGE] == {("stable",): 4, ("trial",): 2, ("newest",): 2}
    assert found[metrics.VERSION_GAIN][("stable",)] == 0.1
    assert found[metrics.VERSIONS][("trial",)] == 1
    assert found[metrics.VERSIONS][("revoked",)] == 0
    assert found[metrics.PAUSED] == {("learning",): 1, ("releases",): 0}


def test_a_version_that_was_rolled_back_does_not_serve() -> None:
    found = of_versions(versions(stable=3, revoked={3}), RELEASE, 0)
    assert found[metrics.VERSION][("stable",)] == 0
    assert found[metrics.REVOKED] == {(): 1}


def test_each_figure_of_the_newest_verdict_that_passed_its_limit_is_an_alarm() -> None:
    old = judged(1, "gate", 1, words=Figure(value=9.0, most=6.0), harm_rate=Figure(value=0.3, most=0.25))
    same, queries = Figure(value=0.9, most=0.5), Figure(value=9.0)
    new = judged(2, "gate", 2, words=Figure(value=2.0, most=6.0), same=same, queries=queries)
    found = of_versions(versions(standings={1: old, 2: new}, stable=1), RELEASE, 0)
    assert found[metrics.ALARM] == {("gate", "words"): 0, ("gate", "same"): 1}
    assert found[metrics.FIGURE][("gate", "queries", "2")] == 9
    assert found[metrics.LIMIT] == {("gate", "words", "2", "most"): 6, ("gate", "same", "2", "most"): 0.5}
    assert found[metrics.HARM] == {("gate",): 0.3}  # of what serves, not of what was judged last


def test_a_trial_s_lift_has_its_bounds() -> None:
    trial = judged(
        2,
        "trial",
        1,
        clicks_lift=Figure(value=0.1),
        clicks_low=Figure(value=-0.1),
        clicks_high=Figure(value=math.inf),  # too little is known: no number
        budget_left=Figure(value=-0.01, least=0.02),
    )
    found = of_versions(versions(standings={2: trial}), RELEASE, 0)
    assert found[metrics.VERSION_LIFT] == {("mean",): 0.1, ("low",): -0.1}
    assert found[metrics.ALARM] == {("trial", "budget_left"): 1}


def test_what_a_promotion_cost_is_gone_from_the_budget_at_once_and_until_it_is_taken_back() -> None:
    lost = Outcome(
        version=2,
        began_at_ms=0,
        ended_at_ms=0,
        canary_share=0.0,
        share=1.0,
        lift=-0.5,  # of every click for a month, where 2 % may be lost
        error=0.0,
        promoted_at_ms=1,
    )
    assert of_versions(versions(outcomes=[lost]), RELEASE, 1)[metrics.BUDGET_LEFT] == {
        (): pytest.approx(0.02 - 0.5)
    }
    back = msgspec.structs.replace(lost, taken_back_at_ms=2)
    assert of_versions(versions(outcomes=[back]), RELEASE, 2)[metrics.BUDGET_LEFT][()] == pytest.approx(0.02)


def replica_text(seconds: float, version: int) -> bytes:
    registry = CollectorRegistry()
    times = Histogram("unseen_rewrite_seconds", "h", ["kind"], buckets=(1,), registry=registry)
    times.labels("live").observe(seconds)
    Counter("unseen_rewrites", "c", registry=registry).inc(3)
    Gauge("unseen_policy_version", "g", ["slot"], registry=registry).labels("stable").set(version)
    return generate_latest(registry)


def test_replicas_stand_side_by_side_and_damage_is_passed_over() -> None:
    found = {
        one.name: one
        for one in metrics_of({"a": replica_text(0.5, 4), "b": replica_text(2, 5), "c": b"unseen_x{ 1\n"})
    }
    assert set(found) == {"unseen_rewrite_seconds", "unseen_rewrites", "unseen_policy_version"}
    version = {s.labels["replica"]: s.value for s in found["unseen_policy_version"].samples}
    assert version == {"a": 4, "b": 5}
    buckets = {
        (s.labels["replica"], s.labels["le"]): s.value
        for s in found["unseen_rewrite_seconds"].samples
        if s.name.endswith("_bucket")
    }
    assert buckets == {("a", "1.0"): 1, ("a", "+Inf"): 1, ("b", "1.0"): 0, ("b", "+Inf"): 1}


def test_facts_become_families_and_parts_of_one_come_together() -> None:
    fact, total = Fact("unseen_x_ratio", "X.", ("by",)), Fact("unseen_y_total", "Y.", (), "counter")
    both = merged({fact: {("a",): 1.0}}, {fact: {("b",): 2.0}, total: {(): 3.0}})
    one, other = families(both)
    assert [(s.name, s.labels, s.value) for s in one.samples] == [
        ("unseen_x_ratio", {"by": "a"}, 1.0),
        ("unseen_x_ratio", {"by": "b"}, 2.0),
    ]
    assert [(other.type, s.name, s.value) for s in other.samples] == [("counter", "unseen_y_total", 3.0)]


def test_what_cannot_be_read_is_not_shown() -> None:
    def broken() -> Reading:
        raise Corrupt("a record cannot be read")

    (alone,) = StoreCollector(broken).collect()
    assert [(s.name, s.value) for s in alone.samples] == [("unseen_shop_readable_state", 0.0)]
