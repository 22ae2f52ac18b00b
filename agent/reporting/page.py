"""A report as one HTML file that needs nothing else.

Guarantees that a browser runs no script in it and fetches nothing for it (its own Content-Security-Policy),
and that whatever stands in it as text is escaped.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from agent.reporting.parts import Document

POLICY = "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
ASSETS = Path(__file__).parent / "assets"


def html(document: Document) -> str:
    """Return the whole file."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _template().render(
        document=document,
        style=Markup(style),  # noqa: S704 - our own file
        policy=POLICY.format(digest=digest),
    )


@cache
def _style() -> str:
    return (ASSETS / "report.css").read_text()


@cache
def _template() -> Template:
    loader = FileSystemLoader(ASSETS)
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template("report.html.j2")
