"""Sessions of the page: a signed cookie that stands for the token it was made with, and ends with it.

The server keeps nothing: a session outlives restarts, and any replica that has the token knows it. A cookie tells
neither the token nor its name.
"""

import hmac
import re
import secrets
from collections.abc import Iterable

from mcp_server.http.tokens import Grant, Tokens

SESSION_S = 30 * 24 * 3600
AHEAD_S = 300
"""How much the clocks of two replicas may differ."""

COOKIE = "trader_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Its name behind TLS: a browser lets no other host, and no page without TLS, set a cookie of such a name."""

KNOWN_COOKIE = "trader_browser"
"""Tells that a token was right in this browser before, at `/login` or in the form of consent: strangers cannot use up
the attempts of either there."""

KNOWN_S = 400 * 24 * 3600

_WRITTEN = re.compile(r"(?P<until>[0-9]{1,12})\.(?P<nonce>[0-9a-f]{32})\.(?P<mac>[0-9a-f]{64})")


class Sessions:
    """Signs cookies and checks them, with a key of its own for each token."""

    def __init__(self, tokens: Tokens) -> None:
        self._keys = {kind: tokens.keys(f"Claude Trader {kind} 1") for kind in (COOKIE, KNOWN_COOKIE)}

    def sign(self, kind: str, name: str, now: float, for_s: int) -> str:
        """Return the value of a cookie of that kind, for the token of that name."""
        written = f"{int(now) + for_s}.{secrets.token_hex(16)}"
        return f"{written}.{_mac(self._keys[kind][name], written)}"

    def grant(self, cookies: Iterable[str], now: float) -> Grant | None:
        """Return what the headers `Cookie` allow: a page may read, whatever its token allows.

        Of two that are valid neither counts: somebody else gave the browser one of them. One that is not valid counts
        as none, so that nobody can lock a browser out by giving it another.
        """
        sent = list(cookies)
        values = values_of(SECURE_COOKIE, sent) or values_of(COOKIE, sent)
        names = [name for value in values if (name := self.signer(COOKIE, value, now, SESSION_S)) is not None]
        return Grant(f"page of token {names[0]}", "read") if len(names) == 1 else None

    def signer(self, kind: str, value: str, now: float, for_s: int) -> str | None:
        """Return the name of the token that signed a cookie, if it holds now; the time does not tell which."""
        written = _WRITTEN.fullmatch(value)
        if written is None:
            return None
        signer = None
        for name, key in self._keys[kind].items():
            if hmac.compare_digest(_mac(key, f"{written['until']}.{written['nonce']}"), written["mac"]):
                signer = name
        return signer if now < int(written["until"]) <= now + for_s + AHEAD_S else None


def values_of(name: str, cookies: Iterable[str]) -> list[str]:
    """Return the values that the headers `Cookie` give for a name."""
    pairs = (pair.strip().partition("=") for header in cookies for pair in header.split(";"))
    return [value for sent, _, value in pairs if sent == name]


def set_cookie(name: str, value: str, for_s: int, *, secure: bool, hidden: bool = True) -> str:
    """Return a header `Set-Cookie`: for this site's own pages, and unless it is not `hidden` for no script."""
    marks = ["HttpOnly"] * hidden + ["Secure"] * secure
    return "; ".join([f"{name}={value}", f"Max-Age={for_s}", "Path=/", "SameSite=Strict", *marks])


def _mac(key: bytes, written: str) -> str:
    return hmac.new(key, written.encode(), "sha256").hexdigest()
