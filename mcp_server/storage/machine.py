"""This machine, as others are told of it."""

import platform

from mcp_server.domain.text import cleaned


def machine_name() -> str:
    """Return how this machine calls itself."""
    return cleaned(platform.node(), 40) or "a machine without a name"
