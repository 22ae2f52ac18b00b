"""Goes through a page by Tab, as somebody does who uses no mouse."""

from pathlib import Path

from chromium import Page

SCRIPT = (Path(__file__).parent / "page_walk.js").read_text()


def walk(page: Page) -> list[str]:
    """Press Tab until the focus has left the page; return what is wrong: not reached, not seen, a trap."""
    page.run(SCRIPT)
    page.run("begin()")
    faults: list[str] = []
    for _ in range(2 * int(page.run("reachable().length")) + 2):
        page.key("Tab")
        said = page.run("focused()")
        if said is None:
            return faults + list(page.run("walked()"))
        faults += said
    return [*faults, "the focus does not leave the page"]


def moving(page: Page) -> list[str]:
    """Return what moves, or would."""
    page.run(SCRIPT)
    return list(page.run("moving()"))
