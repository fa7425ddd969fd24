"""Signing in with a token of the server, and out: `POST /login` and `POST /logout`, for this server's own page only.

A browser posts the page's form by itself, so no script holds the token; it is in no address and in no answer.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import Response

from mcp_server.http.allowed_hosts import from_own_page
from mcp_server.http.body import BODY_S
from mcp_server.http.forms import read_form
from mcp_server.http.refusal import Refused
from mcp_server.http.sessions import COOKIE, KNOWN_COOKIE, KNOWN_S, SECURE_COOKIE, SESSION_S, Sessions, set_cookie

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from mcp_server.http.attempts import Attempts
    from mcp_server.http.tokens import Tokens

LOGIN = "/login"
LOGOUT = "/logout"

MARK_COOKIE = "trader_signed_in"
"""Allows nothing. The page's script may read this one, to know that there is something to sign out of."""


class SignIn:
    """Answers the two paths.

    Args:
        tokens: the tokens to sign in with; the runner's is none of them.
        sessions: signs the cookies.
        attempts: limits how often it may be tried.
        clock: the time of day, in seconds.
    """

    def __init__(self, tokens: "Tokens", sessions: Sessions, attempts: "Attempts", clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._attempts = attempts
        self._clock = clock

    async def answer(self, scope: "Scope", receive: "Receive", send: "Send", *, body_s: float = BODY_S) -> None:
        """Answer a request of either path.

        Raises:
            Refused: it is none of this server's own page, or no form with a token.
        """
        headers = Headers(scope=scope)
        if scope["method"] != "POST":
            raise Refused(405, f"{scope['path']} takes POST only. The page is at /.", {"Allow": "POST"})
        if not from_own_page(headers):
            raise Refused(403, f"Only this server's own page may use {scope['path']}. Open /.")
        if scope["path"] == LOGOUT:
            await _page(cookies=_signed_out())(scope, receive, send)
            return
        if not self._tokens:
            raise Refused(404, "This server has no tokens, so nobody needs to sign in. Open /.")
        token = await _token(scope, headers, receive, body_s)
        await self._attempt(scope, headers, token)(scope, receive, send)

    def _attempt(self, scope: "Scope", headers: Headers, token: bytes) -> Response:
        if wait_s := self._attempts.take(scope, headers):
            return _page(f"?refused=wait&seconds={wait_s}", {"Retry-After": str(wait_s)})
        name = self._tokens.name_of(token)
        if name is None:
            return _page("?refused=token")
        now = self._clock()
        secure = headers.get("origin", "").lower().startswith("https://")
        session = self._sessions.sign(COOKIE, name, now, SESSION_S)
        known = self._sessions.sign(KNOWN_COOKIE, name, now, KNOWN_S)
        return _page(
            cookies=[
                set_cookie(SECURE_COOKIE if secure else COOKIE, session, SESSION_S, secure=secure),
                set_cookie(KNOWN_COOKIE, known, KNOWN_S, secure=secure),
                set_cookie(MARK_COOKIE, "1", SESSION_S, secure=secure, hidden=False),
            ]
        )


async def _token(scope: "Scope", headers: Headers, receive: "Receive", body_s: float) -> bytes:
    """Read the one field of the form."""
    fields = await read_form(scope, headers, receive, within_s=body_s, most_fields=1)
    if [name for name, _ in fields] != [b"token"]:
        raise Refused(400, "The form has one field: token.")
    return fields[0][1].strip()


def _page(query: str = "", headers: dict[str, str] | None = None, cookies: list[str] | None = None) -> Response:
    """Return an answer that sends the browser to the page; it keeps what follows `#` in its address."""
    response = Response(
        status_code=303, headers={"Location": f"/{query}", "Cache-Control": "no-store", **(headers or {})}
    )
    for cookie in cookies or []:
        response.headers.append("Set-Cookie", cookie)
    return response


def _signed_out() -> list[str]:
    """Return what ends the session of either kind: someone may have signed in with TLS and without."""
    return [
        set_cookie(COOKIE, "", 0, secure=False),
        set_cookie(SECURE_COOKIE, "", 0, secure=True),
        set_cookie(MARK_COOKIE, "", 0, secure=False, hidden=False),
    ]
