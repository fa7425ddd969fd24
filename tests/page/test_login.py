"""Signing in at the page in a real browser, why it is refused, and how a session ends."""

import re
from pathlib import Path
from typing import Any

import pytest

from mcp_server.http.attempts import EACH_PER_MINUTE
from mcp_server.http.sessions import COOKIE, KNOWN_COOKIE, SECURE_COOKIE
from mcp_server.http.sign_in import MARK_COOKIE
from mcp_server.settings import ServerSettings
from tests.http.conftest import PUBLIC, READS, TOKENS, WRITES, Guarded, guarded
from tests.http.sign_in_rows import NOW, OWN, signed_cookie, try_to_sign_in
from tests.page.opening import FOCUSED, SIZES
from tests.rigs.browser import DESKTOP, PHONE, Browser, OpenPage
from tests.rigs.tls_proxy import behind_tls

UNAUTHORIZED = "error: Failed to load resource: the server responded with a status of 401 (Unauthorized)"
LIST_TOOLS = """fetch("/mcp", {
  method: "POST", headers: {"Content-Type": "application/json", Accept: "application/json, text/event-stream"},
  body: '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}',
}).then(answer => answer.status)"""


def settings(home: Path) -> ServerSettings:
    return ServerSettings(home=home, exchange="simulated", tokens=TOKENS, public_hosts=(PUBLIC,))


def costs(server: Guarded, query: str = "", site: str = "http://127.0.0.1") -> str:
    """Return the address of a view that asks the server, and takes the browser little work."""
    return f"{site}:{server.port}/{query}#/costs?days=7"


def token_field(opened: OpenPage) -> Any:
    field = opened.page.get_by_label("Token")
    field.wait_for()
    return field


def sign_in(opened: OpenPage, token: str) -> None:
    """Sign in by the keyboard alone; the field has the focus."""
    assert token_field(opened).evaluate(FOCUSED)
    opened.page.keyboard.type(token)
    opened.page.keyboard.press("Enter")


def is_signed_in(opened: OpenPage) -> bool:
    """Wait for the page after signing in, and return whether the server answers its calls."""
    opened.page.get_by_role("button", name="Sign out").wait_for()
    return bool(opened.run(LIST_TOOLS) == 200 and opened.page.get_by_label("Token").count() == 0)


def calls_of(opened: OpenPage) -> int:
    return sum(address.endswith("/mcp") for address in opened.requests)


def refusal(opened: OpenPage) -> str:
    alert = opened.page.get_by_role("alert").filter(has_text=re.compile("."))
    alert.wait_for()
    return str(alert.inner_text())


@SIZES
def test_a_wrong_token_is_refused_the_right_one_leads_to_the_place_asked_for_and_signing_out_is_for_good(
    guarded_page: Guarded, chromium: Browser, size: tuple[int, int]
) -> None:
    """All by the keyboard, but for signing out."""
    with chromium.open(costs(guarded_page), size) as opened:
        sign_in(opened, "wrong-token")
        assert "The server does not know this token." in refusal(opened)
        assert opened.page.url == costs(guarded_page)
        assert token_field(opened).input_value() == ""
        assert not any("wrong-token" in address for address in opened.requests)
        sign_in(opened, READS)
        assert is_signed_in(opened)
        assert opened.page.url == costs(guarded_page)
        assert not opened.is_wider_than_the_screen()
        assert set(opened.complaints) <= {UNAUTHORIZED}
        opened.page.reload()
        assert is_signed_in(opened)
        no_script_and_no_address_has_the_secrets(opened)
        with opened.page.expect_navigation():
            opened.page.get_by_role("button", name="Sign out").click()
        assert {cookie["name"] for cookie in opened.page.context.cookies()} == {KNOWN_COOKIE}
        opened.page.go_back()
        token_field(opened)
        assert opened.page.get_by_role("button", name="Sign out").count() == 0


