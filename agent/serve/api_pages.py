"""The interface as pages on the admin port: to be read, and to be tried.

Guarantees that a browser needs no way to the internet for them: what they are made of comes with a wheel, and
the browser is told to load nothing from elsewhere.
"""

from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse, JSONResponse, Response

ASSETS = {
    "swagger-ui-bundle.js": ("swagger", "text/javascript"),
    "swagger-ui.css": ("swagger", "text/css"),
    "redoc.standalone.js": ("redoc", "text/javascript"),
    "logo-mini.svg": ("redoc", "image/svg+xml"),
    "favicon.png": ("fastapi", "image/png"),
}
"""By name: where the wheel has it, and what it is."""
OWN = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src data:; connect-src 'self'; worker-src blob:; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}
NOT_FOUND = 404


def add_api_pages(app: FastAPI, documented: FastAPI) -> None:
    """Put another application's interface on this one."""
    icon = "docs/favicon.png"

    @app.get("/openapi.json")
    async def openapi() -> JSONResponse:
        """Return the interface that shops use, as OpenAPI."""
        return JSONResponse(documented.openapi())

    @app.get("/docs")
    async def docs() -> HTMLResponse:
        """Show the interface with examples."""
        page = get_swagger_ui_html(
            openapi_url="openapi.json",
            title=documented.title,
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url=icon,
        )
        return _whole(page)

    @app.get("/redoc")
    async def redoc() -> HTMLResponse:
        """Show the interface, to be read."""
        page = get_redoc_html(
            openapi_url="openapi.json",
            title=documented.title,
            redoc_js_url="redoc/redoc.standalone.js",
            redoc_favicon_url=icon,
            with_google_fonts=False,
        )
        return _whole(page)

    @app.get("/docs/{name}", name="docs_file")
    @app.get("/redoc/{name}", name="docs_file")
    async def docs_file(name: str) -> Response:
        """Return what these pages are made of."""
        if name not in ASSETS:
            return Response("no such file\n", status_code=NOT_FOUND, media_type="text/plain")
        folder, kind = ASSETS[name]
        body = files("fastapi_standalone_docs").joinpath("static", folder, name).read_bytes()
        return Response(body, media_type=kind, headers=OWN | {"Cache-Control": "max-age=86400"})


def _whole(page: HTMLResponse) -> HTMLResponse:
    """Return FastAPI's page with its language, which a screen reader reads it in, and our headers."""
    return HTMLResponse(bytes(page.body).replace(b"<html>", b'<html lang="en">', 1), headers=OWN)
