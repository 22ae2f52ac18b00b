"""The page's own files, and the headers that keep anything else out of it.

Guarantees that a browser runs no script but these files, loads nothing from elsewhere (the console works
without a way to the internet), puts no text in as HTML (Trusted Types), and shows the page in no frame.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent / "assets"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
INDEX = "index.html"
SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOT_MODIFIED, NOT_FOUND = 304, 404


@dataclass(frozen=True, kw_only=True)
class Served:
    """A file as it is sent."""

    body: bytes
    kind: str
    tag: str
    """For If-None-Match."""


def read_files() -> dict[str, Served]:
    """Return the files by name."""
    return {path.name: _read(path) for path in FOLDER.iterdir() if path.suffix in KINDS}


def answer(files: dict[str, Served], name: str, request: Request) -> Response:
    """Return a file; a browser that has it is told so."""
    found = files.get(name or INDEX)
    if found is None:
        return Response("no such file\n", status_code=NOT_FOUND, media_type="text/plain", headers=SAFE)
    headers = {**SAFE, "Cache-Control": "no-cache", "ETag": found.tag}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return Response(found.body, media_type=found.kind, headers=headers)


def _read(path: Path) -> Served:
    body = path.read_bytes()
    return Served(body=body, kind=KINDS[path.suffix], tag=f'"{hashlib.sha256(body).hexdigest()[:20]}"')