def no_script_and_no_address_has_the_secrets(opened: OpenPage) -> None:
    """Assert that of one who signed in with READS."""
    cookies = {cookie["name"]: cookie for cookie in opened.page.context.cookies()}
    session = cookies["trader_session"]
    assert {key: session[key] for key in ("httpOnly", "sameSite", "secure", "path")} == {
        "httpOnly": True, "sameSite": "Strict", "secure": False, "path": "/",
    }  # fmt: skip
    assert 29.9 * 86_400 < session["expires"] - float(opened.run("Date.now() / 1000")) < 30.1 * 86_400
    assert cookies["trader_browser"]["httpOnly"]
    assert cookies["trader_browser"]["path"] == "/"
    assert opened.run("document.cookie") == "trader_signed_in=1"
    kept = opened.run("JSON.stringify([localStorage, sessionStorage, history.state, document.referrer])")
    written = f"{kept} {opened.requests} {opened.page.content()} {opened.complaints}"
    assert READS not in written
    assert session["value"] not in written


@pytest.mark.long
def test_after_too_many_attempts_the_page_says_when_to_try_again(home: Path, chromium: Browser) -> None:
    """In `make test`, tests/http/test_attempts.py shows where the server then leads, and the next test opens that."""
    with guarded(settings(home)) as server, chromium.open("about:blank") as opened:
        for _ in range(EACH_PER_MINUTE):
            try_to_sign_in(server, b"token=guess", **OWN)
        opened.page.clock.install()
        opened.page.goto(costs(server))
        sign_in(opened, READS)
        it_says_when_to_try_again(opened)


def test_who_is_to_wait_is_told_when_to_try_again(guarded_page: Guarded, chromium: Browser) -> None:
    with chromium.open("about:blank") as opened:
        opened.page.clock.install()
        opened.page.goto(costs(guarded_page, "?refused=wait&seconds=6"))
        it_says_when_to_try_again(opened)


def it_says_when_to_try_again(opened: OpenPage) -> None:
    """Assert that of a page that is to wait for 6 s, by a clock that is installed."""
    assert "There were too many attempts. Try again in 6 s." in refusal(opened)
    button = opened.page.get_by_role("button", name="Sign in")
    assert button.is_disabled()
    opened.page.clock.run_for(6_000)
    assert "You can try again now." in refusal(opened)
    assert button.is_enabled()


CLAIMS = ("<b>no</b>", "wait&seconds=1e999", "wait&seconds=<b>", "wait&seconds=99999", "wait")


@pytest.mark.long
def test_an_address_that_claims_a_refusal_shows_words_of_the_page_only(
    guarded_page: Guarded, chromium: Browser
) -> None:
    """In `make test`, test_everyone_can_use_the_form claims the first of these."""
    with chromium.open("about:blank") as opened:
        for words in CLAIMS:
            opened.page.goto(costs(guarded_page, f"?refused={words}"))
            assert re.search("^The server does not know this token|Try again in (9|99) s", refusal(opened)), words
            assert opened.page.url == costs(guarded_page)


def test_when_its_token_is_dropped_the_open_page_asks_for_one_and_rests(
    guarded_page: Guarded, chromium: Browser
) -> None:
    with chromium.open(f"http://127.0.0.1:{guarded_page.port}/", fresh=True) as opened:
        sign_in(opened, READS)
        assert is_signed_in(opened)
        opened.page.clock.install()
        dropped = {"name": COOKIE, "value": signed_cookie(NOW, "dropped"), "domain": "127.0.0.1", "path": "/"}
        opened.page.context.add_cookies([dropped])
        opened.page.clock.run_for(5_000)
        assert token_field(opened).evaluate(FOCUSED)
        assert opened.page.title() == "Sign in · Claude Trader"
        assert opened.page.get_by_role("button", name="Sign out").count() == 0
        before = calls_of(opened)
        opened.page.clock.run_for(20_000)
        assert calls_of(opened) == before
        sign_in(opened, WRITES)
        assert is_signed_in(opened)


