"""What the endpoints of OAuth share."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from mcp_server.domain.text import cleaned
from mcp_server.http.oauth.clients import Clients
from mcp_server.http.oauth.live_grants import LiveGrants
from mcp_server.http.oauth.metadata import PublicAddress
from mcp_server.http.oauth.tickets import TicketSeals
from mcp_server.http.tokens import Tokens

LOGGER = "mcp_server.oauth"
MOST_LOGGED = 600
"""The longest text in a line of the log: a stranger's id and redirect, as they are shown, have room in it."""


@dataclass(frozen=True, slots=True)
class OAuthParts:
    """The server's address, its clients, its tokens, and what was granted; `clock` is the time of day, in seconds."""

    address: PublicAddress
    clients: Clients
    tokens: Tokens
    seals: TicketSeals
    grants: LiveGrants
    clock: Callable[[], float]

    def log(self, line: str, *values: object) -> None:
        """Log a step in one line: who, what, with what outcome; never a token, a code or a secret."""
        logging.getLogger(LOGGER).info(line, *(cleaned(str(value), MOST_LOGGED) for value in values))
