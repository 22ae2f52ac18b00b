"""The interface's pages in a real Chromium: whole without a way to the internet."""

import contextlib
from collections.abc import Iterator

import pytest
from chromium import Loop, Page
from serve_fakes import World

from agent.sections import ServeSettings
from agent.serve import admin
from agent.serve.gateway import make_app

pytestmark = pytest.mark.timeout(90, func_only=True)
FROM = "performance.getEntriesByType('resource').map((one) => new URL(one.name).origin)"


@pytest.fixture
def page(loop: Loop, browser: str) -> Iterator[tuple[Page, str]]:
    serving = admin.serving(make_app(World().parts).state.admin, ServeSettings(admin_port=0))
    with contextlib.ExitStack() as stack:
        url = loop.run(serving.__aenter__())
        stack.callback(lambda: loop.run(serving.__aexit__(None, None, None)))
        page = Page(loop, browser)
        stack.callback(page.close)
        yield page, url


@pytest.mark.parametrize(
    ("path", "shown"), [("docs", "/search"), ("redoc", "Search, with queries rewritten")]
)
def test_the_interface_is_shown_with_nothing_from_elsewhere(
    page: tuple[Page, str], path: str, shown: str
) -> None:
    browser, url = page
    browser.open(f"{url}/{path}")
    browser.shows(shown)
    assert set(browser.run(FROM)) == {url}
    assert browser.errors == []
