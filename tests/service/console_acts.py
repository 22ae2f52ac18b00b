"""What a test does on a page of the console, and what it has the page's own requests suffer."""

import contextlib
import json
from collections.abc import Iterator

from chromium import Page

WHOLE = "!main.hasAttribute('aria-busy') && main.querySelector('.page *')"
FOCUSED = "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText)"
SAID = "document.getElementById('said').innerText"
HOLD = """
    ((word) => {
        const real = fetch, held = new Promise((done) => { window.letGo = done; });
        window.came = false;
        window.fetch = async (path, options) => {
            if (!`${path} ${options?.body}`.includes(word)) return real(path, options);
            await held;
            const answer = await real(path, options);
            window.came = true;
            return answer;
        };
    })
"""
LOSE = """
    ((word) => {
        const real = fetch;
        window.fetch = (path, options) =>
            path.includes(word) ? Promise.reject(new TypeError('away')) : real(path, options);
    })
"""
HURRY = """
    (() => {
        const real = setInterval;
        window.ticks = 0;
        window.setInterval = (act, ms) => {
            window.everyMs = ms;
            return real(() => { window.ticks += 1; act(); }, ms / 50);
        };
    })()
"""


def go(page: Page, to: str) -> None:
    """Follow a link of the console, and wait until the page is whole."""
    page.run(f"location.hash = '#/{to}'")
    whole(page, to)


def whole(page: Page, name: str) -> None:
    """Wait until a page is there, and whole."""
    page.wait(f"location.hash === '#/{name}' && {WHOLE}")


def confirm(page: Page, action: str, why: str) -> None:
    """Give the reason that a dialog asks for, and act."""
    page.write("Why", why)
    page.press(action, "dialog button")
    page.wait("!document.querySelector('dialog')")


def has_focus(page: Page, name: str) -> None:
    """Wait until the focus is on what has this label or text."""
    page.wait(f"{FOCUSED} === {json.dumps(name)}", 5)


def tick(page: Page, n: int = 1) -> None:
    """Wait for so many turns of a page's clock, which HURRY made fast."""
    seen = page.run("ticks")
    page.wait(f"ticks >= {seen + n}")


def hold(page: Page, word: str) -> None:
    """Keep the page's next requests that hold a word from being sent until `let_go`."""
    page.run(f"{HOLD}({json.dumps(word)})")


def let_go(page: Page) -> None:
    """Send what was held; come back once the page has had its answer."""
    page.run("letGo()")
    page.wait("window.came")
    page.run("fetch('door.json').then((one) => one.text())")  # longer than the answer's way to the page


def lose(page: Page, word: str) -> None:
    """Have the page's requests to addresses with a word get no answer."""
    page.run(f"{LOSE}({json.dumps(word)})")


@contextlib.contextmanager
def expected_errors(page: Page, *statuses: int) -> Iterator[None]:
    """Take refusals for what they are: browsers note each in their console."""
    yield
    assert [status for status in statuses if not any(str(status) in one for one in page.errors)] == []
    page.errors.clear()
