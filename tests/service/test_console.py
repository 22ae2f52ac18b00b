"""The console in a real Chromium: each page and each action, by keyboard too, light, dark and on a phone."""

import asyncio
import contextlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from chromium import Loop, Page

from agent.weights.registry import Registry
from feedback.clock import wall_clock
from feedback.version_records import State
from tests.service.console_acts import (
    HURRY,
    SAID,
    WHOLE,
    confirm,
    expected_errors,
    go,
    has_focus,
    hold,
    let_go,
    lose,
    tick,
    whole,
)
from tests.service.console_shop import (
    HOSTILE,
    JUDGED,
    KEY,
    OTHER_KEY,
    RARE,
    SHOP_KEY,
    Shop,
    settings_of,
    shop,
    versions_anew,
)

pytestmark = pytest.mark.timeout(90, func_only=True)
AUDIT = (Path(__file__).parents[1] / "checks" / "page_audit.js").read_text()
START_S = 60.0
BY = "console, key ops"
PAGES = ("try/couch", "live", "queries", "query/couch", "versions", "version/2", "health")
CHARTS = "[...document.querySelectorAll('svg[role=img]')].map((one) => one.getAttribute('aria-label'))"
CHOOSE_SILENT = """
    verdict.value = 'silent';
    verdict.dispatchEvent(new Event('change'));
"""
TIMED = """
    const headers = {Authorization: `Bearer ${sessionStorage['unseen-key']}`};
    fetch('api/queries?sort=support&search=7', {headers})
        .then((one) => one.json())
        .then(() => performance.getEntriesByType('resource').at(-1).duration)
"""
SPOIL = """
    const faint = document.createElement('p');
    faint.innerText = 'faint';
    faint.style.color = '#aaa';
    const drawing = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    document.querySelector('.page').append(faint, document.createElement('input'), drawing,
        document.createElement('img'));
    const lost = document.createElement('p');
    lost.innerText = 'lost';
    document.body.append(lost, document.createElement('main'));
    document.title = '';
"""
BUILD = """
import sys
from hatchling.builders.wheel import WheelBuilder
print(next(WheelBuilder('.').build(directory=sys.argv[1], versions=['standard'])))
"""
SCREENS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"dark": True},
    "phone": {"width": 390, "height": 844},
    "dark phone": {"width": 390, "height": 844, "dark": True},
}


