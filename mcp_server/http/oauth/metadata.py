"""The addresses of this server as others see it, and the two documents by which clients find them (RFC 9728, 8414)."""

from typing import Any

PATH = "/mcp"
AUTHORIZE, TOKEN, REVOKE = "/authorize", "/token", "/revoke"
"""Clients that read no metadata take these names, too."""

RESOURCE_METADATA = "/.well-known/oauth-protected-resource"
SERVER_METADATA = "/.well-known/oauth-authorization-server"

SCOPES = {"read": "read", "write": "read write"}
"""What a client is granted, as it is written in answers: whoever writes reads, too."""


class PublicAddress:
    """The address of TRADER_PUBLIC_URL, and what follows from it; no slash is added anywhere."""

    def __init__(self, url: str) -> None:
        self.issuer = url
        self.resource = f"{url}{PATH}"
        self.secure = url.startswith("https://")

    def is_resource(self, text: str) -> bool:
        """Return whether a client means this server's endpoint; some add a slash."""
        return text in (self.resource, f"{self.resource}/")

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return path → document. Clients look for that of the endpoint with its path, and without."""
        resource = {
            "resource": self.resource,
            "authorization_servers": [self.issuer],
            "scopes_supported": list(SCOPES),
            "bearer_methods_supported": ["header"],
            "resource_name": "Claude Trader",
        }
        return {
            RESOURCE_METADATA: resource,
            f"{RESOURCE_METADATA}{PATH}": resource,
            SERVER_METADATA: {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}{AUTHORIZE}",
                "token_endpoint": f"{self.issuer}{TOKEN}",
                "revocation_endpoint": f"{self.issuer}{REVOKE}",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_methods_supported": ["none"],  # without it claude.ai takes no client-id document
                "revocation_endpoint_auth_methods_supported": ["none"],
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": list(SCOPES),
                "client_id_metadata_document_supported": True,
                "authorization_response_iss_parameter_supported": True,
            },
        }

    def challenge(self, error: str = "", scope: str = SCOPES["write"]) -> str:
        """Return the header `WWW-Authenticate` for who has no access, or not enough (RFC 6750, 9728)."""
        wrong = f'error="{error}", ' if error else ""
        return f'Bearer {wrong}resource_metadata="{self.issuer}{RESOURCE_METADATA}{PATH}", scope="{scope}"'
