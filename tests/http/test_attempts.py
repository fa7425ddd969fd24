"""How often signing in may be tried, and that strangers who try lock nobody out."""

import http.client
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers

from mcp_server.http.attempts import ALL_PER_MINUTE, EACH_PER_MINUTE, Attempts
from mcp_server.http.forms import FORM
from mcp_server.http.limits import MOST_CLIENTS
from mcp_server.http.sessions import COOKIE, KNOWN_COOKIE, KNOWN_S, Sessions
from mcp_server.http.sign_in import SignIn
from mcp_server.http.tokens import Tokens
from mcp_server.settings import ServerSettings
from mcp_server.storage.setting_types import TokenEntry
from tests.http.conftest import TOKENS, WRITES, guarded
from tests.http.sign_in_rows import OWN, try_to_sign_in


@pytest.mark.parametrize("attempts", [100, pytest.param(1_000, marks=pytest.mark.long)])
def test_of_many_attempts_few_are_looked_at_and_a_right_one_among_them_waits_as_long(home: Path, attempts: int) -> None:
    with guarded(ServerSettings(home=home, exchange="simulated", tokens=TOKENS)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        answers: list[tuple[str | None, str | None]] = []
        for number in range(attempts):
            token = f"token={WRITES if number == attempts - 10 else number}"
            connection.request("POST", "/login", token, {"Content-Type": FORM, "Sec-Fetch-Site": "same-origin"})
            answer = connection.getresponse()
            answer.read()
            answers.append((answer.headers["Location"], answer.headers["Retry-After"]))
            assert answer.headers["Set-Cookie"] is None
        connection.close()
        assert answers == [
            *[("/?refused=token", None)] * EACH_PER_MINUTE,
            *[("/?refused=wait&seconds=6", "6")] * (attempts - EACH_PER_MINUTE),
        ]
        assert server.post().status == 200


def test_pages_of_others_cannot_use_up_the_attempts(home: Path) -> None:
    with guarded(ServerSettings(home=home, exchange="simulated", tokens=TOKENS)) as server:
        for site in ("cross-site", "same-site", "none"):
            for _ in range(EACH_PER_MINUTE + 1):
                assert try_to_sign_in(server, b"token=guess", Sec_Fetch_Site=site).status == 403
        assert try_to_sign_in(server, b"token=guess", **OWN).text == "/?refused=token"


class Tries:
    """Tries to sign in, by a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        tokens = Tokens({"mine": TokenEntry(token=SecretStr("right")), "other": TokenEntry(token=SecretStr("also"))})
        self.sessions = Sessions(tokens)
        self.attempts = Attempts(self.sessions, clock=lambda: self.now, now=lambda: self.now)
        self._sign_in = SignIn(tokens, self.sessions, self.attempts, lambda: self.now)

    async def of(self, address: str, token: str = "", **headers: str) -> str:
        """Return where an attempt leads to."""
        sent: list[dict[str, object]] = []
        body = [{"type": "http.request", "body": f"token={token}".encode(), "more_body": False}]

        async def receive() -> dict[str, object]:
            return body.pop()

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        fields = {"content-type": FORM, "sec-fetch-site": "same-origin", **headers}
        scope = {
            "type": "http", "method": "POST", "path": "/login", "client": (address, 1),
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }  # fmt: skip
        await self._sign_in.answer(scope, receive, send)  # type: ignore[arg-type]
        return Headers(raw=sent[0]["headers"])["location"]  # type: ignore[arg-type]


async def test_an_address_that_tries_too_often_holds_up_no_other() -> None:
    tries = Tries()
    for _ in range(EACH_PER_MINUTE):
        assert await tries.of("192.0.2.1") == "/?refused=token"
    assert await tries.of("192.0.2.1") == "/?refused=wait&seconds=6"
    assert await tries.of("192.0.2.2", "right") == "/"


async def test_whoever_waits_as_told_gets_in_however_often_was_tried_meanwhile() -> None:
    tries = Tries()
    for _ in range(EACH_PER_MINUTE + 500):
        await tries.of("192.0.2.1")
    assert await tries.of("192.0.2.1", "right") == "/?refused=wait&seconds=6"
    tries.now += 5.9
    assert await tries.of("192.0.2.1", "right") == "/?refused=wait&seconds=1"
    tries.now += 0.1
    assert await tries.of("192.0.2.1", "right") == "/"


async def test_many_addresses_together_are_limited_too() -> None:
    tries = Tries()
    for number in range(ALL_PER_MINUTE):
        assert await tries.of(f"192.0.2.{number}") == "/?refused=token"
    assert await tries.of("198.51.100.1", "right") == "/?refused=wait&seconds=1"
    tries.now += 1
    assert await tries.of("198.51.100.1", "right") == "/"


async def test_whom_others_hold_up_loses_no_attempt_of_its_own() -> None:
    tries = Tries()
    for number in range(ALL_PER_MINUTE):
        await tries.of(f"192.0.2.{number}")
    for _ in range(EACH_PER_MINUTE + 1):
        assert await tries.of("198.51.100.1", "right") == "/?refused=wait&seconds=1"
    tries.now += 1
    assert await tries.of("198.51.100.1", "right") == "/"


async def test_all_addresses_of_an_ipv6_network_are_one() -> None:
    tries = Tries()
    for number in range(EACH_PER_MINUTE):
        assert await tries.of(f"2001:db8::{number:x}") == "/?refused=token"
    assert (await tries.of("2001:db8::ffff:1")).startswith("/?refused=wait")
    assert await tries.of("2001:db8:0:1::1", "right") == "/"


async def test_strangers_cannot_use_up_the_attempts_of_a_browser_that_has_signed_in_before() -> None:
    tries = Tries()
    known = f"{KNOWN_COOKIE}={tries.sessions.sign(KNOWN_COOKIE, 'mine', tries.now, KNOWN_S)}"
    for number in range(1_000):
        await tries.of(f"192.0.2.{number % 250}")
    assert await tries.of("192.0.2.1", "right", cookie=known) == "/"
    for _ in range(EACH_PER_MINUTE - 1):
        assert await tries.of("192.0.2.1", cookie=known) == "/?refused=token"
    another = f"{KNOWN_COOKIE}={tries.sessions.sign(KNOWN_COOKIE, 'mine', tries.now, KNOWN_S)}"
    assert (await tries.of("192.0.2.1", "right", cookie=another)).startswith("/?refused=wait")


async def test_a_cookie_of_a_known_browser_that_is_forged_or_too_old_gives_no_attempts() -> None:
    tries = Tries()
    old = tries.sessions.sign(KNOWN_COOKIE, "mine", tries.now - KNOWN_S, KNOWN_S)
    session = tries.sessions.sign(COOKIE, "mine", tries.now, KNOWN_S)
    for _ in range(EACH_PER_MINUTE):
        await tries.of("192.0.2.1")
    for value in (old, session, "", f"{old}; {KNOWN_COOKIE}={session}"):
        assert (await tries.of("192.0.2.1", "right", cookie=f"{KNOWN_COOKIE}={value}")).startswith("/?refused=wait")


async def test_addresses_without_number_take_no_memory_without_number() -> None:
    tries = Tries()
    for number in range(3 * MOST_CLIENTS):
        await tries.of(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(tries.attempts._of_each._left) <= MOST_CLIENTS
