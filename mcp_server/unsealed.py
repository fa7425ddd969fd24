"""The server of mcp without its ciphers, which seal what a client is to send back: our tools ask for nothing.

The ciphers would take 8 MB, and some of the time that a start takes.
"""

from typing import NoReturn

from mcp_server.domain.late_models import built_when_used
from mcp_server.domain.late_parts import import_with_late_parts

CIPHERS = {
    "cryptography.exceptions": ("InvalidTag",),
    "cryptography.hazmat.primitives.ciphers.aead": ("AESGCM",),
    "cryptography.hazmat.primitives.hashes": ("SHA256",),
    "cryptography.hazmat.primitives.kdf.hkdf": ("HKDF",),
}
"""What mcp's server imports of them, by module."""

with built_when_used():
    import_with_late_parts("mcp.server", CIPHERS)
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