def test_what_is_typed_stays_when_another_call_is_refused_until_another_tab_signs_in(
    guarded_page: Guarded, chromium: Browser
) -> None:
    with chromium.open(costs(guarded_page)) as opened:
        token_field(opened).fill("half a tok")
        with opened.page.expect_response("**/mcp") as asked:
            opened.page.get_by_role("button", name="Live").click()
        assert asked.value.status == 401
        opened.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert token_field(opened).input_value() == "half a tok"
        other = OpenPage(opened.page.context.new_page())
        other.page.goto(costs(guarded_page))
        sign_in(other, READS)
        assert is_signed_in(other)
        with opened.page.expect_navigation():
            opened.run("void document.dispatchEvent(new Event('visibilitychange'))")
        assert is_signed_in(opened)


def test_without_tls_the_page_warns(guarded_page: Guarded, chromium: Browser) -> None:
    with chromium.open(costs(guarded_page, site=f"http://{PUBLIC}"), fresh=True) as opened:
        assert "not encrypted" in token_field(opened).locator("xpath=ancestor::section").inner_text()


@pytest.mark.long
def test_without_tls_the_origin_speaks_for_the_page_which_warns(guarded_page: Guarded, chromium: Browser) -> None:
    """In `make test`, tests/http/test_sign_in.py sends what a browser does then."""
    with chromium.open("about:blank") as opened:
        posted: list[Any] = []
        opened.page.on("request", lambda request: posted.append(request) if request.method == "POST" else None)
        opened.page.goto(costs(guarded_page, site=f"http://{PUBLIC}"))
        assert "not encrypted" in token_field(opened).locator("xpath=ancestor::section").inner_text()
        sign_in(opened, READS)
        assert is_signed_in(opened)
        sent = [request.all_headers() for request in posted if request.response()]
        assert {headers["origin"] for headers in sent} == {f"http://{PUBLIC}:{guarded_page.port}"}
        assert not any("sec-fetch-site" in headers for headers in sent)


@pytest.mark.long
def test_behind_tls_the_cookies_are_secure_and_only_this_host_can_set_the_sessions(
    guarded_page: Guarded, chromium: Browser, tmp_path: Path
) -> None:
    """In `make test`, test_sign_in.py reads what the server sends, and test_oauth_consent.py opens a page so."""
    with (
        behind_tls(guarded_page.port, PUBLIC, tmp_path) as port,
        chromium.open("about:blank", ignore_https_errors=True) as opened,
    ):
        opened.page.goto(f"https://{PUBLIC}:{port}/#/market")
        sign_in(opened, READS)
        assert is_signed_in(opened)
        cookies = {cookie["name"]: cookie["secure"] for cookie in opened.page.context.cookies()}
        assert cookies == {SECURE_COOKIE: True, KNOWN_COOKIE: True, MARK_COOKIE: True}
        with opened.page.expect_navigation():
            opened.page.get_by_role("button", name="Sign out").click()
        assert {cookie["name"] for cookie in opened.page.context.cookies()} == {KNOWN_COOKIE}


@pytest.mark.parametrize(
    ("size", "dark"),
    [
        pytest.param(DESKTOP, True, id="desktop dark", marks=pytest.mark.long),
        pytest.param(PHONE, False, id="phone light"),
    ],
)
def test_everyone_can_use_the_form(guarded_page: Guarded, chromium: Browser, size: tuple[int, int], dark: bool) -> None:
    with chromium.open(costs(guarded_page, f"?refused={CLAIMS[0]}"), size, dark=dark) as opened:
        assert refusal(opened).startswith("The server does not know this token")
        field = token_field(opened)
        assert field.get_attribute("autocomplete") == "current-password"
        assert opened.violations() == []
        assert not opened.is_wider_than_the_screen()
        if size == PHONE:
            assert field.bounding_box()["height"] >= 44
            assert opened.page.get_by_role("button", name="Sign in").bounding_box()["height"] >= 44
