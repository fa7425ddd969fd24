"""A server with OAuth in this process, behind no socket, by a clock that the test moves; and a client that asks it."""

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from starlette.responses import JSONResponse

from mcp_server.http.allowed_hosts import AllowedHosts
from mcp_server.http.gate import Gate
from mcp_server.http.health import Health
from mcp_server.http.limits import RateLimits
from mcp_server.http.oauth.oauth import oauth_parts
from mcp_server.http.rights import SCOPE_KEY
from mcp_server.http.tokens import tokens_of
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.setting_types import TokenEntry
from mcp_server.toolkit import CLIENT_KEY
from tests.http.conftest import READS, TOKENS

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

ISSUER = "https://trader.example"
RESOURCE = f"{ISSUER}/mcp"
CLIENT, REDIRECT = "https://app.example/oauth/client.json", "https://app.example/callback"
OTHER, OTHER_REDIRECT = "https://other.example/client.json", "https://other.example/callback"
CLIENTS = {CLIENT: (REDIRECT, f"{REDIRECT}?kept=1"), OTHER: (OTHER_REDIRECT,)}
VERIFIER = "a-verifier-that-has-more-than-forty-three-letters"
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
STATE = "st ate/+%&="
OWN = {"Sec-Fetch-Site": "same-origin", "Origin": ISSUER}
Sent = str | None | list[str]


async def who_calls(scope: "Scope", receive: "Receive", send: "Send") -> None:
    """Answer a call with who is calling and what it may do."""
    await JSONResponse({"client": scope[CLIENT_KEY], "scope": scope[SCOPE_KEY]})(scope, receive, send)


