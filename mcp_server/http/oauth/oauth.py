"""OAuth 2.1 for hosts that take no bearer token, such as claude.ai: on where TRADER_PUBLIC_URL is set.

This server is resource and authorization server in one, for its owner alone: whoever has one of its tokens may let a
client of the allow-list in, with at most the rights of that token.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.responses import JSONResponse

from mcp_server.errors import Misconfigured, TraderError
from mcp_server.http.body import BODY_S
from mcp_server.http.oauth.clients import Clients, called
from mcp_server.http.oauth.consent import Consent
from mcp_server.http.oauth.consent_page import refusal_page
from mcp_server.http.oauth.live_grants import LiveGrants
from mcp_server.http.oauth.metadata import AUTHORIZE, PATH, REVOKE, TOKEN, PublicAddress
from mcp_server.http.oauth.parts import LOGGER, OAuthParts
from mcp_server.http.oauth.tickets import TicketSeals
from mcp_server.http.oauth.token_endpoint import TokenEndpoint
from mcp_server.http.refusal import Refused
from mcp_server.http.tokens import Grant, Tokens
from mcp_server.storage.home import Home
from mcp_server.storage.setting_types import Scope as Rights

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from mcp_server.http.attempts import Attempts
    from mcp_server.http.sessions import Sessions
    from mcp_server.settings import ServerSettings


class OAuth:
    """The endpoints, and what their tickets allow."""

    def __init__(self, parts: OAuthParts, sessions: "Sessions", attempts: "Attempts") -> None:
        self._parts = parts
        self._consent = Consent(parts, sessions, attempts)
        self._token = TokenEndpoint(parts)
        self._documents = parts.address.documents()
        self._seen: set[tuple[str, str]] = set()

    def answers(self, path: str) -> bool:
        """Return whether a path is one of these endpoints."""
        return path in self._documents or path in (AUTHORIZE, TOKEN, REVOKE)

    async def answer(self, scope: "Scope", receive: "Receive", send: "Send", *, body_s: float = BODY_S) -> None:
        """Answer a request of one of the paths.

        Raises:
            Refused: the method or the form is wrong, or nothing can be granted now.
        """
        path = scope["path"]
        if path in self._documents:
            if scope["method"] not in ("GET", "HEAD"):
                raise Refused(405, f"{path} takes GET only.", {"Allow": "GET, HEAD"})
            headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
            await JSONResponse(self._documents[path], headers=headers)(scope, receive, send)
            return
        endpoint = self._consent if path == AUTHORIZE else self._token
        try:
            await endpoint.answer(scope, receive, send, body_s)
        except TraderError as error:
            refused = _unavailable(error)
            if path != AUTHORIZE:
                raise refused from None
            page = refusal_page(503, str(refused), "Try again later.")
            await page(scope, receive, send)

    async def grant(self, scope: "Scope") -> Grant | None:
        """Return what the access token of a request to `/mcp` allows, or None; each grant is a client of its own.

        Raises:
            Refused: 503, while the file of grants cannot be read.
        """
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = sent[0].partition(b" ") if len(sent) == 1 else (b"", b"", b"")
        if scheme.lower() != b"bearer" or scope["path"] != PATH:
            return None
        try:
            return await anyio.to_thread.run_sync(self._allowed, token.strip().decode("latin-1"))
        except TraderError as error:
            raise _unavailable(error) from None

    def _allowed(self, text: str) -> Grant | None:
        parts = self._parts
        if not text.startswith("trader-access."):
            return None
        secret, alive = parts.grants.alive()
        opened = parts.seals.open("access", text, secret, parts.clock())
        if opened is None:
            return None
        ticket, token = opened
        mine = ticket.resource == parts.address.resource and parts.clients.knows(ticket.client)
        if not mine or ticket.grant not in alive:
            return None
        scope: Rights = "write" if ticket.scope == parts.tokens.scope_of(token) == "write" else "read"
        return Grant(f"grant {ticket.grant} of {called(ticket.client)}", scope)

    def challenge(self, scope: "Scope") -> str:
        """Return `WWW-Authenticate` for a request without access."""
        sent = any(name == b"authorization" for name, _ in scope["headers"])
        return self._parts.address.challenge("invalid_token" if sent else "")

    @property
    def more_scope(self) -> str:
        """`WWW-Authenticate` for a call that would need to write."""
        return self._parts.address.challenge("insufficient_scope")

    def saw(self, client: str, what: str) -> None:
        """Log the first request of a grant, and its first call of a tool: where they do not come, its host gave up."""
        if (client, what) not in self._seen:
            self._seen.add((client, what))
            self._parts.log("First %s: %s.", what, client)


def oauth_parts(settings: "ServerSettings", tokens: Tokens, clock: Callable[[], float]) -> OAuthParts | None:
    """Put together what OAuth needs; None: TRADER_PUBLIC_URL is not set.

    Raises:
        Misconfigured: there is no token by which its owner could allow anything.
    """
    if settings.public_url is None:
        return None
    if not tokens:
        raise Misconfigured(
            "TRADER_PUBLIC_URL offers this server to other programs, and there is no token to allow that with.",
            "Set TRADER_TOKEN, or unset TRADER_PUBLIC_URL.",
        )
    grants = LiveGrants(Home(settings.home), clock)
    address, clients = PublicAddress(settings.public_url), Clients(settings.oauth_clients)
    return OAuthParts(address, clients, tokens, TicketSeals(tokens), grants, clock)


def public_name(settings: "ServerSettings") -> tuple[str, ...]:
    """Return the name under which the proxy passes requests on, if there is a public address."""
    return () if settings.public_url is None else (urlsplit(settings.public_url).hostname or "",)


def log_steps() -> None:
    """Have the steps of connecting logged, which are few, beside warnings of the rest."""
    logging.getLogger(LOGGER).setLevel(logging.INFO)


def _unavailable(error: TraderError) -> Refused:
    logging.getLogger(LOGGER).warning("Nobody can connect now: %s", error)
    return Refused(503, "Access cannot be checked now. The server's log says why.", {"Retry-After": "10"})
