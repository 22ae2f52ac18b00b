"""Rates from totals, what the status says to do, and what a person sees of it."""

from typing import Any

import pytest
from rich.console import Console

from agent.watching.pace import Pace, Paces
from agent.watching.status import totals_of, what_to_do
from agent.watching.status_view import screen

WELL: dict[str, Any] = {
    "tenant": "shop",
    "processes": {
        **dict.fromkeys(("gateway", "rewriter", "verifier", "learner", "release"), True),
        "collectors": 2,
        "replicas": 1,
    },
    "searches": {
        "over_s": 2.0,
        "a_second": 12.5,
        "by_rung": {"raw": 2.5, "verified": 7.5, "policy": 0.0},
        "by_source": {"verified": 10.0},
        "pages_applied_a_second": 12.0,
        "clicks_applied_a_second": 1.25,
    },
    "arms": {
        "stable": {"pages": 1200, "clicks": 300, "clicks_a_page": 0.25, "lift": None},
        "holdback": {"pages": 100, "clicks": 20, "clicks_a_page": 0.2, "lift": None},
        "treated": {"lift": {"mean": 0.25, "low": 0.1, "high": 0.4}},
    },
    "streams": {
        "lag_s": 0.4,
        "waiting": {"events": 3},
        "dead": 0,
        "partitions": 8,
        "owned": 8,
        "memory": 0.5,
        "shed": 0,
    },
    "evidence": {
        "queries": 50,
        "pages": 1300,
        "clicks": 320,
        "purchases": 7,
        "newest_click_age_s": 42.0,
        "quarantined": 0,
    },
    "verdicts": {
        "rewrite": 5,
        "nothing": 6,
        "unsettled": 7,
        "lending": {"lends": True, "loans": 4, "tried": 9, "gain": 0.1, "low": 0.05},
    },
    "versions": {
        "serving": 4,
        "on_trial": 6,
        "newest": 8,
        "waiting": [7],
        "not_judged": [8],
        "waits_for": "3600 s between two trials",
        "revoked": 1,
    },
    "learner": {"updates": 9.0, "reward_mean": 0.2, "version": 8.0},
    "paused": {},
    "alarms": [],
}


def without(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of the status
    return {**WELL, **{name: {**WELL[name], **more} for name, more in changed.items()}}


def shown(told: dict[str, Any]) -> str:
    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        console.print(screen({**told, "do": what_to_do(told)}))
    return captured.get()


def test_a_rate_is_that_of_the_looks_of_the_window() -> None:
    pace = Pace(window_s=10)
    pace.look(100.0, {"a": 5})
    assert pace.a_second() == {}
    pace.look(100.1, {"a": 6})
    assert pace.a_second() == {}  # a tenth of a second tells nothing of what is said once a second
    pace.look(104.0, {"a": 13, "b": 2})
    assert pace.a_second() == {"a": 2.0, "b": 0.5}
    pace.look(116.0, {"a": 25, "b": 2})
    assert (pace.over_s, pace.a_second()) == (12.0, {"a": 1.0, "b": 0.0})


def test_totals_that_fell_are_another_process_and_the_rate_begins_anew() -> None:
    pace = Pace()
    for at_s, n in ((0.0, 100), (1.0, 110), (2.0, 3), (4.0, 7)):
        pace.look(at_s, {"a": n})
    assert pace.a_second() == {"a": 2.0}


def test_of_two_gateways_rates_are_added_and_one_that_comes_or_goes_makes_none_of_its_own() -> None:
    paces = Paces()
    assert (paces.over_s, paces.a_second()) == (0.0, {})
    paces.look(0.0, {"one": {"a": 100}})
    paces.look(10.0, {"one": {"a": 120}, "two": {"a": 5000, "b": 1}})
    assert paces.a_second() == {"a": 2.0}  # what the second answered before it was seen is no rate
    paces.look(20.0, {"one": {"a": 140}, "two": {"a": 5030, "b": 11}})
    assert paces.a_second() == {"a": 5.0, "b": 1.0}
    paces.look(30.0, {"two": {"a": 5060, "b": 21}})
    assert (paces.over_s, paces.a_second()) == (20.0, {"a": 3.0, "b": 1.0})


def test_of_a_gateway_s_figures_its_totals_of_searches_count() -> None:
    said = {"searches": "7", "rung_raw": "3", "source_raw:deadline": "1", "url": "http://x", "pulse": "1"}
    assert totals_of(said) == {"searches": 7.0, "rung_raw": 3.0, "source_raw:deadline": 1.0}


NOTHING = {**dict.fromkeys(WELL["processes"], False), "collectors": 0, "replicas": 0}


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (without(processes=NOTHING), ["nothing runs as tenant shop: start unseen serve"]),
        (without(processes={"learner": False, "collectors": 0}), ["silent: learner, collector"]),
        (without(streams={"lag_s": 61.0}), ["the oldest entry waits 61 s"]),
        (without(streams={"memory": 0.85}), ["Redis is 85% full"]),
        (without(streams={"dead": 3}), ["3 entries could not be read: `unseen dead list`"]),
        ({**WELL, "paused": {"learning": {}}}, ["paused: learning: `unseen resume`"]),
        ({**WELL, "alarms": [{}, {}]}, ["2 figures passed their limit"]),
        (WELL, []),
    ],
)
def test_what_is_not_well_says_what_to_do(told: dict[str, Any], says: list[str]) -> None:
    found = what_to_do(told)
    assert len(found) == len(says)
    assert all(one.startswith(start) for one, start in zip(found, says, strict=True))


def test_one_screen_says_it_all() -> None:
    alarm = {"stage": "trial", "figure": "clicks_low", "value": -0.2, "least": -0.1}
    text = shown({**WELL, "alarms": [alarm], "paused": {"releases": {"by": "me", "at_ms": 0, "why": ""}}})
    for words in (
        "gateway, rewriter, verifier, learner, release, 2 collectors",
        "12.5 searches of one gateway, 12.0 pages applied, 1.2 clicks applied a second (of 2 s)",
        "verified 75%, raw 25%",
        "lag 0.4 s, 3 wait",
        "newest click 42 s ago",
        "lends, gain +0.100, surely +0.050 (4 loans)",
        "4 serves, 6 on trial, newest 8, 1 rolled back, waiting: 7, not judged: 8; waits for: 3600 s between",
        "9 updates, reward +0.200 lately",
        "releases by me: no reason",
        "trial clicks_low -0.2 (at least -0.1)",
        "+25.0% (+10.0% to +40.0%)",
        "too little is known",
    ):
        assert words in text
    assert len(text.splitlines()) <= 24