@pytest.fixture(scope="module")
def served(
    loop: Loop, redis_url: str, fake_opensearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("console")
    running = shop(settings_of(redis_url, fake_opensearch_url, folder, f"console{os.getpid()}"))
    yield loop.run(running.__aenter__(), START_S)
    loop.run(running.__aexit__(None, None, None), START_S)


@pytest.fixture
def page(loop: Loop, browser: str, served: Shop) -> Iterator[Page]:
    """The console, opened with a key, in a profile of its own; its browser's console has to stay clean."""
    page = Page(loop, browser)
    page.look()
    page.do("Page.addScriptToEvaluateOnNewDocument", source=f"sessionStorage['unseen-key'] = '{KEY}'")
    page.open(f"{served.url}/console/")
    page.shows("key ops")
    yield page
    errors = page.errors
    page.close()
    assert errors == []


@pytest.fixture
def registry(loop: Loop, served: Shop) -> Iterator[Registry]:
    """The versions; they stand as at first again once the test has ended."""
    yield Registry(served.redis, served.settings.keys)
    loop.run(versions_anew(served.redis, served.settings))


def audited(registry: Registry, loop: Loop) -> tuple[str, str, int, str]:
    """Return who did what last, to which version and why."""
    (entry,) = loop.run(registry.audit(1))
    assert entry.at_ms <= wall_clock()
    return entry.by, entry.did, entry.version, entry.why


def test_the_key_is_asked_once_and_another_scope_does_not_open(
    loop: Loop, browser: str, served: Shop
) -> None:
    page = Page(loop, browser)
    page.open(f"{served.url}/console/#/health")
    page.write("A key with the scope admin", SHOP_KEY)
    page.press("Open")
    with expected_errors(page, 401):
        page.wait("document.querySelector('dialog input')?.value === ''")  # asked again
    page.write("A key with the scope admin", KEY)
    page.press("Open")
    page.shows("All is well")
    page.do("Page.reload")
    page.shows("All is well")  # kept for the tab
    assert page.run("document.querySelector('dialog') === null")
    assert page.run("document.cookie + JSON.stringify(localStorage)").count(KEY) == 0
    page.press("Key")
    page.press("Cancel")
    page.wait("!document.querySelector('dialog')")
    has_focus(page, "Key")
    page.shows("key ops")
    page.requests.clear()
    page.press("Key")
    page.write("A key with the scope admin", OTHER_KEY)
    page.press("Open")
    page.shows("key anna")
    page.wait(f"{SAID} === 'The key is kept for this tab.'")
    assert page.run("sessionStorage['unseen-key']") == OTHER_KEY
    assert {urlsplit(one).path for one in page.requests} == {"/console/api/who", "/console/api/health"}
    assert page.errors == []
    page.close()


def test_trying_a_query_shows_both_pages_and_why_and_counts_nothing(
    page: Page, served: Shop, loop: Loop
) -> None:
    before = loop.run(_written(served))
    page.write("Query, as shoppers type it", "couch")
    page.key("Enter")
    page.shows("The query was judged by its own clicks, and this rewrite holds.")
    sides = page.run("[...document.querySelectorAll('.sides section')].map((one) => one.innerText)")
    assert sides[0].split("\n")[:2] == ["Raw", "couch cover 0"] or "couch cover 0" in sides[0]
    assert "grey sofa number 0" in sides[1]
    assert "only here" in sides[1]
    assert page.run("document.querySelector('.words ins').innerText") == "grey sofa"
    assert page.run("document.querySelector('.hits button') === null")  # nobody acts unless as a shopper
    assert page.run("document.getElementById('said').innerText") == "10 results; added grey sofa"
    assert loop.run(_written(served)) == before


def test_as_a_shopper_search_click_and_purchase_are_events(page: Page, served: Shop, loop: Loop) -> None:
    before = loop.run(_written(served))
    page.write("Query, as shoppers type it", "couch")
    page.run("document.getElementById('counts').click()")
    page.press("Search")
    page.press("Click: grey sofa number 1")
    page.shows("Click ✓")
    has_focus(page, "Click ✓: grey sofa number 1")
    page.run("document.activeElement.click()")
    page.press("Buy: grey sofa number 1")
    page.shows("Buy ✓")
    assert sum(one.endswith("/did") for one in page.requests) == 2  # each counts once

    async def grew() -> None:
        while await _written(served) != (before[0] + 1, before[1] + 2):
            await asyncio.sleep(0.02)

    loop.run(grew())


def test_an_answer_that_comes_late_is_not_shown_for_another_query(page: Page) -> None:
    hold(page, "couch")
    page.write("Query, as shoppers type it", "couch")
    page.key("Enter")
    page.write("Query, as shoppers type it", "desk lamp")
    page.key("Enter")
    page.wait(f"{SAID} === '10 results; nothing added'")
    let_go(page)
    assert page.run("document.querySelector('.words').innerText") == "desk lamp"
    assert page.run(SAID) == "10 results; nothing added"


async def _written(served: Shop) -> tuple[int, int]:
    """Return how many pages and events are in the streams."""
    keys, redis = served.settings.keys, served.redis
    pages = [await redis.xlen(keys.impressions(p)) for p in range(keys.partitions)]
    events = [await redis.xlen(keys.events(p)) for p in range(keys.partitions)]
    return sum(pages), sum(events)


def test_live_draws_what_grows(page: Page, served: Shop, loop: Loop) -> None:
    page.run(HURRY)
    go(page, "live")
    page.shows("holdback (raw)")
    assert page.run("everyMs") == 5000
    names = page.run(CHARTS)
    assert [one.split(".")[0] for one in names] == [
        "Lift over raw",
        "Clicks a page by arm",
        "Reward of the learner's rollouts",
        "Queries with a verified rewrite",
    ]
    assert all("nothing yet" not in one for one in names)
    # all outside holdback 1680 + 190 of 6800, holdback 130 of 700
    assert page.run("document.querySelector('.big').innerText").startswith("+48.1")
    counts = served.settings.keys.counts(0)
    hold(page, "api/live")
    tick(page)
    page.press("Hold still")
    loop.run(_grow(served, counts))
    let_go(page)  # what was asked before is not drawn
    page.requests.clear()
    tick(page, 3)
    assert "6,100" not in page.run("document.querySelector('table').innerText")
    assert page.requests == []
    page.press("Go on")
    page.wait("document.querySelector('table').innerText.includes('6,100')")  # by itself
    page.shows("In shadow: who would have answered")
    page.run("document.querySelector('summary').focus()")
    loop.run(_grow(served, counts))
    page.wait("document.querySelector('table').innerText.includes('6,200')")
    has_focus(page, "As a table")


async def _grow(served: Shop, counts: str) -> None:
    await served.redis.hincrby(counts, "impressions|stable|raw", 100)
    await served.redis.hincrby(counts, "would|verified", 40)


def test_queries_are_found_sorted_and_paged_among_ten_thousand(page: Page) -> None:
    go(page, "queries")
    first = "document.querySelector('tbody th').innerText"
    page.wait(f"{first} === 'worst of all'")
    page.shows(f"{JUDGED - 3:,} queries, page 1 of 400")  # one silent, one open, one that few asked
    page.press("Best first")
    page.wait(f"{first} === 'couch'")
    page.press("Next")
    page.shows("page 2 of 400")
    assert page.run(first) != "couch"
    page.press("Previous")
    page.shows("page 1 of 400")
    assert page.run(first) == "couch"
    has_focus(page, "Previous")  # though there is none any more
    page.write("Words of query", "number 97")
    for n in range(1, 5):  # 111 of them: 97, 970 to 979, 9700 to 9799
        page.shows(f"page {n} of 5")
        page.press("Next")
    page.shows("page 5 of 5")
    has_focus(page, "Next")
    page.write("Words of query", "number 977")
    page.shows("11 queries, page 1 of 1")  # 977, and 9770 to 9779
    page.run(CHOOSE_SILENT)
    page.shows("No judged query is like that.")
    page.write("Words of query", RARE)
    page.shows("No judged query is like that.")
    took_ms = page.run(TIMED)
    assert took_ms < 2000


def test_a_query_is_told_whole_and_what_few_asked_is_not(page: Page) -> None:
    go(page, "query/couch")
    page.shows("Nothing is lent to it: it is judged by its own clicks.")
    text = page.text()
    for said in ("serve “grey sofa”", "co-click", "Worth", "grey sofa number 1", "chance of harm"):
        assert said.lower() in text.lower(), said
    go(page, f"query/{RARE.replace(' ', '%20')}")
    page.shows("Fewer clients than feedback.min_clients (2) asked it")
    assert "rake" not in page.text()


def test_what_shoppers_typed_is_text_and_never_markup(page: Page) -> None:
    go(page, "queries")
    page.write("Words of query", "onerror")
    page.shows(HOSTILE)
    page.run("document.querySelector('tbody a').click()")
    page.shows("What it gets now")
    assert HOSTILE in page.text()
    assert page.run("document.querySelectorAll('img').length") == 0
    with contextlib.suppress(RuntimeError):
        page.run("document.body.innerHTML = '<p>not taken</p>'")  # Trusted Types
    assert "not taken" not in page.text()
    page.errors.clear()


def test_learning_and_releases_are_paused_with_a_reason_and_go_on(
    page: Page, registry: Registry, loop: Loop
) -> None:
    go(page, "versions")
    page.press("Pause learning")
    page.press("Pause learning", "dialog button")
    assert page.run("document.querySelector('dialog') !== null")  # no reason, no act
    page.press("Cancel")
    for what in ("learning", "releases"):
        page.press(f"Pause {what}")
        confirm(page, f"Pause {what}", "somebody looks at it")
        page.shows("paused by console, key ops")
        has_focus(page, f"Resume {what}")  # the same switch
        assert set(loop.run(registry.paused())) == {what}
        assert audited(registry, loop) == (BY, f"paused {what}", 0, "somebody looks at it")
        page.press(f"Resume {what}")
        confirm(page, f"Resume {what}", "all is well")
        page.shows(f"resumed {what}")
        has_focus(page, f"Pause {what}")
        assert loop.run(registry.paused()) == {}
        assert audited(registry, loop) == (BY, f"resumed {what}", 0, "all is well")


def test_a_trial_is_ended_and_a_version_gone_back_to_with_a_reason(
    page: Page, registry: Registry, loop: Loop
) -> None:
    go(page, "versions")
    page.press("End the trial")
    confirm(page, "End the trial", "shoppers complain")
    page.shows("shoppers complain")
    has_focus(page, "Versions")  # the button is gone
    assert loop.run(registry.trial()) is None
    assert loop.run(registry.standings())[4].state is State.REVOKED
    assert loop.run(registry.stable_version()) == 3
    assert audited(registry, loop) == (BY, "rolled back", 4, "shoppers complain")
    page.press("Roll back to version 1")
    confirm(page, "Roll back", "the first was best")
    page.shows("the first was best")
    has_focus(page, "Roll back to version 1")
    assert loop.run(registry.stable_version()) == 5
    assert loop.run(registry.manifest(5)).of == 1
    assert audited(registry, loop) == (BY, "rolled back", 3, "the first was best")


def test_what_the_gate_refused_is_promoted_by_force_and_rolled_back(
    page: Page, registry: Registry, loop: Loop
) -> None:
    go(page, "versions")
    page.press("Promote version 2")
    page.write("Why", "it is good all the same")
    with expected_errors(page, 409):
        page.press("Promote", "dialog button")
        page.shows("the gate refused version 2: difference below its limit")
    has_focus(page, "Promote")
    page.run("document.getElementById('force').click()")
    page.press("Promote", "dialog button")
    page.wait("!document.querySelector('dialog')")
    page.shows("version 2 again")
    has_focus(page, "Promote version 2")
    assert loop.run(registry.stable_version()) == 5
    assert audited(registry, loop) == (BY, "promoted", 5, "it is good all the same")

    page.press("Roll back")
    confirm(page, "Roll back", "shoppers leave")
    page.shows("shoppers leave")
    has_focus(page, "Roll back")
    assert loop.run(registry.standings())[5].state is State.REVOKED
    assert loop.run(registry.manifest(6)).of == 3
    assert audited(registry, loop) == (BY, "rolled back", 5, "shoppers leave")


def test_what_cannot_be_read_after_an_act_is_said_and_nothing_old_stays(
    page: Page, registry: Registry, loop: Loop
) -> None:
    go(page, "versions")
    page.press("Pause learning")
    lose(page, "api/versions")
    confirm(page, "Pause learning", "somebody looks at it")
    page.shows("The gateway does not answer.")
    has_focus(page, "Versions")
    assert page.run("document.querySelectorAll('.page button').length") == 0
    assert set(loop.run(registry.paused())) == {"learning"}


def test_a_dialog_goes_with_its_page_and_what_it_began_is_told_on_the_next(
    page: Page, registry: Registry, served: Shop, loop: Loop
) -> None:
    def left(button: str) -> None:
        """Begin something, and go Back before the gateway answers."""
        go(page, "health")
        go(page, "versions")
        page.press(button)
        page.write("Why", "nobody waits")
        hold(page, "nobody waits")
        page.press(button, "dialog button")
        page.run("history.back()")
        whole(page, "health")
        assert page.run("document.querySelector('dialog') === null")
        has_focus(page, "Health")

    left("Pause releases")
    let_go(page)
    page.wait(f"{SAID} === 'Pause releases: done'")
    assert set(loop.run(registry.paused())) == {"releases"}
    left("Roll back")
    loop.run(_set(served, 1))
    with expected_errors(page, 409):
        let_go(page)
        page.wait("main.querySelector('h1 + .problem').innerText.includes('meanwhile version 1 serves')")
    has_focus(page, "Health")
    assert "Timeline" not in page.text()


def test_an_act_whose_dialog_was_closed_is_shown_all_the_same(page: Page, registry: Registry) -> None:
    go(page, "versions")
    page.press("Pause learning")
    page.write("Why", "nobody waits")
    hold(page, "nobody waits")
    page.press("Pause learning", "dialog button")
    page.press("Cancel")
    page.wait("!document.querySelector('dialog')")
    let_go(page)
    page.shows("paused by console, key ops")
    has_focus(page, "Resume learning")


def test_what_an_operator_did_not_see_is_not_changed(
    page: Page, registry: Registry, served: Shop, loop: Loop
) -> None:
    go(page, "versions")
    page.press("Roll back")
    page.write("Why", "too late")
    loop.run(_set(served, 1))
    with expected_errors(page, 409):
        page.press("Roll back", "dialog button")
        page.shows("meanwhile version 1 serves")
    page.key("Escape")
    page.wait("!document.querySelector('dialog')")
    has_focus(page, "Roll back")  # it is back
    assert loop.run(registry.audit()) == []


async def _set(served: Shop, stable: int) -> None:
    await served.redis.set(served.settings.keys.stable(), stable)


def test_a_version_shows_each_figure_with_its_limit(page: Page) -> None:
    go(page, "version/2")
    rows = page.run("[...document.querySelectorAll('table')][0].innerText")
    assert "broken" in rows.split("difference")[1].split("\n")[0]
    assert "at most 0.5" in rows
    assert "120 ledger rows" in page.text()


def test_all_is_reached_by_keyboard_alone(page: Page) -> None:
    go(page, "health")
    page.run("window.old = true")
    page.do("Page.reload")
    page.wait(f"!window.old && {WHOLE}")
    page.key("Tab")
    assert page.run("document.activeElement.innerText") == "Skip to the page"
    for _ in range(5):
        page.key("Tab")
        if page.run("document.activeElement.innerText") == "Queries":
            break
    page.key("Enter")
    page.shows("Worst first")
    page.wait("document.activeElement.tagName === 'H1'")  # a reader is told which page it is
    assert page.run("document.querySelector('nav [aria-current]').innerText") == "Queries"
    page.wait("document.querySelector('th button')")
    page.run(
        "[...document.querySelectorAll('th button')].find((one) => one.dataset.name === 'support').focus()"
    )
    page.key("Enter")
    page.wait("document.querySelector('[aria-sort=ascending]')?.innerText.startsWith('Clicks behind it')")
    assert page.run("document.activeElement.dataset.name") == "support"  # still there after the redraw
    page.run("document.getElementById('theme').focus()")
    page.key(" ")
    assert page.run("getComputedStyle(document.documentElement).colorScheme") == "light"
    page.key("Enter")
    assert page.run("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_every_page_keeps_contrast_labels_and_width_on_every_screen(page: Page) -> None:
    folder = os.environ.get("UNSEEN_TEST_PICTURES")  # where somebody wants to look at them
    found = {}
    for screen, of_it in SCREENS.items():
        page.look(**of_it)
        for one in PAGES:
            go(page, one)
            found[screen, one] = page.run(AUDIT)
            if folder:
                (Path(folder) / f"{one.replace('/', '-')}-{screen}.png").write_bytes(page.picture())
        go(page, "versions")
        page.press("Pause releases")
        found[screen, "dialog"] = page.run(AUDIT)
        page.press("Cancel")
    assert {where: what for where, what in found.items() if what} == {}


def test_the_audit_finds_what_is_wrong(page: Page) -> None:
    page.run(SPOIL)
    said = page.run(AUDIT)
    assert any("contrast" in one and "faint" in one for one in said)
    assert any("no label" in one for one in said)
    assert any("a picture without words: img" in one for one in said)
    assert any("a drawing that is no img" in one for one in said)
    assert any("outside every landmark" in one and "lost" in one for one in said)
    assert {"there is not one main", "no title"} <= set(said)


def test_the_wheel_holds_the_page(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)], cwd=root, check=True, capture_output=True, text=True
    )
    with zipfile.ZipFile(done.stdout.strip().splitlines()[-1]) as wheel:
        held = {name for name in wheel.namelist() if name.startswith("agent/console/assets/")}
    assert held == {
        f"agent/console/assets/{path.name}" for path in (root / "agent" / "console" / "assets").iterdir()
    }
