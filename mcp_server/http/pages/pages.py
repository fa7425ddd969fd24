"""Answers requests for the page: it is a client of `/mcp` that runs in the browser, so all of it is fixed files."""

import re
from typing import TYPE_CHECKING

import anyio.to_thread
from starlette.datastructures import Headers

from mcp_server.http.pages.files import PageFiles, page_files
from mcp_server.http.refusal import Refused

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Scope

_HASHED = re.compile(r"/[a-z-]+-[0-9a-f]{16}\.(?:css|js|svg|txt|webmanifest)")
_WEIGHT = re.compile(r"\s*q=([01](?:\.[0-9]{0,3})?)\s*")


class Pages:
    """The page, read when it is first asked for. A path is looked up in a table and never on disk."""

    def __init__(self) -> None:
        self._files: PageFiles | None = None

    async def files(self) -> PageFiles:
        """Return the files of the page."""
        if self._files is None:
            self._files = await anyio.to_thread.run_sync(page_files)
        return self._files

    async def answer(self, scope: "Scope", headers: Headers) -> "Response | None":
        """Return the answer to a request for a file of the page; None: the path is none of the page's.

        Raises:
            Refused: 404 for a file of another version of the page, 405 for another method than GET and HEAD, 400 for a
                request with a body: nobody would read it.
        """
        path = scope["path"]
        file = (await self.files()).by_path.get(path)
        if file is None:
            if _HASHED.fullmatch(path):
                raise Refused(404, "This file belongs to another version of the page. Reload the page.")
            return None
        if scope["method"] not in ("GET", "HEAD"):
            raise Refused(405, f"{path} takes GET only.", {"Allow": "GET, HEAD"})
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            raise Refused(400, f"A request for {path} has no body.")
        if _has(file.etag, headers):
            return file.known
        return file.zipped if takes_gzip(headers) else file.plain


def takes_gzip(headers: Headers) -> bool:
    """Return whether an answer may be compressed (RFC 9110: weight 0 refuses, `*` is any that is not named)."""
    weights: dict[str, bool] = {}
    for part in ",".join(headers.getlist("accept-encoding")).lower().split(","):
        coding, parameter, value = part.partition(";")
        weight = _WEIGHT.fullmatch(value)
        weights[coding.strip()] = not parameter or (weight is not None and float(weight[1]) > 0)
    return weights.get("gzip", weights.get("*", False))


def _has(etag: str, headers: Headers) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")}
    return bool({"*", etag.removeprefix("W/")} & tags)
