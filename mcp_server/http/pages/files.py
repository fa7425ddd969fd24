"""The page's files: which path has which content. Names carry a hash of it, so a browser may keep them for ever."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from starlette.responses import Response

from mcp_server.storage.assets import CHART_FOLDER, CHART_SCRIPT, asset, page_module, page_style

KEPT = "public, max-age=31536000, immutable"
LOOKED_UP = "no-cache"
"""It may be kept, but is asked for anew each time."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send `Origin: null` when one signs in
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Vary": "Accept-Encoding",
}

_TYPES = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file, ready to be sent as it is, compressed, or as "you have it already" (304)."""

    etag: str
    plain: Response
    zipped: Response
    known: Response


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The files by path. `version` differs between two versions of the page, whichever file differs."""

    by_path: Mapping[str, PageFile]
    version: str


def page_files() -> PageFiles:
    """Read, join and compress the files of the page."""
    return under_hashed_names(_texts(), asset("page/page.html"))


def under_hashed_names(texts: Mapping[str, str], page: str) -> PageFiles:
    """Give each file a name with a hash of its content, and write these names into the files that name it.

    Args:
        texts: the content by plain name; a file follows those that it names as `"/name"`. One is `icon.svg`.
        page: the HTML of the page, which is found at `/`.
    """
    by_path: dict[str, PageFile] = {}
    paths: dict[str, str] = {}

    def with_paths(text: str) -> str:
        for name, path in paths.items():
            text = text.replace(f'"/{name}"', f'"{path}"')
        return text

    for name, text in texts.items():
        content = with_paths(text)
        stem, _, ending = name.rpartition(".")
        paths[name] = f"/{stem}-{_hash(content)}.{ending}"
        by_path[paths[name]] = _file(content, ending, KEPT)
    page = with_paths(page)
    version = _hash(page)
    by_path["/"] = _file(page.replace('"page-version"', f'"{version}"'), "html", LOOKED_UP)
    by_path["/favicon.ico"] = _file(texts["icon.svg"], "svg", LOOKED_UP)
    return PageFiles(by_path, version)


def _texts() -> dict[str, str]:
    """Return the files that have a hash in their name, each after those that it names."""
    return {
        "icon.svg": asset("page/icon.svg"),
        "app.webmanifest": asset("page/app.webmanifest"),
        "page.css": page_style(),
        "page.js": page_module(),
        "lightweight-charts.js": asset(CHART_SCRIPT),
        "lightweight-charts.txt": "\n".join(asset(f"{CHART_FOLDER}/{name}") for name in ("NOTICE", "LICENSE")),
    }


def _hash(content: str) -> str:
    return sha256(content.encode()).hexdigest()[:16]


def _file(content: str, ending: str, caching: str) -> PageFile:
    body = content.encode()
    etag = f'W/"{_hash(content)}"'
    headers = {**HEADERS, "Cache-Control": caching, "ETag": etag}
    return PageFile(
        etag,
        plain=Response(body, 200, headers, _TYPES[ending]),
        zipped=Response(gzip.compress(body, mtime=0), 200, {**headers, "Content-Encoding": "gzip"}, _TYPES[ending]),
        known=Response(None, 304, headers),
    )
