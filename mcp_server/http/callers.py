"""Tells who sends a request and what it may do: by its token, by the page's cookie, or by its address."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from mcp_server.http.allowed_hosts import from_browser, from_own_page
from mcp_server.http.sessions import Sessions
from mcp_server.http.tokens import Grant, Tokens

if TYPE_CHECKING:
    from starlette.types import Scope


class Callers:
    """Knows callers. Without tokens everyone may write, but for pages: the page only ever reads.

    Args:
        tokens: the tokens of the server.
        sessions: the sessions of its page.
        clock: the time of day, in seconds.
    """

    def __init__(self, tokens: Tokens, sessions: Sessions, clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._clock = clock

    def grant(self, scope: "Scope") -> Grant | None:
        """Return what a request may do, or None. A cookie counts beside no `Authorization`, from our own page only."""
        headers = Headers(scope=scope)
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        grant = self._tokens.grant(sent[0]) if len(sent) == 1 else None
        if grant is not None:
            return grant
        page = not sent and from_browser(headers)
        if not self._tokens:
            address = (scope.get("client") or ["?"])[0]
            return Grant(f"page of {address}", "read") if page else Grant(f"address {address}", "write")
        if page and from_own_page(headers):
            return self._sessions.grant(headers.getlist("cookie"), self._clock())
        return None
