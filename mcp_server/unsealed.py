"""The server of mcp without its ciphers, which seal what a client is to send back: our tools ask for nothing.

It comes without mcp's client and uvicorn's command line, too, and each version of the protocol comes when somebody
speaks it. All of it would take memory, and a fifth of a start.
"""

from typing import NoReturn

from mcp_server.domain.late_models import built_when_used
from mcp_server.domain.late_parts import MODELS, given_when_asked, import_with_late_parts

CIPHERS = {
    "cryptography.exceptions": ("InvalidTag",),
    "cryptography.hazmat.primitives.ciphers.aead": ("AESGCM",),
    "cryptography.hazmat.primitives.hashes": ("SHA256",),
    "cryptography.hazmat.primitives.kdf.hkdf": ("HKDF",),
}
"""What mcp's server imports of them, by module."""

CLIENT = {
    "mcp.client._input_required": ("InputRequiredRoundsExceededError",),
    "mcp.client.client": ("Client",),
    "mcp.client.session": ("ClientSession",),
    "mcp.client.session_group": ("ClientSessionGroup",),
    "mcp.client.stdio": ("StdioServerParameters", "stdio_client"),
}
"""What the package mcp offers of its client, by module."""

SIGN_IN = {
    "mcp.server.auth.routes": ("build_resource_metadata_url", "create_auth_routes", "create_protected_resource_routes")
}
"""What mcp's server calls where it lets people sign in by itself: here the gate does."""

COMMAND_LINE = {"uvicorn.main": ("main", "run")}

WIRE_MODELS = {"mcp_types._v2025_11_25": MODELS, "mcp_types._v2026_07_28": MODELS}
"""What a request is checked by, for each version of the protocol: a host speaks one."""

OTHERS = {"uvicorn.main": "uvicorn.server", "httpx2": "httpx2"}
"""Where uvicorn's class of a server is. Of httpx2 mcp's server uses nothing before it offers a resource of the web."""

with built_when_used():
    import_with_late_parts("mcp.server", {**CIPHERS, **CLIENT, **SIGN_IN, **COMMAND_LINE, **WIRE_MODELS}, OTHERS)
    import mcp
    import uvicorn

    given_when_asked(mcp, CLIENT)
    given_when_asked(uvicorn, COMMAND_LINE)
    from mcp.server import MCPServer
    from mcp.server.request_state import InvalidRequestState, RequestStateSecurity


class NothingSealed:
    """Stands for the ciphers: what a client sends back was not sealed here."""

    def seal(self, payload: bytes) -> NoReturn:
        """Raise `NotImplementedError`: no tool asks for anything."""
        raise NotImplementedError

    def unseal(self, token: str) -> NoReturn:
        """Raise `InvalidRequestState`: the request is refused."""
        raise InvalidRequestState("unknown key")


__all__ = ["NOTHING_SEALED", "MCPServer", "NothingSealed"]

NOTHING_SEALED = RequestStateSecurity(codec=NothingSealed())
