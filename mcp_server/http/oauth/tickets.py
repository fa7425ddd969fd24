"""Tickets: codes, access tokens and refresh tokens. Each says what it is good for, and is sealed by the owner's token.

The key of a seal is derived from the token that allowed it and from a secret of the home: replacing the token ends all
that was granted with it, and without the home nobody can try guesses of the token against a ticket.
"""

import binascii
import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict, dataclass, replace
from typing import Literal

from mcp_server.http.tokens import Tokens
from mcp_server.storage.setting_types import Scope

Kind = Literal["code", "access", "refresh"]

LIFE_S: dict[Kind, int] = {"code": 60, "access": 3600, "refresh": 30 * 24 * 3600}
"""How long each is good for."""

SET_BACK_S = 3600
"""So far the clock may be set back. Tickets of a later time were made while it was wrong: they could last for years."""

MOST_CHARACTERS = 8_000
_WRITTEN = re.compile(
    r"(?P<sealed>trader-(?P<kind>code|access|refresh)\.(?P<fields>[A-Za-z0-9_-]+))\.(?P<mac>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What somebody was allowed.

    Args:
        grant: the consent that all tickets of it share; it ends as a whole.
        client: who asked.
        redirect: where its code was sent to.
        resource: the endpoint that it is good for.
        scope: what it may do there.
        challenge: of its code, what the verifier must hash to.
        number: of a refresh token, which of its grant it is.
        until: when it ends, in seconds.
    """

    grant: str
    client: str
    redirect: str
    resource: str
    scope: Scope
    challenge: str = ""
    number: str = ""
    until: int = 0

    def lasting(self, kind: Kind, now: float) -> "Ticket":
        """Return the ticket as one of a kind that begins now."""
        return replace(self, until=int(now) + LIFE_S[kind])


class TicketSeals:
    """Seals tickets and opens them, with a key for each of the server's tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self._keys = tokens.keys("Claude Trader OAuth 1")

    def seal(self, kind: Kind, ticket: Ticket, token: str, secret: bytes) -> str:
        """Return the text of a ticket, for the token of that name and the secret of the home."""
        fields = urlsafe_b64encode(json.dumps(asdict(ticket), separators=(",", ":")).encode()).decode().rstrip("=")
        sealed = f"trader-{kind}.{fields}"
        return f"{sealed}.{_mac(self._keys[token], secret, sealed)}"

    def open(self, kind: Kind, text: str, secret: bytes, now: float) -> tuple[Ticket, str] | None:
        """Return a ticket and the name of the token that sealed it; None where it is no such ticket, or is over."""
        written = _WRITTEN.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
        if written is None or written["kind"] != kind:
            return None
        token = None
        for name, key in self._keys.items():  # the time does not tell which
            if hmac.compare_digest(_mac(key, secret, written["sealed"]), written["mac"]):
                token = name
        if token is None:
            return None
        ticket = _read(written["fields"])
        lasts = ticket is not None and now < ticket.until <= now + LIFE_S[kind] + SET_BACK_S
        return (ticket, token) if ticket is not None and lasts else None


def _read(fields: str) -> Ticket | None:
    try:
        return Ticket(**json.loads(urlsafe_b64decode(fields + "=" * (-len(fields) % 4))))
    except (binascii.Error, ValueError, TypeError):  # sealed by another version of this program
        return None


def _mac(key: bytes, secret: bytes, sealed: str) -> str:
    return hmac.new(hmac.digest(key, secret, "sha256"), sealed.encode(), "sha256").hexdigest()
