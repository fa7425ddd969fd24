"""Signing in at the real server with a token, out again, and how often it may be tried."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers

from mcp_server.http.allowed_hosts import from_browser, from_own_page
from mcp_server.http.forms import FORM
from mcp_server.http.sessions import COOKIE, KNOWN_COOKIE, SECURE_COOKIE
from mcp_server.http.sign_in import MARK_COOKIE
from mcp_server.settings import ServerSettings
from tests.http.conftest import LIST, PUBLIC, READS, TOKENS, WRITES, Answered, Guarded, guarded

SESSION_DAYS_S = 2_592_000
OWN: dict[str, str | None] = {"Sec_Fetch_Site": "same-origin"}
WRITE = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_strategy","arguments":{}}}'


@pytest.fixture
def fresh(home: Path) -> Iterator[Guarded]:
    """A server at which nobody has tried to sign in yet."""
    with guarded(ServerSettings(home=home, exchange="simulated", tokens=TOKENS, public_hosts=(PUBLIC,))) as server:
        yield server


def sign_in(server: Guarded, token: str, **headers: str | None) -> Answered:
    sent: dict[str, str | None] = {"Authorization": None, "Content_Type": FORM, **(headers or OWN)}
    return server.post(f"token={quote(token)}".encode(), "/login", "POST", **sent)


def cookies(answered: Answered) -> dict[str, str]:
    """Return name → value and attributes of the cookies that an answer sets."""
    return {name: rest for name, _, rest in (line.partition("=") for line in answered.cookies)}


def session(server: Guarded, token: str = WRITES, **headers: str | None) -> str:
    """Sign in, and return the header `Cookie` as the browser would send it."""
    set_by_answer = cookies(sign_in(server, token, **headers))
    return "; ".join(f"{name}={rest.partition(';')[0]}" for name, rest in set_by_answer.items() if name != KNOWN_COOKIE)


def read(server: Guarded, cookie: str | None, **headers: str | None) -> Answered:
    return server.post(LIST, "/mcp", "POST", Authorization=None, Cookie=cookie, **(headers or OWN))


def test_who_signs_in_is_sent_to_the_page_with_a_cookie_that_no_script_and_no_other_site_can_use(
    fresh: Guarded,
) -> None:
    answered = sign_in(fresh, READS)
    assert (answered.status, answered.headers["location"], answered.text) == (303, "/", "")
    assert answered.headers["cache-control"] == "no-store"
    given = cookies(answered)
    value, _, attributes = given[COOKIE].partition("; ")
    assert attributes == f"Max-Age={SESSION_DAYS_S}; Path=/; SameSite=Strict; HttpOnly"
    assert given[MARK_COOKIE] == f"1; Max-Age={SESSION_DAYS_S}; Path=/; SameSite=Strict"
    assert given[KNOWN_COOKIE].endswith("; Path=/; SameSite=Strict; HttpOnly")
    assert read(fresh, f"{COOKIE}={value}").status == 200


def test_behind_tls_every_cookie_is_secure_and_the_sessions_can_be_set_by_this_host_only(fresh: Guarded) -> None:
    answered = sign_in(fresh, READS, Host=PUBLIC, Origin=f"https://{PUBLIC}")
    given = cookies(answered)
    assert set(given) == {SECURE_COOKIE, KNOWN_COOKIE, MARK_COOKIE}
    assert all("; Secure" in rest for rest in given.values())
    assert "; Path=/; " in given[SECURE_COOKIE]
    assert "HttpOnly" in given[SECURE_COOKIE]


def test_a_token_with_any_printable_sign_and_spaces_around_it_signs_in(home: Path) -> None:
    token = "".join(map(chr, range(33, 127)))
    with guarded(ServerSettings(home=home, exchange="simulated", token=SecretStr(token))) as server:
        assert read(server, session(server, f" {token}\r\n")).status == 200


def test_a_wrong_token_is_sent_back_to_the_page_which_can_say_so(fresh: Guarded) -> None:
    for token in ("s3cret-guess", WRITES[:-1], WRITES + "x", ""):
        answered = sign_in(fresh, token)
        assert (answered.status, answered.headers["location"], answered.text) == (303, "/?refused=token", "")
        assert not answered.cookies
        assert not token or token not in str(answered)


def test_the_token_of_the_runner_never_signs_in(home: Path) -> None:
    settings = ServerSettings(home=home, exchange="simulated", tokens=TOKENS, runner_token=SecretStr("runs"))
    with guarded(settings) as server:
        assert sign_in(server, "runs").headers["location"] == "/?refused=token"
        assert not sign_in(server, "runs").cookies


def test_a_server_without_tokens_says_that_nobody_needs_to_sign_in(home: Path) -> None:
    with guarded(ServerSettings(home=home, exchange="simulated", runner_token=SecretStr("runs"))) as server:
        answered = sign_in(server, "anything")
        assert answered.status == 404
        assert "no tokens, so nobody needs to sign in" in answered.message


def test_a_page_of_a_server_without_tokens_only_reads_and_programs_write(home: Path) -> None:
    with guarded(ServerSettings(home=home, exchange="simulated", runner_token=SecretStr("runs"))) as server:
        origin = f"http://127.0.0.1:{server.port}"
        ways: list[dict[str, str | None]] = [OWN, {"Origin": origin}, {"Sec_Fetch_Site": "none"}]
        for headers in ways:
            assert server.post(LIST, "/mcp", "POST", Authorization=None, **headers).status == 200
            assert "may only read" in server.post(WRITE, "/mcp", "POST", Authorization=None, **headers).text
        assert "may only read" not in server.post(WRITE, Authorization=None).text
        assert "may only read" not in server.post(WRITE, "/mcp", "POST", Authorization="Bearer runs", **OWN).text


def test_a_page_may_only_read_though_its_token_may_write(fresh: Guarded) -> None:
    cookie = session(fresh, WRITES)
    assert '"get_price"' in read(fresh, cookie).text
    assert '"write_strategy"' not in read(fresh, cookie).text
    answered = fresh.post(WRITE, "/mcp", "POST", Authorization=None, Cookie=cookie, **OWN)
    assert "may only read, so it cannot call 'write_strategy'" in answered.text


def test_a_cookie_counts_from_this_servers_own_page_only(fresh: Guarded) -> None:
    cookie, port = session(fresh), fresh.port
    assert read(fresh, cookie, Origin=f"http://127.0.0.1:{port}").status == 200
    assert read(fresh, cookie, Origin=f"https://127.0.0.1:{port}").status == 200
    assert read(fresh, cookie, Host=PUBLIC, Origin=f"https://{PUBLIC}").status == 200
    assert read(fresh, cookie, Host=f"{PUBLIC}:443", Origin=f"https://{PUBLIC}").status == 200
    others: list[dict[str, str | None]] = [
        {"Accept": "*/*"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "same-origin\r\nSec-Fetch-Site: cross-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": f"http://127.0.0.1:{port}"},
        {"Origin": f"http://{PUBLIC}"},
        {"Origin": "http://127.0.0.1"},
        {"Host": PUBLIC, "Origin": f"https://{PUBLIC}:8443"},
        {"Host": f"{PUBLIC}:80", "Origin": f"https://{PUBLIC}"},
        {"Origin": f"http://127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}"},
    ]
    for headers in others:
        assert read(fresh, cookie, **headers).status == 401, headers


def test_a_cookie_does_not_count_beside_a_token(fresh: Guarded) -> None:
    cookie = session(fresh, READS)
    for authorization in ("Bearer guess", "", "Basic x", f"Bearer guess\r\nAuthorization: Bearer {READS}"):
        assert fresh.post(LIST, "/mcp", "POST", Authorization=authorization, Cookie=cookie, **OWN).status == 401
    assert '"write_strategy"' in fresh.post(Cookie=cookie, Sec_Fetch_Site="same-origin").text


def test_a_page_that_is_signed_in_sees_the_details_of_health(fresh: Guarded) -> None:
    cookie = session(fresh, READS)

    def health(**headers: str) -> str:
        return fresh.post(b"", "/health", "GET", Authorization=None, Cookie=cookie, **headers).text

    assert "checks" in health(Sec_Fetch_Site="same-origin")
    assert "checks" not in health()
    assert "checks" not in health(Sec_Fetch_Site="cross-site")


def test_calls_of_a_page_are_counted_apart_from_those_of_its_token(home: Path) -> None:
    settings = ServerSettings(home=home, exchange="simulated", tokens=TOKENS, calls_per_minute=1)
    with guarded(settings) as server:
        cookie = session(server, WRITES)
        assert read(server, cookie).status == 200
        assert read(server, cookie).status == 429
        assert server.post().status == 200


def test_no_answer_of_the_tools_or_of_health_is_kept_by_a_cache(fresh: Guarded) -> None:
    cookie = session(fresh)
    legacy_stream, details = fresh.post(WRITE), fresh.post(b"", "/health", "GET", Cookie=cookie)
    for answered in (read(fresh, cookie), read(fresh, None), legacy_stream, details):
        assert "no-store" in answered.headers["cache-control"].split(", ")
    assert details.headers["cross-origin-resource-policy"] == "same-origin"
    assert details.headers["x-content-type-options"] == "nosniff"


def test_signing_out_takes_the_session_from_the_browser(fresh: Guarded) -> None:
    answered = fresh.post(b"", "/logout", "POST", Authorization=None, **OWN)
    assert (answered.status, answered.headers["location"]) == (303, "/")
    assert {name: rest.partition(";")[0] for name, rest in cookies(answered).items()} == {
        COOKIE: "", SECURE_COOKIE: "", MARK_COOKIE: "",
    }  # fmt: skip
    assert all("Max-Age=0; Path=/" in rest for rest in cookies(answered).values())
    assert "; Secure" in cookies(answered)[SECURE_COOKIE]


def test_what_is_sent_with_signing_in_or_out_is_never_taken_for_another_request(fresh: Guarded) -> None:
    inner = fresh.head(len(LIST)) + LIST
    for path, statuses in (("/login", [b"400"]), ("/logout", [b"303", b"200"])):
        headers = {"Authorization": None, "Content_Type": FORM, "Connection": None, "Sec_Fetch_Site": "same-origin"}
        with fresh.connect() as sock:
            sock.sendall(fresh.head(len(inner), path, "POST", **headers) + inner + fresh.head(0, "/health", "GET"))
            answers = b"".join(iter(lambda: sock.recv(65536), b""))
        assert re.findall(rb"HTTP/1.1 (\d+)", answers) == statuses
        assert b"get_price" not in answers


def test_a_dropped_token_ends_its_sessions_and_a_restart_does_not(home: Path) -> None:
    def serving(*names: str) -> ServerSettings:
        return ServerSettings(home=home, exchange="simulated", tokens={name: TOKENS[name] for name in names})

    with guarded(serving("phone", "laptop")) as server:
        cookie = session(server, WRITES)
    with guarded(serving("phone", "laptop")) as server:
        assert read(server, cookie).status == 200
    with guarded(serving("phone")) as server:
        assert read(server, cookie).status == 401


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, True),
        ({"host": "trader.example", "origin": "https://trader.example"}, True),
        ({"host": "TRADER.example", "origin": "https://trader.example"}, True),
        ({"host": "trader.example:80", "origin": "http://trader.example"}, True),
        ({"host": "[::1]:8000", "origin": "http://[::1]:8000"}, True),
        ({"host": "trader.example", "origin": "ftp://trader.example"}, False),
        ({"host": "trader.example", "origin": "null"}, False),
        ({"host": "trader.example", "origin": "trader.example"}, False),
        ({"host": "trader.example", "origin": "https://trader.example.evil.example"}, False),
        ({"host": "trader.example", "origin": ""}, False),
        ({"origin": "https://"}, False),
        ({}, False),
    ],
)
def test_a_page_of_this_server_is_known_by_what_the_browser_says(headers: dict[str, str], own: bool) -> None:
    assert from_own_page(Headers(headers)) is own


def test_a_program_says_neither_where_it_comes_from_nor_that_it_is_a_browser() -> None:
    assert not from_browser(Headers({"host": "trader.example", "sec-fetch-mode": "cors"}))
