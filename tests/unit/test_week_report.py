"""A week's figures, folded from rows by hand, and what is said where they are not known."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import pytest
from report_html import Parsed
from reported_week import DAY_MS, SCRIPT, action_row, page_row, verdict
from typing_extensions import override

from agent.evaluate.lift import lift
from agent.reporting.axes import Frame
from agent.reporting.of_week import document
from agent.reporting.page import html
from agent.watching import week_pages, week_rewrites, week_versions
from agent.watching.week import figures_of_pages, read_since
from agent.watching.week_missing import missing
from agent.watching.week_pages import Folding, WeekPage
from feedback.evidence.ledger import LedgerRow
from feedback.records import Action, Arm, Rung
from feedback.version_records import AuditEntry, Figure, Judgement, Standing, State

FROM = 100 * DAY_MS
NO_QUERY = week_pages.best_and_worst({}, set())


def folded(rows: Iterable[LedgerRow], **more: Any) -> Folding:  # noqa: ANN401 - its fields
    folding = Folding(from_ms=FROM, **more)
    for row in rows:
        folding.add(row)
    return folding


def back(row: LedgerRow) -> LedgerRow:
    return msgspec.structs.replace(row, kind="back", of=row.kind)


def pages(arm: Arm, clients: int, *, clicked: int, query: str = "couch", **more: Any) -> list[LedgerRow]:  # noqa: ANN401
    shown = [page_row(arm, f"{arm}{i}", query, FROM + 1, **more) for i in range(clients)]
    return [*shown, *(action_row(one, Action.CLICK) for one in shown[:clicked])]


def test_pages_are_counted_by_arm_with_what_was_done_on_them() -> None:
    shown = page_row(Arm.STABLE, "a", "couch", FROM + 1, rewritten=True)
    empty = page_row(Arm.HOLDBACK, "b", "mw3", FROM + 2, empty=True)
    did = [
        action_row(shown, Action.CLICK),
        action_row(shown, Action.CLICK),
        action_row(shown, Action.PURCHASE),
    ]
    found = week_pages.by_arm(folded([shown, empty, *did]).pages(FROM))
    nothing = dict.fromkeys(("rewritten", "empty", "clicked", "clicks", "purchases", "value_minor"), 0)
    assert found == {
        "holdback": nothing | {"pages": 1, "empty": 1},
        "stable": nothing
        | {"pages": 1, "rewritten": 1, "clicked": 1, "clicks": 2, "purchases": 1, "value_minor": 1999},
    }


def test_what_was_taken_back_left_out_or_came_before_is_not_counted() -> None:
    gone, out, early = (page_row(Arm.STABLE, name, "couch", FROM + 1) for name in ("gone", "out", "early"))
    early = msgspec.structs.replace(early, at_ms=FROM - 1)
    kept = page_row(Arm.STABLE, "kept", "couch", FROM + 1)
    bought = action_row(kept, Action.PURCHASE)
    rows = [back(bought), bought, kept, back(gone), gone, out, early]
    (page,) = folded(rows, left_out={out.client}).pages(FROM)
    assert (page.client, page.purchases, page.value_minor) == (kept.client, 0, 0)


def test_actions_without_their_page_are_no_page() -> None:
    lost = action_row(page_row(Arm.STABLE, "a", "couch", FROM + 1), Action.CLICK)
    assert folded([lost]).pages(FROM) == []


def test_the_lift_is_that_of_clients_against_holdback() -> None:
    rows = [
        *pages(Arm.STABLE, 60, clicked=30),
        *pages(Arm.CANARY, 40, clicked=10),
        *pages(Arm.HOLDBACK, 50, clicked=10),
    ]
    found = week_pages.lifts(folded(rows).pages(FROM))
    ones = {f"s{i}": (1.0, float(i < 40)) for i in range(100)}
    others = {f"h{i}": (1.0, float(i < 10)) for i in range(50)}
    by_hand = lift(ones, others)
    assert by_hand is not None
    assert found["clicks"] == {"mean": by_hand.lift, "low": by_hand.low, "high": by_hand.high}
    assert found["clicks"]["mean"] == pytest.approx(1.0)  # .4 a page against .2
    assert found["purchases"] is None  # nobody bought: nothing is said


def test_explore_is_held_against_pages_that_would_have_explored() -> None:
    aside = [
        msgspec.structs.replace(one, aside=True) for one in pages(Arm.HOLDBACK, 30, clicked=6, query="b")
    ]
    rows = [*pages(Arm.EXPLORE, 30, clicked=12), *pages(Arm.HOLDBACK, 30, clicked=24), *aside]
    found = week_pages.lift_by_arm(folded(rows).pages(FROM))
    assert found["explore"] is not None
    assert found["explore"]["mean"] == pytest.approx(1.0)  # .4 against .2, not against .8


def test_a_day_s_lift_is_that_from_the_start_to_its_end() -> None:
    late = [
        msgspec.structs.replace(one, at_ms=FROM + DAY_MS + 1) for one in pages(Arm.HOLDBACK, 50, clicked=25)
    ]
    found = folded([*pages(Arm.STABLE, 50, clicked=25), *late]).pages(FROM)
    first, second = week_pages.by_day(found, FROM, FROM + DAY_MS + 2)
    assert (first["lift"], list(first["arms"]), list(second["arms"])) == (None, ["stable"], ["holdback"])
    assert second["lift"]["mean"] == pytest.approx(0.0)


def test_a_day_s_lift_is_that_of_all_pages_up_to_its_end_and_takes_one_pass() -> None:
    some = [
        msgspec.structs.replace(row, at_ms=FROM + n % 5 * DAY_MS)
        for arm, clicked in ((Arm.STABLE, 40), (Arm.HOLDBACK, 25), (Arm.CANARY, 9))
        for n, row in enumerate(page_row(arm, f"{arm}{i}", "couch", FROM) for i in range(80))
        for row in ([row, action_row(row, Action.CLICK)] if n < clicked else [row])
    ]
    found = Counted(folded(some).pages(FROM))
    days = week_pages.by_day(found, FROM, FROM + 6 * DAY_MS)
    assert found.passes == 1
    assert [sum(one["pages"] for one in day["arms"].values()) for day in days] == [48, 48, 48, 48, 48, 0, 0]
    for day in days:
        until = [page for page in found if page.at_ms < day["at_ms"] + DAY_MS]
        assert day["lift"] == pytest.approx(week_pages.lifts(until)["clicks"])
    assert days[-1]["lift"] is not None


class Counted(list[WeekPage]):
    """Pages that count how often somebody went through them."""

    passes = 0

    @override
    def __iter__(self) -> Iterator[WeekPage]:
        self.passes += 1
        return super().__iter__()


def test_a_query_s_lift_names_only_what_enough_clients_asked() -> None:
    asked = {"couch": (40, 30, 10), "john doe": (40, 10, 30), "seldom": (19, 9, 10)}
    rows = [
        row
        for query, (treated, clicked, held) in asked.items()
        for arm, clients, n in ((Arm.STABLE, treated, clicked), (Arm.HOLDBACK, 40, held))
        for row in pages(arm, clients, clicked=n, query=query)
    ]
    measured = week_pages.query_lifts(week_pages.by_query(folded(rows).pages(FROM)))
    assert set(measured) == {"all|couch", "all|john doe"}  # of seldom 19 clients tell: too few
    told = week_pages.best_and_worst(measured, {"all|couch"})
    assert [one["query"] for one in told["best"]] == ["couch"]
    assert told["worst"] == []
    assert told["best"][0]["lift"]["mean"] == pytest.approx(2.0)


def measured(mean: float, low: float, high: float) -> dict[str, Any]:
    return {"lift": {"mean": mean, "low": low, "high": high}}


def test_the_best_and_the_worst_are_those_that_are_surest_and_not_those_that_were_lucky() -> None:
    found = {
        "all|lucky": measured(3.0, -0.1, 9.0),
        "all|large": measured(2.0, 0.1, 4.0),
        "all|sure": measured(0.5, 0.4, 0.6),
        "all|unlucky": measured(-0.9, -0.99, 0.2),
        "all|low": measured(-0.6, -0.9, -0.1),
        "all|surely low": measured(-0.3, -0.4, -0.2),
    }
    told = week_pages.best_and_worst(found, set(found))
    assert [one["query"] for one in told["best"]] == ["sure", "large"]
    assert [one["query"] for one in told["worst"]] == ["surely low", "low"]
    assert (told["better"], told["poorer"]) == (2, 2)
    none = week_pages.best_and_worst({"all|lucky": found["all|lucky"]}, {"all|lucky"})
    queries = {"min_clients": 3, "asked": 9, "measured": 3, "withheld": 2, **none}
    text = page(figures(queries=queries)).text
    assert "Of 3 enough clients tell in holdback and outside it; of these 2 are not named." in text
    assert text.count("None of the 1 that may be named stands out.") == 2


def served(query: str, *, at_ms: int = FROM + 1) -> LedgerRow:
    return page_row(Arm.STABLE, f"c-{query}", query, at_ms, rewritten=True)


def test_a_rewrite_is_new_where_none_served_before_and_gone_where_none_stands() -> None:
    rows = [
        served("old"),
        served("old", at_ms=FROM - 5),
        served("new"),
        served("gone"),
        served("secret"),
        served("left"),
    ]
    folding = folded(rows)
    verdicts = {
        week_rewrites.name_of(one): one
        for one in (verdict("old", "x"), verdict("new", "y"), verdict("gone", ""), verdict("secret", "z"))
    }
    may_show = {"all|old", "all|new", "all|gone", "all|left"}
    before = set(folding.verified_before)
    assert before == {"all|old"}
    told = week_rewrites.told(verdicts, week_rewrites.served_in(folding.pages(FROM)), before, may_show)
    assert week_rewrites.standing(verdicts) == {"serving": 3, "silent": 1, "open": 0}
    assert (told["new_count"], told["withdrawn_count"]) == (2, 2)
    assert [one["query"] for one in told["new"]] == ["new"]
    assert [(one["query"], one["now"]) for one in told["withdrawn"]] == [
        ("gone", "nothing is to be added"),
        ("left", "no verdict"),
    ]


def test_the_verifier_s_belief_leaves_out_what_few_asked_and_what_does_not_serve() -> None:
    verdicts = {
        week_rewrites.name_of(one): one
        for one in (verdict("a", "x", 0.3), verdict("b", "y", -0.1), verdict("c", ""), verdict("d", "z", 0.9))
    }
    told = week_rewrites.believed(verdicts, {"all|a", "all|b", "all|c"})
    assert [one["query"] for one in told["best"]] == ["a", "b"]
    assert [one["query"] for one in told["worst"]] == ["b", "a"]
    assert told["best"][0]["gain"] == {"mean": 0.3, "low": pytest.approx(0.202), "high": pytest.approx(0.398)}
    assert week_rewrites.harm(verdicts, 0.02) == {"mean": 0.01, "most": 0.01, "limit": 0.02, "rewrites": 3}


def test_versions_tell_what_was_done_in_these_days_and_which_figures_broke() -> None:
    broken = {
        "difference": Figure(value=-0.1, least=0.0),
        "difference_se": Figure(value=0.01),
        "queries": Figure(value=80.0, least=50.0),
    }
    told = Judgement(
        at_ms=FROM + 1, stage="gate", state=State.REFUSED, reason="worse", by="release", figures=broken
    )
    old = Judgement(
        at_ms=FROM - 1, stage="gate", state=State.REFUSED, reason="worse", by="release", figures=broken
    )
    standings = {4: Standing(version=4, judgements=(old, told))}
    audit = [
        AuditEntry(at_ms=FROM + 5, by="anna", did="rolled back", version=3, why="odd"),
        AuditEntry(at_ms=FROM - 5, by="release", did="promoted", version=3),
    ]
    found = week_versions.told(standings, audit, 3, FROM)
    assert (found["promoted"], found["rolled_back"]) == (0, 1)
    assert [(one["version"], one["why"]) for one in found["audit"]] == [(3, "odd")]
    (judged,) = found["judgements"]
    assert (judged["reason"], judged["lift"]["mean"]) == ("worse", -0.1)
    (alarm,) = week_versions.alarms(standings, FROM)
    assert (alarm["figure"], alarm["value"], alarm["limit"]) == ("difference", -0.1, "at least 0")


def figures(pages: list[WeekPage] | None = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - of the report
    """Return the figures of a shop of which little is known."""
    streams = {"lag_s": 0.0, "waiting": {}, "owned": 0, "partitions": 2, "dead": 0, "memory": 0.0, "shed": 0}
    silent = {"gateway": False}
    now = {"processes": silent, "streams": streams, "paused": {}, "alarms": [], "do": ["start it"]}
    known = {
        "tenant": SCRIPT, "from_ms": FROM, "until_ms": FROM + DAY_MS, "days": 7, "asked_days": 7,
        "read": {"rows": 0, "most": 10, "partitions": 2, "since_ms": 0, "kept_days": 180},
        **figures_of_pages(pages or [], FROM, FROM + DAY_MS),
        "queries": {"min_clients": 3, "asked": 0, "measured": 0, "withheld": 0, **NO_QUERY},
        "believed": week_rewrites.believed({}, set()),
        "rewrites": {
            "verdicts": {"read": 0, "stored": 0, "most": 10}, **week_rewrites.standing({}),
            **week_rewrites.told({}, {}, set(), set()), "suspended": 0,
        },
        "harm": week_rewrites.harm({}, 0.02),
        "versions": week_versions.told({}, [], 0, FROM), "alarms": [], "gate_harm": None,
        "now": now,
        "lost": {"dropped": {}, "shed": {}}, "sources": {}, "curves": [],
        "run": {"at_ms": FROM, "unseen": "0", "command": "unseen report"},
    } | more  # fmt: skip
    return known | {"missing": missing(known)}


def page(told: Mapping[str, Any]) -> Parsed:
    return Parsed(html(document(told, "week.json")))


def test_a_shop_without_pages_gets_a_report_that_says_what_to_do() -> None:
    told = page(figures())
    assert told.faults() == []
    for said in ("There is no page in these days", "unseen doctor", "Lift over raw is not known", "start it"):
        assert said in told.text
    assert SCRIPT in told.text  # the tenant's name is a text too


def test_what_happened_before_the_first_noon_or_after_the_last_is_marked() -> None:
    rows = [*pages(Arm.STABLE, 60, clicked=30), *pages(Arm.HOLDBACK, 50, clicked=10)]
    audit = [
        AuditEntry(at_ms=at_ms, by="release", did="promoted", version=version)
        for version, at_ms in ((7, FROM + 3_600_000), (9, FROM + DAY_MS - 3_600_000))
    ]
    told = figures(folded(rows).pages(FROM), versions=week_versions.told({}, audit, 9, FROM))
    told["searches"]["by_day"] = told["searches"]["by_day"][:1]
    drawn = html(document(told, "week.json"))
    assert [drawn.count(f">v{version}</text>") for version in (7, 9)] == [2, 2]  # in both charts


def test_a_day_s_value_stands_at_its_noon_on_an_axis_of_whole_days() -> None:
    rows = [*pages(Arm.STABLE, 60, clicked=30), *pages(Arm.HOLDBACK, 50, clicked=10)]
    drawn = html(document(figures(folded(rows).pages(FROM)), "week.json"))
    last = Frame(across=(0, 2), up=(0, 1)).x(1.5)  # of two days
    assert f'cx="{last:g}"' in drawn


def test_without_holdback_it_is_said_that_there_is_nothing_to_compare_with() -> None:
    told = figures(folded(pages(Arm.STABLE, 30, clicked=10)).pages(FROM))
    assert any("no page was in holdback" in one for one in told["missing"])
    few = figures(folded([*pages(Arm.STABLE, 30, clicked=9), *pages(Arm.HOLDBACK, 7, clicked=3)]).pages(FROM))
    assert any("the smaller side has 7" in one for one in few["missing"])
    assert page(few).faults() == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"read": {"rows": 9, "most": 10, "partitions": 2, "since_ms": FROM + 5, "kept_days": 180}},
            "of each of the ledger's 2 partitions the newest 5 rows",
        ),
        ({"days": 180, "asked_days": 300}, "120 of the 300 days that were asked for: the ledger keeps 180"),
        ({"days": 100}, "too few days before these were read"),
        (
            {
                "queries": {
                    "min_clients": 3,
                    "asked": 9,
                    "measured": 4,
                    "withheld": 2,
                    **NO_QUERY,
                }
            },
            "(2)",
        ),
    ],
)
def test_what_is_not_kept_or_not_told_is_said(more: dict[str, Any], said: str) -> None:
    assert any(said in one for one in figures(**more)["missing"])


BOUGHT_LATE = msgspec.structs.replace(
    action_row(page_row(Arm.STABLE, "a", "couch", FROM - 20 * DAY_MS), Action.PURCHASE), filed_ms=FROM + 5000
)


@pytest.mark.parametrize(
    ("row", "arrived_ms", "since_ms"),
    [
        (page_row(Arm.STABLE, "a", "couch", FROM + 5000), FROM + 9000, FROM + 9001),
        (BOUGHT_LATE, FROM + 9000, FROM + 9001),  # not when its page was shown, weeks ago
        (page_row(Arm.STABLE, "a", "couch", FROM + 5000), FROM + DAY_MS + 7, FROM + DAY_MS),  # past midnight
        (page_row(Arm.STABLE, "a", "couch", FROM + 5000), FROM + 4000, FROM + 5001),  # clocks differ
        (page_row(Arm.LOG, "a", "couch", FROM + 5000), FROM + 99 * DAY_MS, FROM + 5001),  # a played log
    ],
)
def test_pages_are_whole_since_the_arrival_of_the_newest_row_that_was_not_read(
    row: LedgerRow, arrived_ms: int, since_ms: int
) -> None:
    assert read_since(f"{arrived_ms}-0", row) == since_ms


def test_rungs_that_no_row_names_are_unknown() -> None:
    some = [WeekPage(rung=None, shown=1), WeekPage(rung=Rung.POLICY, shown=1)]
    assert {name: one["pages"] for name, one in week_pages.by_rung(some).items()} == {
        "policy": 1,
        "unknown": 1,
    }
