"""Signing in with a token of the server, and out: `POST /login` and `POST /logout`, for this server's own page only.

A browser posts the page's form by itself, so no script holds the token; it is in no address and in no answer.
"""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import Response

from mcp_server.http.allowed_hosts import from_own_page
from mcp_server.http.body import BODY_S, read_body
from mcp_server.http.limits import PerMinute
from mcp_server.http.refusal import Refused
from mcp_server.http.sessions import COOKIE, KNOWN_COOKIE, KNOWN_S, SECURE_COOKIE, SESSION_S, Sessions, values_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from mcp_server.http.tokens import Tokens

LOGIN = "/login"
LOGOUT = "/logout"
FORM = "application/x-www-form-urlencoded"
MOST_BYTES = 16 * 1024

MARK_COOKIE = "trader_signed_in"
"""Allows nothing. The page's script may read this one, to know that there is something to sign out of."""

EACH_PER_MINUTE, ALL_PER_MINUTE = 10, 60
"""Attempts to sign in: of one address, or of the browsers that a token signed in before; and of all strangers."""


class SignIn:
    """Answers the two paths.

    Attempts are counted before a token is looked at, right or wrong, so an answer past the limit tells nothing. What is
    refused costs none, so the next is never further away than the allowance says. Behind a proxy all strangers share
    one address: browsers that a token has signed in before have attempts of their own, which they cannot use up.

    Args:
        tokens: the tokens to sign in with; the runner's is none of them.
        sessions: signs the cookies.
        clock: the time of day, in seconds.
        now: a clock in seconds that never goes back.
    """

    def __init__(
        self, tokens: "Tokens", sessions: Sessions, *, clock: Callable[[], float], now: Callable[[], float]
    ) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._clock = clock
        self._of_each = PerMinute(EACH_PER_MINUTE, now)
        self._of_all = PerMinute(ALL_PER_MINUTE, now)

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
        now = self._clock()
        if wait_s := self._wait_s(scope, headers, now):
            return _page(f"?refused=wait&seconds={wait_s}", {"Retry-After": str(wait_s)})
        name = self._tokens.name_of(token)
        if name is None:
            return _page("?refused=token")
        secure = headers.get("origin", "").lower().startswith("https://")
        session = self._sessions.sign(COOKIE, name, now, SESSION_S)
        known = self._sessions.sign(KNOWN_COOKIE, name, now, KNOWN_S)
        return _page(
            cookies=[
                _cookie(SECURE_COOKIE if secure else COOKIE, session, SESSION_S, secure=secure),
                _cookie(KNOWN_COOKIE, known, KNOWN_S, secure=secure, path=LOGIN),
                _cookie(MARK_COOKIE, "1", SESSION_S, secure=secure, hidden=False),
            ]
        )

    def _wait_s(self, scope: "Scope", headers: Headers, now: float) -> int:
        for value in values_of(KNOWN_COOKIE, headers.getlist("cookie")):
            if (name := self._sessions.signer(KNOWN_COOKIE, value, now, KNOWN_S)) is not None:
                return self._of_each.take(f"token {name}")
        address = _network((scope.get("client") or ["?"])[0])
        if wait_s := max(self._of_each.wait_s(address), self._of_all.wait_s("")):
            return wait_s
        return self._of_each.take(address) or self._of_all.take("")


async def _token(scope: "Scope", headers: Headers, receive: "Receive", body_s: float) -> bytes:
    """Read the one field of the form."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refused(415, f"{LOGIN} takes a form: {FORM}.")
    whole = await read_body(scope, receive, within_s=body_s, most=MOST_BYTES)
    body: bytes = (await whole())["body"]
    try:
        fields = parse_qsl(body, keep_blank_values=True, max_num_fields=2)
    except ValueError:
        fields = []
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


def _cookie(name: str, value: str, for_s: int, *, secure: bool, path: str = "/", hidden: bool = True) -> str:
    marks = ["HttpOnly"] * hidden + ["Secure"] * secure
    return "; ".join([f"{name}={value}", f"Max-Age={for_s}", f"Path={path}", "SameSite=Strict", *marks])


def _signed_out() -> list[str]:
    """Return what ends the session of either kind: someone may have signed in with TLS and without."""
    return [
        _cookie(COOKIE, "", 0, secure=False),
        _cookie(SECURE_COOKIE, "", 0, secure=True),
        _cookie(MARK_COOKIE, "", 0, secure=False, hidden=False),
    ]


def _network(address: str) -> str:
    """Return an address, or the network of one of IPv6: whoever has one of those has 2^64."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ip_network((parsed, 64), strict=False))