@dataclass
class OAuthRig:
    """A server of a home, and a browser with cookies that reaches it. Several may share a home."""

    home: Path
    tokens: Mapping[str, TokenEntry] = field(default_factory=lambda: TOKENS)
    clients: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: CLIENTS)
    url: str = ISSUER
    now: float = 1_800_000_000.0
    page: bool = False
    at: "OAuthRig | None" = None
    """Another, whose server this browser reaches, too."""

    def __post_init__(self) -> None:
        self.gate: Gate = self.at.gate if self.at is not None else self._gate()
        self.browser = httpx2.AsyncClient(transport=httpx2.ASGITransport(self.gate), base_url=self.url, trust_env=False)

    def _gate(self) -> Gate:
        settings = ServerSettings(
            home=self.home, tokens=self.tokens, oauth_clients=self.clients, public_url=self.url, calls_per_minute=10_000
        )
        home, tokens = Home(self.home), tokens_of(settings)
        return Gate(
            who_calls,
            allowed_hosts=AllowedHosts("127.0.0.1", 0, (str(urlsplit(self.url).hostname),)),
            tokens=tokens,
            limits=RateLimits(64, 10_000, lambda: self.now),
            health=Health(home, self.home, Database(home.database), lambda: None),  # type: ignore[arg-type,return-value]
            page=self.page,
            oauth=oauth_parts(settings, tokens, lambda: self.now),
            now=lambda: self.now,
            clock=lambda: self.now,
        )

    async def authorize(self, **changed: Sent) -> httpx2.Response:
        """Send the browser to the server with a request that is right but for what is changed; None leaves one out."""
        usual: dict[str, Sent] = {
            "response_type": "code", "client_id": CLIENT, "redirect_uri": REDIRECT, "state": STATE,
            "resource": RESOURCE, "code_challenge": CHALLENGE, "code_challenge_method": "S256", "scope": "read write",
        }  # fmt: skip
        return await self.browser.get(f"/authorize?{encoded(usual | changed)}")

    async def decide(self, page: httpx2.Response, headers: Mapping[str, str] = OWN, **changed: Sent) -> httpx2.Response:
        """Send the form of the page as the owner does, with the token that reads, but for what is changed."""
        usual: dict[str, Sent] = {"request": hidden(page), "token": READS, "scope": "read", "answer": "allow"}
        return await self.browser.post("/authorize", content=encoded(usual | changed), headers={**FORM, **headers})

    async def guesses(self, page: httpx2.Response, count: int) -> list[int]:
        """Send the form with so many wrong tokens, without a client that would take longer than the server."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.browser.cookies.items())
        headers = FORM | OWN | {"Host": str(urlsplit(self.url).netloc), "Cookie": cookie}
        scope = {
            "type": "http", "method": "POST", "path": "/authorize", "query_string": b"", "client": ("127.0.0.1", 1),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        statuses: list[int] = []
        sealed = hidden(page)

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        for number in range(count):
            fields: dict[str, Sent] = {
                "request": sealed,
                "token": f"guess {number}",
                "scope": "read",
                "answer": "allow",
            }
            body = [{"type": "http.request", "body": encoded(fields).encode(), "more_body": False}]

            async def receive(body: list[dict[str, Any]] = body) -> dict[str, Any]:
                return body.pop()

            await self.gate(dict(scope), receive, send)
        return statuses

    async def code(self, *, token: str = READS, chosen: str = "read", **changed: Sent) -> str:
        """Return the code that the owner's consent gives."""
        answer = await self.decide(await self.authorize(**changed), token=token, scope=chosen)
        return landed(answer)["code"]

    async def exchange(self, code: str, /, **changed: Sent) -> httpx2.Response:
        """Exchange a code by a request that is right but for what is changed."""
        usual: dict[str, Sent] = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "client_id": CLIENT,
            "code_verifier": VERIFIER, "resource": RESOURCE,
        }  # fmt: skip
        return await self.post("/token", usual | changed)

    async def refresh(self, token: str, **changed: Sent) -> httpx2.Response:
        """Exchange a refresh token by a request that is right but for what is changed."""
        usual: dict[str, Sent] = {"grant_type": "refresh_token", "refresh_token": token, "client_id": CLIENT}
        return await self.post("/token", usual | {"resource": RESOURCE} | changed)

    async def revoke(self, ticket: str, **changed: Sent) -> httpx2.Response:
        return await self.post("/revoke", {"token": ticket, "client_id": CLIENT} | changed)

    async def post(self, path: str, fields: Mapping[str, Sent], **headers: str) -> httpx2.Response:
        """Post a form as a program does: without cookies, and without saying which page it is on."""
        self.browser.cookies.clear()
        return await self.browser.post(path, content=encoded(fields), headers=FORM | headers)

    async def call(self, token: str) -> httpx2.Response:
        return await self.browser.post("/mcp", content=b"{}", headers={b"Authorization": f"Bearer {token}".encode()})

    async def connect(self, **consent: Any) -> dict[str, Any]:
        """Go the whole way, and return the answer with the tokens."""
        answer: dict[str, Any] = (await self.exchange(await self.code(**consent))).json()
        return answer

    def grants(self) -> dict[str, Any]:
        """Return what the home's file says of grants."""
        return dict(json.loads((self.home / "oauth.json").read_text())["grants"])


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def encoded(fields: Mapping[str, Sent]) -> str:
    """Encode fields; a list gives one several times, None leaves it out."""
    pairs = [(name, value) for name, sent in fields.items() for value in (sent if isinstance(sent, list) else [sent])]
    return urlencode([(name, value) for name, value in pairs if value is not None])


def hidden(page: httpx2.Response) -> str:
    """Return the request that the page's form hands back."""
    found = re.search(r'name="request" value="([^"]*)"', page.text)
    assert found is not None, page.text
    return unescape(found[1])


def landed(answer: httpx2.Response) -> dict[str, str]:
    """Return what the client finds in the address that the browser is sent to."""
    assert answer.status_code == 303, answer.text
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def outcome(answer: httpx2.Response) -> str:
    """Return an answer in a word or two: its status, and where it leads to, what it is, or which error it tells."""
    if answer.status_code == 303:
        assert answer.headers["location"].startswith((f"{REDIRECT}?", f"{OTHER_REDIRECT}?"))
        return f"303 {landed(answer).get('error', 'code')}"
    if answer.headers.get("content-type", "").startswith("text/html"):
        return f"{answer.status_code} page"
    error = answer.json().get("error") if answer.content else None
    return f"{answer.status_code} {error}" if isinstance(error, str) else str(answer.status_code)
