"""The gate of the HTTP server: every request passes it, and those that are not allowed are refused with a reason."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from mcp_server.http.attempts import Attempts
from mcp_server.http.body import BODY_S, read_body
from mcp_server.http.callers import Callers
from mcp_server.http.oauth.metadata import PATH
from mcp_server.http.pages.answers import BrowserAnswers
from mcp_server.http.pages.pages import Pages
from mcp_server.http.refusal import Refused
from mcp_server.http.rights import MORE_SCOPE_KEY, SAW_KEY, SCOPE_KEY
from mcp_server.http.sessions import Sessions
from mcp_server.http.sign_in import LOGIN, LOGOUT, SignIn
from mcp_server.toolkit import CLIENT_KEY

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mcp_server.http.allowed_hosts import AllowedHosts
    from mcp_server.http.health import Health
    from mcp_server.http.limits import RateLimits
    from mcp_server.http.oauth.oauth import OAuth
    from mcp_server.http.oauth.parts import OAuthParts
    from mcp_server.http.tokens import Grant, Tokens

HEALTH = "/health"

ALIVE = b"alive"
"""The query by which who may know more asks for that alone: nothing is looked at, so an unused database can rest."""

MOST_HEAD_BYTES = 16 * 1024
"""All headers of a request together."""

REQUEST_S = 90.0
"""A request may take this long; a tool has 29 of these seconds."""


class Gate:
    """Answers `/health`, and lets requests through to `/mcp` after checking name, token, path, method, limits and body.

    The page's files hold no secrets, and need no token. Without tokens, everyone who reaches the server may call, with
    all rights but for pages. `app` serves `/mcp`; a body may take `body_s` to arrive, and a request `request_s` in all.
    `now` times attempts to sign in, `clock` is the time of day. Without `page` there is nothing for browsers, but where
    there is `oauth` its form of consent.
    """

    def __init__(
        self,
        app: "ASGIApp",
        *,
        allowed_hosts: "AllowedHosts",
        tokens: "Tokens",
        limits: "RateLimits",
        health: "Health",
        page: bool = True,
        oauth: "OAuthParts | None" = None,
        body_s: float = BODY_S,
        request_s: float = REQUEST_S,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pages = Pages()
        self._has_page = page
        self._app = BrowserAnswers(app, self._pages)
        self._allowed_hosts = allowed_hosts
        sessions = Sessions(tokens)
        self._callers = Callers(tokens, sessions, clock)
        attempts = Attempts(sessions, clock=clock, now=now)
        self._sign_in = SignIn(tokens, sessions, attempts, clock)
        self._oauth = None if oauth is None else _oauth(oauth, sessions, attempts)
        self._limits = limits
        self._health = health
        self._body_s = body_s
        self._request_s = request_s

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = _Sent(send)
        try:
            if scope["path"] == HEALTH:
                await self._answer_health(scope, receive, _kept_by_nobody(sent))
            else:
                await self._let_in(scope, receive, sent)
        except Refused as refused:
            await refused.answer(scope, receive, send)
        except EOFError:  # the client has gone: nobody is there to be answered
            return

    async def _let_in(self, scope: "Scope", receive: "Receive", sent: "_Sent") -> None:
        if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > MOST_HEAD_BYTES:
            raise Refused(431, f"The headers of a request may have at most {MOST_HEAD_BYTES:,} bytes.")
        headers = Headers(scope=scope)
        self._allowed_hosts.check(headers.get("host", ""), headers.get("origin"))
        beside = self._has_page and scope["path"] != PATH
        if beside and (file := await self._pages.answer(scope, headers)) is not None:
            await file(scope, receive, sent)
        elif beside and scope["path"] in (LOGIN, LOGOUT):
            await self._sign_in.answer(scope, receive, sent, body_s=self._body_s)
        elif self._oauth is not None and self._oauth.answers(scope["path"]):
            await self._oauth.answer(scope, receive, sent, body_s=self._body_s)
        else:
            await self._call(scope, headers, receive, sent)

    async def _call(self, scope: "Scope", headers: Headers, receive: "Receive", sent: "_Sent") -> None:
        """Check what only a call of `/mcp` has to fulfil, and pass it on."""
        nothing = Refused(
            404, f"There is nothing here. The MCP endpoint is {PATH}, the state of the server is at {HEALTH}."
        )
        if self._oauth is not None and scope["path"] != PATH:  # clients of OAuth look for paths that others have
            raise nothing
        grant, keys = await self._granted(scope)
        if scope["path"] != PATH:
            raise nothing
        if scope["method"] != "POST":  # a server without sessions has nothing to stream and nothing to end
            raise Refused(405, f"{PATH} takes POST only: this server keeps no sessions.", {"Allow": "POST"})
        if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
            raise Refused(
                415, f"{PATH} takes no compressed body: send the JSON as it is.", {"Accept-Encoding": "identity"}
            )
        with self._limits.call(grant.client) if grant.bounded else nullcontext():
            whole = await read_body(scope, receive, within_s=self._body_s)
            with anyio.move_on_after(self._request_s) as limit:
                call = {**_accepting(scope, headers), SCOPE_KEY: grant.scope, CLIENT_KEY: grant.client, **keys}
                await self._app(call, whole, _kept_by_nobody(sent))
            if limit.cancelled_caught and not sent.begun:
                raise Refused(503, f"The answer took longer than {self._request_s:g} s. Ask for less.")

    async def _granted(self, scope: "Scope") -> "tuple[Grant, dict[str, object]]":
        """Return what a request may do, and for one by OAuth what more its call needs to know."""
        grant = self._callers.grant(scope)
        if grant is not None:
            return grant, {}
        if self._oauth is not None and (grant := await self._oauth.grant(scope)) is not None:
            self._oauth.saw(grant.client, "request")
            return grant, {SAW_KEY: self._oauth.saw, MORE_SCOPE_KEY: self._oauth.more_scope}
        challenge = "Bearer" if self._oauth is None else self._oauth.challenge(scope)
        raise Refused(
            401,
            "Send a token of this server: 'Authorization: Bearer …' (TRADER_TOKEN).",
            {"WWW-Authenticate": challenge},
        )

    async def _answer_health(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise Refused(405, f"{HEALTH} takes GET only.", {"Allow": "GET, HEAD"})
        headers = Headers(scope=scope)
        try:
            self._allowed_hosts.check(headers.get("host", ""), headers.get("origin"))
            known = scope["query_string"] != ALIVE and self._callers.grant(scope) is not None
        except Refused:  # a platform asks by an address of its own
            known = False
        if not known:
            await JSONResponse({"status": "alive"})(scope, receive, send)
            return
        report = await self._health.report()
        await JSONResponse(report, 200 if report["ready"] else 503)(scope, receive, send)


def _oauth(parts: "OAuthParts", sessions: Sessions, attempts: Attempts) -> "OAuth":
    from mcp_server.http.oauth.oauth import OAuth  # only a server with a public address needs it

    return OAuth(parts, sessions, attempts)


def _accepting(scope: "Scope", headers: Headers) -> "Scope":
    """Return the scope with an `Accept` header: HTTP takes a missing one for any, the SDK for none."""
    if headers.get("accept", "").strip():
        return scope
    others = [(name, value) for name, value in scope["headers"] if name != b"accept"]
    return {**scope, "headers": [*others, (b"accept", b"*/*")]}


def _kept_by_nobody(send: "Send") -> "Send":
    """Return a `send` whose answer no cache keeps, and no page of another site can load as if it were a picture."""

    async def send_unkept(message: "Message") -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            headers["cache-control"] = ", ".join(filter(None, [headers.get("cache-control"), "no-store"]))
            headers["cross-origin-resource-policy"] = "same-origin"
            headers["x-content-type-options"] = "nosniff"
            message = {**message, "headers": headers.raw}
        await send(message)

    return send_unkept


class _Sent:
    """Passes an answer on, and remembers whether it has begun."""

    def __init__(self, send: "Send") -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: "Message") -> None:
        self.begun = True
        await self._send(message)
