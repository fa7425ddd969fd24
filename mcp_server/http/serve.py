"""Serves MCP over streamable HTTP on one port, behind the gate."""

import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings

from mcp_server.domain.families import WHAT_THE_PAGE_NEEDS
from mcp_server.domain.loopback import is_loopback
from mcp_server.errors import Misconfigured
from mcp_server.http.allowed_hosts import AllowedHosts
from mcp_server.http.connections import BoundedConnection, connection_limits
from mcp_server.http.gate import Gate
from mcp_server.http.limits import RateLimits
from mcp_server.http.oauth.metadata import PATH
from mcp_server.http.pages.where import where_the_page_is
from mcp_server.http.prompt_server import PromptServer
from mcp_server.http.rights import AsksForMore, OnlyWhatIsAllowed
from mcp_server.http.tokens import Tokens, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server import MCPServer
    from starlette.types import ASGIApp

    from mcp_server.http.health import Health
    from mcp_server.parent import Parent
    from mcp_server.settings import ServerSettings


NO_PAGE = f"There is no page: it needs {WHAT_THE_PAGE_NEEDS}."


def check_exposure(host: str, tokens: Tokens) -> None:
    """Raise `Misconfigured` for listening beyond this machine without a token."""
    if not tokens and not is_loopback(host):
        raise Misconfigured(
            f"Listening on {host!r} would offer this server to others without a token.",
            "Set TRADER_TOKEN, or listen on 127.0.0.1.",
        )


def serve(
    server: "MCPServer[Any]",
    health: "Health",
    settings: "ServerSettings",
    host: str,
    port: int,
    *,
    parent: "Parent | None",
    page: bool = True,
    once_up: "Callable[[], None] | None" = None,
) -> None:
    """Serve until SIGINT or SIGTERM, or until the parent process ends, if there is one.

    Port 0 takes a free one. The first line on standard output is the address, for programs; the second tells a person
    where the page is, or that it is left out. Then `once_up` begins what goes on beside it.

    Raises:
        Misconfigured: the address cannot be listened on, or must not be without a token.
    """
    tokens = tokens_of(settings)
    check_exposure(host, tokens)
    oauth, public = None, settings.public_hosts
    if settings.public_url is not None:
        from mcp_server.http.oauth.oauth import log_steps, oauth_parts, public_name

        oauth, public = oauth_parts(settings, tokens, time.time), (*public, *public_name(settings))
        log_steps()
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    gate = Gate(
        mcp_app(server),
        allowed_hosts=AllowedHosts(host, port, public),
        tokens=tokens,
        limits=RateLimits(settings.concurrent_calls, settings.calls_per_minute, time.monotonic),
        health=health,
        page=page,
        oauth=oauth,
    )
    running = PromptServer(configured(gate))
    if parent is not None:
        parent.then(running.end)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"
    where = where_the_page_is(host, port, public) if page else NO_PAGE
    if oauth is not None:
        where += f" Connect claude.ai to {oauth.address.resource}."
    sys.stdout.write(f"{address}\n{where}\n")
    sys.stdout.flush()
    if once_up is not None:
        once_up()
    anyio.run(running.serve, [listener])


def mcp_app(server: "MCPServer[Any]") -> "ASGIApp":
    """Make the application that speaks MCP. It keeps no sessions, so that any replica may answer any request."""
    server.middleware.append(OnlyWhatIsAllowed(server))
    checked_by_the_gate = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(
        streamable_http_path=PATH, stateless_http=True, transport_security=checked_by_the_gate
    )
    return AsksForMore(app, server)


def configured(app: "ASGIApp", connection: type[BoundedConnection] = BoundedConnection) -> uvicorn.Config:
    """Configure the HTTP server: no web sockets, no trust in proxy headers, no server header."""
    _, accepted = connection_limits()
    return uvicorn.Config(
        app,
        http=connection,
        backlog=accepted,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the end of an answer waits 40 ms
        listener.bind((host, port))
        listener.listen(2048)  # before the address is printed: its reader may connect at once
    except (OSError, OverflowError) as error:
        listener.close()
        raise Misconfigured(
            f"Cannot listen on {host!r} port {port}: {error}.", "Choose another --host or --port."
        ) from None
    return listener
