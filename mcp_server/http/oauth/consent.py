"""`/authorize`: shows the owner who asks for what, takes the owner's token and answer, and sends the browser back.

The form carries the request sealed, together with a cookie that only this page's own form sends: what is granted is
what was shown, in the browser in which it was shown.
"""

import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import Response

from mcp_server.http.allowed_hosts import from_own_page
from mcp_server.http.body import BODY_S
from mcp_server.http.forms import read_form
from mcp_server.http.oauth.clients import called
from mcp_server.http.oauth.consent_page import (
    READS_ONLY,
    WRONG_TOKEN,
    AnswerRefused,
    consent_page,
    refusal_page,
    too_many,
)
from mcp_server.http.oauth.metadata import AUTHORIZE, SCOPES
from mcp_server.http.oauth.requests import AccessRequest, AskedWrongly, Destination, NoClient, access_request
from mcp_server.http.oauth.tickets import Ticket
from mcp_server.http.refusal import Refused
from mcp_server.http.sessions import KNOWN_COOKIE, KNOWN_S, set_cookie, values_of
from mcp_server.storage.setting_types import Scope as Rights

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from mcp_server.http.attempts import Attempts
    from mcp_server.http.oauth.parts import OAuthParts
    from mcp_server.http.sessions import Sessions

CONSENT_S = 600
"""So long the owner may look at the page."""

COOKIE = "trader_consent"
SECURE_COOKIE = f"__Host-{COOKIE}"

FIELDS = {b"request", b"token", b"scope", b"answer"}

EXPIRED = "This page is out of date, or it was not opened in this browser."
START_AGAIN = "Go back to where you came from and connect again."


