"""Streamable HTTP: one port with the MCP endpoint and a health answer, a bearer token where one is set."""

import hmac
import ipaddress
import socket
import sys
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import JSONResponse

from mcp_server.errors import Misconfigured
from mcp_server.parent import Parent

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"


def check_exposure(host: str, token: str | None) -> None:
    """Refuse to listen beyond this machine without a token.

    Raises:
        Misconfigured: the address is not loopback and no token is set.
    """
    if token is None and not _is_loopback(host):
        raise Misconfigured(
            f"Listening on {host!r} would offer this server to others without a token. "
            "Set TRADER_TOKEN, or listen on 127.0.0.1."
        )


def serve(server: "MCPServer[Any]", host: str, port: int, token: str | None, parent: Parent | None) -> None:
    """Serve until SIGINT or SIGTERM. The address that it listens on is printed on standard output.

    Args:
        server: the server to offer.
        host: an address of this machine.
        port: a TCP port; 0 takes a free one.
        token: what callers must send as a bearer token, or None.
        parent: with it the serving ends, too; None: it goes on.

    Raises:
        Misconfigured: the address cannot be listened on, or must not be without a token.
    """
    check_exposure(host, token)
    listener = _listen(host, port)
    address = f"{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    # A token stands for the Host check on other addresses: their names are not known here.
    guarded = [address, f"localhost:{listener.getsockname()[1]}"]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=_is_loopback(host),
        allowed_hosts=guarded,
        allowed_origins=[f"http://{name}" for name in guarded],
    )
    app: ASGIApp = server.streamable_http_app(
        streamable_http_path=PATH, stateless_http=True, transport_security=security, host=host
    )
    config = uvicorn.Config(WithToken(app, token), log_level="warning", lifespan="on", timeout_graceful_shutdown=5)
    running = uvicorn.Server(config)
    if parent is not None:
        parent.then(lambda: setattr(running, "should_exit", True))
    sys.stdout.write(f"http://{address}{PATH}\n")
    sys.stdout.flush()
    anyio.run(running.serve, [listener])


class WithToken:
    """Lets a request through when it carries the token; `/health` says that the server is alive to anyone."""

    def __init__(self, app: "ASGIApp", token: str | None) -> None:
        self._app = app
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one ASGI scope."""
        if scope["type"] == "http" and scope["path"] == "/health":
            await JSONResponse({"status": "alive"})(scope, receive, send)
        elif scope["type"] == "http" and not self._allowed(scope):
            problem = {"error": "Send the server's token: 'Authorization: Bearer …' (TRADER_TOKEN)."}
            await JSONResponse(problem, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _allowed(self, scope: "Scope") -> bool:
        if self._expected is None:
            return True
        sent = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(sent, self._expected)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)  # before the address is printed: who reads it may connect at once
    except (OSError, OverflowError) as error:
        listener.close()
        raise Misconfigured(
            f"Cannot listen on {host!r} port {port}: {error}. Choose another --host or --port."
        ) from None
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
