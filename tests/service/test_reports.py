"""Reports in a real Chromium, opened from disk: no error, no request, readable on every screen and on paper.

The week is read from a real Redis; the others are made of figures as a run makes them.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Loop, Page
from report_figures import backtest, demo, labels
from report_html import Parsed
from reported_week import LONG, MIN_CLIENTS, RARE, SCRIPT, write_fortnight

from agent.reporting import of_backtest, of_demo, of_labels, of_week
from agent.reporting.files import save
from agent.settings import Settings
from agent.watching.week import read
from feedback.stores import connect, forget

pytestmark = pytest.mark.timeout(120, func_only=True)
AUDIT = (Path(__file__).parents[1] / "checks" / "page_audit.js").read_text()
KINDS = ("labels", "backtest", "demo", "week")
SCREENS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"dark": True},
    "phone": {"width": 390, "height": 844},
    "dark phone": {"width": 390, "height": 844, "dark": True},
}
UNFOLD = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
FOLDED = (
    "[...document.querySelectorAll('.fold > :not(summary)')].filter((one) => !one.checkVisibility()).length"
)


def settings_of(redis_url: str) -> Settings:
    tree = {"tenant": f"week{os.getpid()}", "redis": {"state_url": redis_url, "partitions": 2}}
    settings = Settings.model_validate(tree)
    feedback = settings.feedback.model_copy(update={"min_clients": MIN_CLIENTS})  # our own tests say 1
    return settings.model_copy(update={"feedback": feedback})


async def week_of(settings: Settings) -> dict[str, Any]:
    """Write a fortnight and read its last week."""
    redis = connect(settings.redis.state_url)
    try:
        await write_fortnight(redis, settings, clients=140)
        return await read(settings, days=7, command="unseen report --week")
    finally:
        await forget(redis, settings.tenant)
        await redis.aclose()


@pytest.fixture(scope="module")
def week(redis_url: str) -> dict[str, Any]:
    return asyncio.run(week_of(settings_of(redis_url)))


@pytest.fixture(scope="module")
def folder(week: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All reports."""
    folder = tmp_path_factory.mktemp("reports")
    save(folder / "labels.json", labels(), of_labels.document)
    save(folder / "backtest.json", backtest(), of_backtest.document)
    save(folder / "demo.json", demo(), of_demo.document)
    save(folder / "week.json", week, of_week.document)
    return folder


@pytest.fixture
def page(loop: Loop, browser: str) -> Iterator[Page]:
    page = Page(loop, browser)
    yield page
    page.close()


def opened(page: Page, folder: Path, kind: str) -> None:
    page.open((folder / f"{kind}.html").as_uri())
    page.wait(f"document.readyState === 'complete' && location.href.endsWith('{kind}.html')")


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_opens_from_disk_without_an_error_or_a_request(page: Page, folder: Path, kind: str) -> None:
    page.look()
    opened(page, folder, kind)
    assert page.run("performance.getEntriesByType('resource').map((one) => one.name)") == []
    assert page.run("document.querySelectorAll('script, img, iframe, object').length") == 0
    assert page.run("document.querySelectorAll('svg[role=img]').length") > 1
    assert (
        page.run("getComputedStyle(document.querySelector('.card')).borderTopWidth") == "1px"
    )  # it has its style
    assert page.errors == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_keeps_contrast_labels_and_width_on_every_screen(
    page: Page, folder: Path, kind: str
) -> None:
    pictures = os.environ.get("UNSEEN_TEST_PICTURES")  # where somebody wants to look at them
    found = {}
    for screen, of_it in SCREENS.items():
        page.look(**of_it)
        opened(page, folder, kind)
        if pictures:
            (Path(pictures) / f"report-{kind}-{screen}.png").write_bytes(page.picture())
        page.run(UNFOLD)
        found[screen] = page.run(AUDIT)
    assert {where: what for where, what in found.items() if what} == {}
    assert page.errors == []


def test_on_paper_what_is_folded_is_open_and_the_page_is_white(page: Page, folder: Path) -> None:
    page.look(width=794, dark=True)
    opened(page, folder, "labels")
    assert page.run(FOLDED) > 0
    page.do(
        "Emulation.setEmulatedMedia",
        media="print",
        features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )
    assert page.run(FOLDED) == 0
    assert page.run("getComputedStyle(document.querySelector('h1')).color") == "rgb(28, 27, 25)"
    if pictures := os.environ.get("UNSEEN_TEST_PICTURES"):
        (Path(pictures) / "report-labels-paper.png").write_bytes(page.picture())


def test_a_script_that_came_into_a_page_would_not_run(page: Page, folder: Path) -> None:
    text = (
        (folder / "labels.html")
        .read_text()
        .replace("</main>", "<script>document.title = 'ran'</script></main>")
    )
    (folder / "spoilt.html").write_text(text)
    opened(page, folder, "spoilt")
    assert page.run("document.title") != "ran"
    assert any("Content Security Policy" in one for one in page.errors)


def test_a_week_is_read_from_the_store(week: dict[str, Any]) -> None:
    assert week["searches"]["by_arm"]["holdback"]["pages"] == 7 * 28 * 5
    assert week["lift"]["clicks"]["low"] > 0
    assert week["sides"]["holdback"]["empty"] == 7 * 28  # mw3 finds nothing without a rewrite
    assert week["sides"]["treated"]["empty"] == 0
    assert (week["versions"]["promoted"], week["versions"]["rolled_back"]) == (2, 1)
    assert [one["figure"] for one in week["alarms"]] == ["difference"]
    assert [one["query"] for one in week["rewrites"]["new"]] == ["mw3"]
    assert [one["query"] for one in week["rewrites"]["withdrawn"]] == ["old lamp"]
    assert week["rewrites"]["suspended"] == 1
    assert week["sources"] == {"verified": 600, "raw:silent": 300}
    assert week["curves"][-1]["verified"] is None  # the verifier does not speak now
    assert week["queries"]["worst"][0]["query"] == SCRIPT
    assert week["gate_harm"]["share"] == 0.12


def test_no_query_of_few_clients_stands_in_a_week_s_report(week: dict[str, Any], folder: Path) -> None:
    assert week["rewrites"]["serving"] == 7  # the rare one counts
    for name in ("week.json", "week.html"):
        text = (folder / name).read_text()
        assert RARE not in text
        assert "secret words" not in text
    assert LONG not in Parsed((folder / "week.html").read_text()).text
    assert re.search(r"\(10,000 characters\)", (folder / "week.html").read_text())
