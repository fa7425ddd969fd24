"""How often a token may be tried, by whatever form: the page's that signs in, and that of consent."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from mcp_server.http.limits import PerMinute
from mcp_server.http.sessions import KNOWN_COOKIE, KNOWN_S, Sessions, values_of

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import Scope

EACH_PER_MINUTE, ALL_PER_MINUTE = 10, 60
"""Attempts to sign in: of one address, or of the browsers that a token signed in before; and of all strangers."""


class Attempts:
    """Counts attempts before a token is looked at, right or wrong, so an answer past the limit tells nothing.

    What is refused costs none, so the next is never further away than the allowance says. Behind a proxy all strangers
    share one address: browsers that a token has signed in before have attempts of their own, which they cannot use up.

    Args:
        sessions: knows the cookies of those browsers.
        clock: the time of day, in seconds.
        now: a clock in seconds that never goes back.
    """

    def __init__(self, sessions: Sessions, *, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self._sessions = sessions
        self._clock = clock
        self._of_each = PerMinute(EACH_PER_MINUTE, now)
        self._of_all = PerMinute(ALL_PER_MINUTE, now)

    def take(self, scope: "Scope", headers: "Headers") -> int:
        """Take one attempt of whoever sends a request, and return 0, or how many seconds it has to wait for one."""
        for value in values_of(KNOWN_COOKIE, headers.getlist("cookie")):
            if (name := self._sessions.signer(KNOWN_COOKIE, value, self._clock(), KNOWN_S)) is not None:
                return self._of_each.take(f"token {name}")
        address = _network((scope.get("client") or ["?"])[0])
        if wait_s := max(self._of_each.wait_s(address), self._of_all.wait_s("")):
            return wait_s
        return self._of_each.take(address) or self._of_all.take("")


def _network(address: str) -> str:
    """Return an address, or the network of one of IPv6: whoever has one of those has 2^64."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ip_network((parsed, 64), strict=False))
