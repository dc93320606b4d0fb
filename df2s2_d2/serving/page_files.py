"""The page for browsers, and the files that it needs."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response

_FOLDER = Path(__file__).with_name("page")
_SCRIPTS = ("page", "sources", "drawing", "requests")
# Address -> file and its type. Nothing else of the folder, or of another, can be asked for.
PAGE_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript") for name in _SCRIPTS},
}


def page_router() -> APIRouter:
    """Routes to the files, which are read once."""
    router = APIRouter(include_in_schema=False)
    for address, (name, media_type) in PAGE_FILES.items():
        content = (_FOLDER / name).read_bytes()
        router.add_api_route(address, _giving(content, media_type), response_class=Response)
    return router


def _giving(content: bytes, media_type: str):
    async def give() -> Response:
        return Response(content, media_type=media_type)

    return give
