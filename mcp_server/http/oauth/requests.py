"""What a client asks for at `/authorize`: read, checked, and answered by a redirect.

A redirect goes only to an address that the allow-list has for that client. Where client or redirect is wrong a person
is told, and sent nowhere.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from mcp_server.http.oauth.clients import Clients
from mcp_server.http.oauth.metadata import PublicAddress
from mcp_server.storage.setting_types import Scope

MOST_QUERY_BYTES = 8_000
MOST_PARAMETERS = 50
MOST_STATE = 8_000
"""Of a state as the form of consent hands it back, in JSON: the rest of a form must have room beside it."""

MOST_SHOWN = 250
"""Of what a stranger sends: so much of the id and of the redirect is shown, from where an owner copies them."""

ADD_CLIENT = "Whoever runs this server adds clients, with their redirects, to TRADER_OAUTH_CLIENTS."
WRONG_PROGRAM = "Connect again from the program. If this page comes again, the program is at fault: tell its makers."

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""A SHA-256 in base64url (RFC 7636)."""


class NoClient(Exception):
    """Who asks is not known, or not by that address, so nobody can be redirected: a person is told instead."""

    def __init__(self, problem: str, remedy: str = WRONG_PROGRAM) -> None:
        super().__init__(problem)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the browser goes with the answer, and what the client wants to find there again."""

    redirect: str
    state: str | None
    issuer: str

    def url(self, **answer: str) -> str:
        """Return the address with the answer, with `iss` (RFC 9207), and with the state as it came."""
        state = {} if self.state is None else {"state": self.state}
        fields = urlencode({**answer, **state, "iss": self.issuer}, quote_via=quote, errors="surrogateescape")
        return f"{self.redirect}{'&' if '?' in self.redirect else '?'}{fields}"


class AskedWrongly(Exception):
    """A known client asks for what it cannot have; the redirect says so (RFC 6749 4.1.2.1)."""

    def __init__(self, client: str, destination: Destination, error: str, description: str) -> None:
        super().__init__(description)
        self.client = client
        self.url = destination.url(error=error, error_description=description)
        self.error = error


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """A request that a person may grant; `scope` is the most that the client asks for."""

    client: str
    redirect: str
    state: str | None
    challenge: str
    scope: Scope


def access_request(query: bytes, clients: Clients, address: PublicAddress) -> AccessRequest:
    """Read the query of a request to `/authorize`.

    Raises:
        NoClient: there is nobody to redirect to.
        AskedWrongly: the client is to be told.
    """
    sent, repeated = _parameters(query)
    client, redirect = sent.get("client_id", ""), sent.get("redirect_uri", "")
    if {"client_id", "redirect_uri"} & repeated:
        raise NoClient("It names its client or its redirect twice.")
    if not clients.knows(client):
        wants = f", which wants to be answered at {redirect[:MOST_SHOWN]!a}" if redirect else ""
        raise NoClient(f"This server does not know the client {client[:MOST_SHOWN]!a}{wants}.", ADD_CLIENT)
    if not clients.allows(client, redirect):
        shown, there = client[:MOST_SHOWN], redirect[:MOST_SHOWN]
        raise NoClient(f"The client {shown!a} may not be answered at {there!a}.", ADD_CLIENT)
    state = None if "state" in repeated else sent.get("state")
    if len(json.dumps(state)) > MOST_STATE:
        raise NoClient("Its state is too long.")
    refused = _refusal(sent, repeated, address)
    if refused is not None:
        raise AskedWrongly(client, Destination(redirect, state, address.issuer), *refused)
    scopes = sent.get("scope", "read write").split()  # names of other servers' scopes are no error
    return AccessRequest(client, redirect, state, sent["code_challenge"], "write" if "write" in scopes else "read")


def _parameters(query: bytes) -> tuple[dict[str, str], set[str]]:
    """Return the parameters with a value, of which an empty one is none, and the names of those that came twice."""
    if len(query) > MOST_QUERY_BYTES:
        raise NoClient(f"Its address has more than {MOST_QUERY_BYTES:,} characters.")
    try:
        pairs = parse_qsl(
            query.decode("ascii", "surrogateescape"), errors="surrogateescape", max_num_fields=MOST_PARAMETERS
        )
    except ValueError:
        raise NoClient(f"It has more than {MOST_PARAMETERS} parameters.") from None
    counts = Counter(name for name, _ in pairs)
    return dict(pairs), {name for name, count in counts.items() if count > 1}


def _refusal(sent: dict[str, str], repeated: set[str], address: PublicAddress) -> tuple[str, str] | None:
    """Return the error and its description for what is asked wrongly."""
    if repeated - {"resource"}:
        return "invalid_request", "a parameter is given twice"
    if "response_type" not in sent:
        return "invalid_request", "response_type is missing"
    if sent["response_type"] != "code":
        return "unsupported_response_type", "response_type must be code"
    if sent.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(sent.get("code_challenge", "")):
        return "invalid_request", "PKCE with code_challenge_method S256 is required"
    if repeated or not address.is_resource(sent.get("resource", "")):
        return "invalid_target", f"resource must be {address.resource}"
    return None
