"""How a soak judges: what shoppers got against what was counted, and growth by a line."""

import json
import sys
from collections import Counter
from typing import Any

import pytest

from tests.bench import soak
from tests.faults.counting import Got, differences
from tests.faults.memory import growth
from tests.faults.shop import N_PRODUCTS
from tests.faults.shoppers import Visit
from tests.faults.soaking import Told

PAGES = "unseen_searches_total{stable,search,policy,model}"
FAILED = "unseen_search_errors_total{}"


def page(source: str = "model", click: int = 202, error: str = "") -> Visit:
    body = {"hits": [{}], "total": N_PRODUCTS, "source": source}
    return Visit(began_s=0.0, status=200, page=body, click_status=click, click_error=error)


def failed(status: int = 503, **body: Any) -> Visit:  # noqa: ANN401
    return Visit(began_s=0.0, status=status, page=body)


def got(*visits: Visit) -> Got:
    one = Got()
    one.take(visits)
    return one


def test_what_both_count_alike_is_no_difference() -> None:
    told = got(page(), page(), failed(error="search_failed", detail="away"))
    assert differences(told, {PAGES: 5.0, FAILED: 1.0}, {PAGES: 7.0, FAILED: 2.0}) == {}
    assert not told.unexplained


def test_an_error_that_was_not_counted_is_one_and_so_is_one_that_nobody_saw() -> None:
    told = got(page(), failed(error="search_failed", detail="away"))
    assert differences(told, {}, {PAGES: 1.0}) == {"search_failed": [1, 0]}
    assert differences(got(page()), {}, {PAGES: 1.0, FAILED: 1.0}) == {"search_failed": [0, 1]}
    assert differences(got(page("cache")), {}, {PAGES: 1.0}) == {"page: cache": [1, 0], "page: model": [0, 1]}


@pytest.mark.parametrize(
    ("visit", "said"),
    [
        (failed(500), "search: broken"),
        (failed(422, error="invalid"), "search: status 422, hits 0"),
        (page(click=500), "click: status 500"),
        (page(click=0), "click: status 0"),
    ],
)
def test_an_error_that_gives_no_reason_is_unexplained(visit: Visit, said: str) -> None:
    assert dict(got(visit).unexplained) == {said: 1}


def test_a_refused_click_has_its_reason() -> None:
    told = got(page(click=503, error="not_written"), page(click=503, error="shed"))
    assert told.errors == {"not_written": 1, "shed": 1}
    assert not told.unexplained


def test_growth_is_the_line_s_and_neither_a_burst_nor_a_lull_moves_it() -> None:
    steady = [(float(n), 100.0 + 0.1 * n) for n in range(21)]  # 2 MiB over 20 s, of 100
    steady[5], steady[15] = (5.0, 500.0), (15.0, 10.0)
    told = growth(steady)
    assert told["mib"] == pytest.approx(100.0, abs=0.1)
    assert told["grown_pct"] == pytest.approx(2.0, abs=0.05)
    assert told["mib_an_hour"] == pytest.approx(360.0, abs=5)
    assert growth(steady[:7])["grown_pct"] is None


@pytest.mark.parametrize(
    ("grown_pct", "is_short", "is_broken"),
    [(1.9, False, False), (2.0, False, True), (None, False, True), (None, True, False), (2.0, True, True)],
)
def test_growth_that_is_not_known_breaks_the_promise_of_a_long_spell(
    *, grown_pct: float | None, is_short: bool, is_broken: bool
) -> None:
    memory = {"Gateway": [{"pid": 1, "grown_pct": grown_pct}]}
    told = Told(
        got=got(page()),
        faults=Counter(),
        differences={},
        memory=memory,
        longest_s=1.0,
        took_s=60.0,
        is_short=is_short,
    )
    assert bool(told.broken) is is_broken


@pytest.mark.parametrize("broken", [[], ["nobody got a page"]])
def test_the_command_ends_with_1_where_a_promise_was_broken(
    broken: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["soak", "--json"])
    monkeypatch.setattr(soak, "measure", lambda _: {"broken": broken})
    ended = 0
    try:
        soak.main()
    except SystemExit as end:
        ended = int(end.code or 0)
    assert ended == len(broken)
    assert json.loads(capsys.readouterr().out) == {"broken": broken}  # it is told in either case
