"""`/token` and `/revoke`: a code or a refresh token becomes an access token and the next refresh token; or all end."""

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from mcp_server.http.body import BODY_S
from mcp_server.http.forms import read_form
from mcp_server.http.oauth.clients import called
from mcp_server.http.oauth.metadata import REVOKE, SCOPES
from mcp_server.http.oauth.tickets import LIFE_S, Kind, Ticket
from mcp_server.http.refusal import Refused
from mcp_server.storage.setting_types import Scope as Rights

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from mcp_server.http.oauth.parts import OAuthParts

MOST_FIELDS = 20
TAKEN_BACK: tuple[Kind, ...] = ("refresh", "access")
NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class TokenRefused(Exception):
    """A request for a token that is answered with an error of RFC 6749 5.2."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


class TokenEndpoint:
    """Answers both paths. Clients have no secret: PKCE and the exact redirect say who a code is for."""

    def __init__(self, parts: "OAuthParts") -> None:
        self._parts = parts

    async def answer(self, scope: "Scope", receive: "Receive", send: "Send", body_s: float = BODY_S) -> None:
        """Answer a request of a program.

        Raises:
            Refused: it is no POST.
        """
        if scope["method"] != "POST":
            raise Refused(405, f"{scope['path']} takes POST only.", {"Allow": "POST"})
        headers = Headers(scope=scope)
        try:
            pairs = await read_form(scope, headers, receive, within_s=body_s, most_fields=MOST_FIELDS)
            form = self._form(headers, pairs)
            answer = self._revoke if scope["path"] == REVOKE else self._grant
            response: Response = await anyio.to_thread.run_sync(answer, form)
        except Refused as error:
            response = _refusal(TokenRefused("invalid_request", str(error)))
        except TokenRefused as refused:
            self._parts.log("A request to %s was refused: %s, %s.", scope["path"], refused.error, refused)
            response = _refusal(refused, by_header="authorization" in headers)
        await response(scope, receive, send)

    def _form(self, headers: Headers, pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
        form = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs if value}
        if not form or len({name for name, _ in pairs}) < len(pairs):
            raise TokenRefused("invalid_request", "the form is empty, too long, or gives a parameter twice")
        if "authorization" in headers or {"client_secret", "client_assertion"} & form.keys():
            raise TokenRefused("invalid_client", "clients of this server have no secret: send client_id alone")
        if "client_id" not in form:
            raise TokenRefused("invalid_request", "client_id is missing")
        if not self._parts.clients.knows(form["client_id"]):
            raise TokenRefused("invalid_client", "this server does not know that client")
        return form

    def _grant(self, form: dict[str, str]) -> Response:
        grants = {"authorization_code": self._by_code, "refresh_token": self._by_refresh_token}
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise TokenRefused("invalid_request", "grant_type is missing")
        if grant_type not in grants:
            raise TokenRefused("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
        if "resource" in form and not self._parts.address.is_resource(form["resource"]):
            raise TokenRefused("invalid_target", f"resource must be {self._parts.address.resource}")
        return grants[grant_type](form)

    def _by_code(self, form: dict[str, str]) -> Response:
        for name in ("code", "code_verifier"):
            if name not in form:
                raise TokenRefused("invalid_request", f"{name} is missing")
        ticket, token = self._opened("code", form["code"], form["client_id"])
        if form.get("redirect_uri", ticket.redirect) != ticket.redirect:  # OAuth 2.1 lets clients leave it out
            raise TokenRefused("invalid_grant", "redirect_uri is not that of the code")
        if not _fits(form["code_verifier"], ticket.challenge):
            raise TokenRefused("invalid_grant", "code_verifier does not fit")
        following = replace(ticket, challenge="", number=secrets.token_hex(16))
        if not self._parts.grants.begin(ticket.grant, following.number):
            raise TokenRefused("invalid_grant", f"the code was used before, so grant {ticket.grant} has ended")
        return self._issued(following, token, following.scope, "connected")

    def _by_refresh_token(self, form: dict[str, str]) -> Response:
        if "refresh_token" not in form:
            raise TokenRefused("invalid_request", "refresh_token is missing")
        ticket, token = self._opened("refresh", form["refresh_token"], form["client_id"])
        wanted = form.get("scope", SCOPES[ticket.scope]).split()
        if "write" in wanted and ticket.scope != "write":
            raise TokenRefused("invalid_scope", f"the owner allowed the scope {SCOPES[ticket.scope]}")
        following = replace(ticket, number=secrets.token_hex(16))
        if not self._parts.grants.renew(ticket.grant, ticket.number, following.number):
            raise TokenRefused("invalid_grant", f"this is not the latest refresh token, so grant {ticket.grant} ended")
        may_write = "write" in wanted and self._parts.tokens.scope_of(token) == "write"  # it may be lowered since
        return self._issued(following, token, "write" if may_write else "read", "renewed its access")

    def _opened(self, kind: Kind, text: str, client: str) -> tuple[Ticket, str]:
        parts = self._parts
        opened = parts.seals.open(kind, text, parts.grants.secret(), parts.clock())
        if opened is None:
            raise TokenRefused("invalid_grant", f"this {kind} is none of this server, or is over")
        ticket, _ = opened
        if ticket.client != client or ticket.resource != parts.address.resource:
            raise TokenRefused("invalid_grant", f"this {kind} is for another client or server")
        return opened

    def _issued(self, ticket: Ticket, token: str, scope: Rights, what: str) -> Response:
        parts, now = self._parts, self._parts.clock()
        secret = parts.grants.secret()
        access = replace(ticket, scope=scope, redirect="", number="").lasting("access", now)
        body = {
            "access_token": parts.seals.seal("access", access, token, secret),
            "token_type": "Bearer",
            "expires_in": LIFE_S["access"],
            "refresh_token": parts.seals.seal("refresh", ticket.lasting("refresh", now), token, secret),
            "scope": SCOPES[scope],
        }
        parts.log("%s %s with the scope %s: grant %s.", called(ticket.client), what, SCOPES[scope], ticket.grant)
        return JSONResponse(body, headers=NOT_STORED)

    def _revoke(self, form: dict[str, str]) -> Response:
        """End a grant by any of its tickets (RFC 7009); what is no ticket of that client is answered alike."""
        parts = self._parts
        if "token" not in form:
            raise TokenRefused("invalid_request", "token is missing")
        secret = parts.grants.secret()
        for kind in TAKEN_BACK:
            opened = parts.seals.open(kind, form["token"], secret, parts.clock())
            if opened is not None and opened[0].client == form["client_id"]:
                parts.grants.end(opened[0].grant)
                parts.log("%s gave its access back: grant %s.", called(form["client_id"]), opened[0].grant)
        return Response(status_code=200, headers=NOT_STORED)


def _fits(verifier: str, challenge: str) -> bool:
    if not _VERIFIER.fullmatch(verifier):
        return False
    hashed = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(hashed, challenge.encode())


def _refusal(refused: TokenRefused, *, by_header: bool = False) -> Response:
    """Answer with an error; the connection is closed, as of a refused body some may be unread."""
    status = 401 if refused.error == "invalid_client" else 400
    headers = {**NOT_STORED, "Connection": "close"}
    if by_header and status == 401:
        headers["WWW-Authenticate"] = "Basic"
    return JSONResponse({"error": refused.error, "error_description": str(refused)}, status, headers)