class Consent:
    """Answers `/authorize`. A browser in which a token was right before has attempts of its own, as at `/login`."""

    def __init__(self, parts: "OAuthParts", sessions: "Sessions", attempts: "Attempts") -> None:
        self._parts = parts
        self._sessions = sessions
        self._attempts = attempts
        self._host = urlsplit(parts.address.issuer).netloc

    async def answer(self, scope: "Scope", receive: "Receive", send: "Send", body_s: float = BODY_S) -> None:
        """Answer a request, whatever it is, with a page or a redirect."""
        try:
            if scope["method"] == "GET":
                response = await self._ask(scope["query_string"])
            elif scope["method"] == "POST":
                response = await self._decide(scope, receive, body_s)
            else:
                raise Refused(405, f"{AUTHORIZE} takes GET and POST only.", {"Allow": "GET, POST"})
        except NoClient as error:
            self._parts.log("A request to connect was refused: %s", error)
            response = refusal_page(400, str(error), error.remedy)
        await response(scope, receive, send)

    async def _ask(self, query: bytes) -> Response:
        parts = self._parts
        try:
            asked = access_request(query, parts.clients, parts.address)
        except AskedWrongly as error:
            parts.log("%s was sent back with %s: %s.", called(error.client), error.error, error)
            return _redirect(error.url)
        secret = await anyio.to_thread.run_sync(parts.grants.secret)
        nonce = secrets.token_urlsafe(24)
        page = consent_page(asked, self._host, _sealed(asked, int(parts.clock()) + CONSENT_S, nonce, secret))
        page.headers.append("Set-Cookie", self._cookie(nonce, CONSENT_S))
        parts.log("%s asks for the scope %s; the owner is asked.", called(asked.client), SCOPES[asked.scope])
        return page

    async def _decide(self, scope: "Scope", receive: "Receive", body_s: float) -> Response:
        headers, parts = Headers(scope=scope), self._parts
        if not from_own_page(headers):
            return refusal_page(403, "Only this server's own page may send this form.", START_AGAIN)
        pairs = await read_form(scope, headers, receive, within_s=body_s, most_fields=len(FIELDS))
        form = dict(pairs)
        if len(form) < len(pairs) or not {b"request", b"answer"} <= form.keys() <= FIELDS:
            return refusal_page(400, "The form is not as this server wrote it.", START_AGAIN)
        secret = await anyio.to_thread.run_sync(parts.grants.secret)
        nonces = values_of(SECURE_COOKIE if parts.address.secure else COOKIE, headers.getlist("cookie"))
        asked = _opened(form[b"request"], nonces, secret, parts.clock())
        if asked is None or not parts.clients.allows(asked.client, asked.redirect):
            return refusal_page(400, EXPIRED, START_AGAIN)
        if form[b"answer"] != b"allow":
            parts.log("The owner lets %s have no access.", called(asked.client))
            return self._sent_back(asked, error="access_denied", error_description="the owner said no")
        return self._allow(scope, headers, form, asked, secret)

    def _allow(
        self, scope: "Scope", headers: Headers, form: dict[bytes, bytes], asked: AccessRequest, secret: bytes
    ) -> Response:
        parts = self._parts
        if wait_s := self._attempts.take(scope, headers):
            return self._again(asked, form, too_many(wait_s))
        token = parts.tokens.name_of(form.get(b"token", b"").strip())
        if token is None:
            return self._again(asked, form, WRONG_TOKEN)
        granted: Rights = "write" if form.get(b"scope") == b"write" and asked.scope == "write" else "read"
        if granted == "write" and parts.tokens.scope_of(token) != "write":
            return self._again(asked, form, READS_ONLY)
        grant = secrets.token_hex(8)
        ticket = Ticket(grant, asked.client, asked.redirect, parts.address.resource, granted, asked.challenge)
        code = parts.seals.seal("code", ticket.lasting("code", parts.clock()), token, secret)
        parts.log("Token %s lets %s have the scope %s: grant %s.", token, called(asked.client), SCOPES[granted], grant)
        response = self._sent_back(asked, code=code)
        known = self._sessions.sign(KNOWN_COOKIE, token, parts.clock(), KNOWN_S)
        secure = parts.address.secure
        response.headers.append("Set-Cookie", set_cookie(KNOWN_COOKIE, known, KNOWN_S, secure=secure))
        return response

    def _again(self, asked: AccessRequest, form: dict[bytes, bytes], problem: AnswerRefused) -> Response:
        self._parts.log("The owner's answer for %s did not count: %s", called(asked.client), problem.problem)
        return consent_page(asked, self._host, form[b"request"].decode("ascii"), problem)

    def _sent_back(self, asked: AccessRequest, **answer: str) -> Response:
        response = _redirect(Destination(asked.redirect, asked.state, self._parts.address.issuer).url(**answer))
        response.headers.append("Set-Cookie", self._cookie("", 0))
        return response

    def _cookie(self, value: str, for_s: int) -> str:
        secure = self._parts.address.secure
        return set_cookie(SECURE_COOKIE if secure else COOKIE, value, for_s, secure=secure)


def _redirect(url: str) -> Response:
    """Send the browser on, by a GET without this page's address."""
    headers = {"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(status_code=303, headers=headers)


def _sealed(asked: AccessRequest, until: int, nonce: str, secret: bytes) -> str:
    written = urlsafe_b64encode(json.dumps([asdict(asked), until]).encode()).decode()
    return f"{written}.{_mac(written, nonce, secret)}"


def _opened(sealed: bytes, nonces: list[str], secret: bytes, now: float) -> AccessRequest | None:
    """Return the request that a form hands back, if it is for the browser with that cookie, and not over."""
    written, _, mac = sealed.decode("ascii", "replace").rpartition(".")
    if len(nonces) != 1 or not hmac.compare_digest(_mac(written, nonces[0], secret).encode(), mac.encode()):
        return None
    fields, until = json.loads(urlsafe_b64decode(written))
    return AccessRequest(**fields) if now < until else None


def _mac(written: str, nonce: str, secret: bytes) -> str:
    return hmac.new(secret, f"Claude Trader consent 1 {nonce} {written}".encode(), sha256).hexdigest()
