"""What a browser gets from `/mcp` beside the answer: the page's version, and compression."""

from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware

from mcp_server.http.allowed_hosts import from_browser
from mcp_server.http.pages.pages import Pages, takes_gzip

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

VERSION_HEADER = "X-Trader-Page"
"""An open page whose own version (`<meta name="version">`) is another one reloads itself."""

COMPRESSED_FROM_BYTES = 1024
LEVEL = 5


class BrowserAnswers:
    """Passes requests on to `app`; answers to a browser name the page's version, and are compressed if they are long.

    An SSE stream is never compressed, so that each line arrives at once. Answers to other clients stay as they are.
    """

    def __init__(self, app: "ASGIApp", pages: Pages) -> None:
        self._app = app
        self._compressing = GZipMiddleware(app, COMPRESSED_FROM_BYTES, LEVEL)
        self._pages = pages

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one ASGI scope."""
        if scope["type"] != "http" or not from_browser(headers := Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        version = (await self._pages.files()).version

        async def send_with_version(message: "Message") -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[VERSION_HEADER] = version
            await send(message)

        app = self._compressing if takes_gzip(headers) else self._app
        await app(scope, receive, send_with_version)
