"""The console's pages as Lighthouse would look at them, in a real Chromium.

What they load, how soon they can be used, where Tab goes, and who wants no motion. Contrast, labels,
headings, landmarks, pictures, widths and hit areas are the audit's (`tests/checks/page_audit.js`), in
test_console.py on every screen.
"""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from chromium import Loop, Page
from page_walk import moving, walk

from tests.service.console_shop import JUDGED, KEY, Shop, settings_of, shop

pytestmark = pytest.mark.timeout(120, func_only=True)
START_S = 60.0
PAGES = ("try/couch", "live", "queries", "query/couch", "versions", "version/2", "health")
MOST_BYTES = 100_000
"""Of the console's files and of what its first page asks for."""
MOST_MS = 5_000
"""From the address to a table of 10,000 queries that answers, on a machine with other work."""
WHOLE = "!main.hasAttribute('aria-busy') && main.querySelector('.page *')"
WATCH = """
    sessionStorage['unseen-key'] = '%s';
    new MutationObserver((_, watch) => {
        if (!document.querySelector('tbody tr')) return;
        watch.disconnect();
        requestIdleCallback(() => { window.usable_ms = performance.now(); });
    }).observe(document, { childList: true, subtree: true });
"""


@pytest.fixture(scope="module")
def served(
    loop: Loop, redis_url: str, fake_opensearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("console")
    running = shop(settings_of(redis_url, fake_opensearch_url, folder, f"quality{os.getpid()}"))
    yield loop.run(running.__aenter__(), START_S)
    loop.run(running.__aexit__(None, None, None), START_S)


@pytest.fixture
def page(loop: Loop, browser: str) -> Iterator[Page]:
    """An empty page that will have the console's key."""
    page = Page(loop, browser)
    page.look()
    page.do("Page.addScriptToEvaluateOnNewDocument", source=WATCH % KEY)
    yield page
    page.close()


def visit(page: Page, served: Shop, name: str) -> None:
    """Come to a page of the console."""
    page.open(f"{served.url}/console/#/{name}")
    page.wait(f"location.hash === '#/{name}' && {WHOLE}")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_its_own_files_alone_and_all_of_them(page: Page, served: Shop, name: str) -> None:
    visit(page, served, name)
    assert {urlsplit(one).netloc for one in page.requests if one.startswith("http")} == {
        urlsplit(served.url).netloc
    }
    assert (page.failed, page.errors) == ([], [])
    assert 10_000 < page.received_bytes < MOST_BYTES
    assert page.run("document.title").endswith(" Unseen console")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_tab_reaches_everything_in_its_order_visibly_and_goes_on(
    page: Page, served: Shop, name: str, width: int
) -> None:
    page.look(width=width)
    visit(page, served, name)
    assert walk(page) == []


def test_nothing_moves_for_who_wants_no_motion(page: Page, served: Shop) -> None:
    page.look(still=True)
    for name in PAGES:
        visit(page, served, name)
        assert moving(page) == []
    page.run("document.querySelector('main').style.setProperty('transition', 'opacity 1s', 'important')")
    assert moving(page) != []  # it would be seen


def test_ten_thousand_queries_can_soon_be_used(page: Page, served: Shop) -> None:
    visit(page, served, "queries")
    page.shows(f"{JUDGED - 3:,} queries")
    page.wait("window.usable_ms")
    assert page.run("usable_ms") < MOST_MS


@pytest.mark.parametrize(("path", "shown", "most_bytes"), [
    ("docs", "/search", 2_500_000),
    ("redoc", "Search, with queries rewritten", 1_500_000),
])  # fmt: skip
def test_the_interface_s_pages_load_their_own_files_and_let_the_focus_go_on(
    page: Page, served: Shop, path: str, shown: str, most_bytes: int
) -> None:
    """Colours and sizes inside are Swagger UI's and Redoc's own."""
    page.do("Network.setExtraHTTPHeaders", headers={"Authorization": f"Bearer {KEY}"})
    page.open(f"{served.url}/{path}")
    page.shows(shown, 60)
    assert {urlsplit(one).netloc for one in page.requests if one.startswith("http")} == {
        urlsplit(served.url).netloc
    }
    assert (page.failed, page.errors) == ([], [])
    assert page.received_bytes < most_bytes
    assert page.run("[document.documentElement.lang, document.title !== '']") == ["en", True]
    assert page.run("document.querySelectorAll('h1').length") == 1
    assert "the focus does not leave the page" not in walk(page)
    page.look(width=390)
    assert page.run("document.documentElement.scrollWidth") <= 390


def test_a_walk_finds_what_is_wrong(page: Page, served: Shop) -> None:
    visit(page, served, "health")
    page.run("""
        const unseen = Object.assign(document.createElement('button'), { innerText: 'unseen' });
        unseen.style.setProperty('outline', 'none', 'important');
        const late = Object.assign(document.createElement('button'), { innerText: 'early', tabIndex: 5 });
        document.querySelector('.page').append(unseen, late);
    """)
    said = walk(page)
    assert any("not seen" in one and "unseen" in one for one in said)
    assert any("out of order" in one for one in said)
    page.run("document.querySelector('.page').addEventListener('keydown', (one) => one.preventDefault())")
    page.run("document.addEventListener('keydown', (one) => one.preventDefault())")
    assert "the focus does not leave the page" in walk(page) or page.run("visited.length") == 0
