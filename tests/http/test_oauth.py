"""OAuth as it should go: what clients are told, how one connects, what it may then do, how that ends; and the log."""

import json
import logging
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from mcp_server.errors import Misconfigured
from mcp_server.http.oauth.clients import BUILT_IN
from mcp_server.http.oauth.oauth import oauth_parts
from mcp_server.http.tokens import tokens_of
from mcp_server.settings import ServerSettings
from tests.http.conftest import READS, TOKENS, WRITES
from tests.http.oauth_rig import (
    CLIENT,
    CLIENTS,
    ISSUER,
    OWN,
    REDIRECT,
    RESOURCE,
    STATE,
    OAuthRig,
    landed,
    outcome,
)

CLAUDE, CALLBACK = "https://claude.ai/oauth/mcp-oauth-client-metadata", "https://claude.ai/api/mcp/auth_callback"


@pytest.fixture
def rig(home: Path) -> OAuthRig:
    return OAuthRig(home)


async def test_the_metadata_is_what_claude_ai_is_known_to_need(rig: OAuthRig) -> None:
    server = (await rig.browser.get("/.well-known/oauth-authorization-server")).json()
    assert server == {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
        "revocation_endpoint": f"{ISSUER}/revoke",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["read", "write"],
        "client_id_metadata_document_supported": True,
        "authorization_response_iss_parameter_supported": True,
    }
    for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
        answer = await rig.browser.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json() == {
            "resource": RESOURCE,
            "authorization_servers": [ISSUER],
            "scopes_supported": ["read", "write"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Claude Trader",
        }
    assert {CLAUDE: (CALLBACK, CALLBACK.replace("claude.ai", "claude.com"))} == BUILT_IN


async def test_who_has_no_token_is_told_where_the_metadata_is(rig: OAuthRig) -> None:
    where = f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource/mcp", scope="read write"'
    none = await rig.browser.post("/mcp", content=b"{}")
    assert (none.status_code, none.headers["www-authenticate"]) == (401, f"Bearer {where}")
    wrong = await rig.call("guess")
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, f'Bearer error="invalid_token", {where}')


async def test_paths_that_others_have_are_not_found_and_methods_are_named(rig: OAuthRig) -> None:
    for path in ("/register", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/mcp"):
        assert (await rig.browser.get(path)).status_code == 404
    for path, allowed in (("/token", "POST"), ("/revoke", "POST"), ("/authorize", "GET, POST")):
        answer = await rig.browser.delete(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert (await rig.browser.post("/.well-known/oauth-protected-resource")).status_code == 405


async def test_a_client_connects_with_state_and_issuer_unchanged_and_calls(rig: OAuthRig) -> None:
    answer = await rig.decide(await rig.authorize())
    assert landed(answer).keys() == {"code", "state", "iss"}
    assert (landed(answer)["state"], landed(answer)["iss"]) == (STATE, ISSUER)
    assert urlsplit(answer.headers["location"])._replace(query="").geturl() == REDIRECT
    assert answer.headers["referrer-policy"] == "no-referrer"
    exchanged = await rig.exchange(landed(answer)["code"])
    assert (exchanged.headers["cache-control"], exchanged.headers["pragma"]) == ("no-store", "no-cache")
    tokens = exchanged.json()
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3600, "read")
    (grant,) = rig.grants()
    assert (await rig.call(tokens["access_token"])).json() == {
        "client": f"grant {grant} of app.example",
        "scope": "read",
    }


async def test_state_is_returned_byte_for_byte_and_a_redirect_keeps_its_query(rig: OAuthRig) -> None:
    redirect = f"{REDIRECT}?kept=1"
    query = f"client_id={CLIENT}&redirect_uri={redirect.replace('?', '%3F')}&state=%ff%00+%22&response_type=no"
    answer = await rig.browser.get(f"/authorize?{query}")
    assert answer.headers["location"].startswith(f"{redirect}&error=unsupported_response_type&")
    assert "&state=%FF%00%20%22&iss=https%3A%2F%2Ftrader.example" in answer.headers["location"]


async def test_without_state_none_is_returned_and_the_slash_that_some_add_is_no_other_resource(rig: OAuthRig) -> None:
    code = await rig.decide(await rig.authorize(state=None, resource=f"{RESOURCE}/"))
    assert landed(code).keys() == {"code", "iss"}
    assert outcome(await rig.exchange(landed(code)["code"], resource=f"{RESOURCE}/")) == "200"


@pytest.mark.parametrize(
    ("token", "asked", "chosen", "granted"),
    [
        (READS, "read write", "read", "read"),
        (WRITES, "read write", "read", "read"),
        (WRITES, "read write", "write", "read write"),
        (WRITES, "write", "write", "read write"),
        (WRITES, None, "write", "read write"),
        (WRITES, "read offline_access", "read", "read"),
        (WRITES, "openid", "read", "read"),
    ],
)
async def test_the_owner_chooses_of_what_is_asked_for(
    rig: OAuthRig, token: str, asked: str | None, chosen: str, granted: str
) -> None:
    tokens = await rig.connect(token=token, chosen=chosen, scope=asked)
    assert tokens["scope"] == granted
    assert (await rig.call(tokens["access_token"])).json()["scope"] == ("write" if "write" in granted else "read")


async def test_reading_is_what_is_chosen_unless_the_owner_chooses_otherwise(rig: OAuthRig) -> None:
    page = await rig.authorize()
    assert 'value="read" checked' in page.text
    answer = await rig.decide(page, token=WRITES, scope=None)
    assert (await rig.exchange(landed(answer)["code"])).json()["scope"] == "read"


async def test_a_refresh_token_gives_another_and_may_ask_for_less(rig: OAuthRig) -> None:
    first = await rig.connect(token=WRITES, chosen="write")
    second = (await rig.refresh(first["refresh_token"], scope="read")).json()
    third = (await rig.refresh(second["refresh_token"])).json()
    assert [tokens["scope"] for tokens in (first, second, third)] == ["read write", "read", "read write"]
    assert len({tokens["refresh_token"] for tokens in (first, second, third)}) == 3
    for tokens, scope in ((first, "write"), (second, "read"), (third, "write")):
        assert (await rig.call(tokens["access_token"])).json()["scope"] == scope
    rig.now += 29 * 24 * 3600
    assert outcome(await rig.refresh(third["refresh_token"])) == "200"


@pytest.mark.parametrize("given_back", ["refresh_token", "access_token"])
async def test_what_is_given_back_ends_all_of_its_grant_and_nothing_else(rig: OAuthRig, given_back: str) -> None:
    one, other = await rig.connect(), await rig.connect()
    assert outcome(await rig.revoke(one[given_back])) == "200"
    assert (await rig.call(one["access_token"])).status_code == 401
    assert outcome(await rig.refresh(one["refresh_token"])) == "400 invalid_grant"
    assert (await rig.call(other["access_token"])).status_code == 200
    assert outcome(await rig.revoke("nonsense")) == "200"
    assert outcome(await rig.revoke(one[given_back], token=None)) == "400 invalid_request"


async def test_a_restart_forgets_nothing_and_bearer_tokens_go_on_as_they_are(rig: OAuthRig) -> None:
    tokens = await rig.connect()
    later = OAuthRig(rig.home)
    assert (await later.call(tokens["access_token"])).json()["scope"] == "read"
    assert outcome(await later.refresh(tokens["refresh_token"])) == "200"
    assert (await later.call(WRITES)).json() == {"client": "token laptop", "scope": "write"}


async def test_an_access_token_is_good_for_the_endpoint_alone(rig: OAuthRig) -> None:
    tokens = await rig.connect()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await rig.browser.get("/health", headers=headers)).json() == {"status": "alive"}


async def test_a_client_that_sends_a_secret_in_a_header_is_told_how_not_to(rig: OAuthRig) -> None:
    answer = await rig.post("/token", {"grant_type": "refresh_token", "client_id": CLIENT}, Authorization="Basic eDp5")
    assert (outcome(answer), answer.headers["www-authenticate"]) == ("401 invalid_client", "Basic")
    json = await rig.browser.post("/token", content=b"{}", headers={"Content-Type": "application/json"})
    assert (outcome(json), json.headers["cache-control"]) == ("400 invalid_request", "no-store")


async def test_the_page_says_who_asks_and_runs_nothing(rig: OAuthRig) -> None:
    page = await rig.authorize(client_id=CLAUDE, redirect_uri=CALLBACK)
    for text in ("Let claude.ai use this server?", CLAUDE, CALLBACK, "trader.example"):
        assert text in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "; base-uri 'none'; frame-ancestors 'none'" in policy
    assert "form-action" not in policy, "Chrome would hold the program's own redirects to it, such as to claude://"
    assert page.text.count("<form ") == page.text.count('<form method="post" action="/authorize">') == 1
    assert page.headers["cache-control"] == "no-store"
    cookie = page.headers["set-cookie"]
    assert cookie.startswith("__Host-trader_consent=")
    assert cookie.endswith("Max-Age=600; Path=/; SameSite=Strict; HttpOnly; Secure")


async def test_a_redirect_to_this_computer_is_said_to_be_one(home: Path) -> None:
    redirect = "http://127.0.0.1:3000/callback"
    rig = OAuthRig(home, clients={CLIENT: (redirect,)})
    page = await rig.authorize(redirect_uri=redirect)
    assert "a program on this computer (127.0.0.1)" in page.text


async def test_a_browser_in_which_the_token_was_right_has_attempts_of_its_own(rig: OAuthRig) -> None:
    first = await rig.decide(await rig.authorize())
    known = first.headers.get_list("set-cookie")[-1]
    assert known.startswith("trader_browser=")
    assert "; Path=/; SameSite=Strict; HttpOnly; Secure" in known, "it counts where one signs in, too"
    stranger = OAuthRig(rig.home, at=rig)
    page = await stranger.authorize()
    assert (await stranger.guesses(page, 11))[-1] == 429
    assert outcome(await rig.decide(await rig.authorize())) == "303 code"


async def test_a_person_is_told_what_to_do_about_a_request_that_leads_nowhere(rig: OAuthRig) -> None:
    for changed, remedy in (
        ({"client_id": "https://evil.example/client"}, "TRADER_OAUTH_CLIENTS"),
        ({"redirect_uri": "https://evil.example/"}, "TRADER_OAUTH_CLIENTS"),
        ({"client_id": [CLIENT, CLIENT]}, "Connect again from the program."),
        ({"state": "s" * 10_000}, "Connect again from the program."),
        ({"x": ["1"] * 60}, "Connect again from the program."),
    ):
        page = await rig.authorize(**changed)
        assert (outcome(page), remedy in page.text, page.text.count("TRADER_OAUTH_CLIENTS") < 2) == (
            "400 page", True, True
        )  # fmt: skip
        assert ("TRADER_OAUTH_CLIENTS" in page.text) == (remedy == "TRADER_OAUTH_CLIENTS")


async def test_the_page_and_the_log_have_all_that_an_owner_needs_to_add_a_program(
    rig: OAuthRig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_server.oauth")
    client, redirect = (f"https://chatgpt.com/{kind}/oauth/{'x' * 200}" for kind in ("id", "connector"))
    page = await rig.authorize(client_id=client, redirect_uri=redirect)
    assert outcome(page) == "400 page"
    for text in (page.text, caplog.text):
        assert client in text
        assert redirect in text


@pytest.mark.parametrize("letter", ["s", '"', "\0"], ids=["plain", "quotes", "zeros"])
async def test_a_state_that_is_taken_comes_back_and_a_longer_one_is_refused_before_anybody_is_asked(
    rig: OAuthRig, letter: str
) -> None:
    as_json = len(json.dumps(letter)) - 2
    state = letter * min(7_000 // len(quote(letter)), 7_998 // as_json)
    answer = await rig.decide(await rig.authorize(state=state))
    assert landed(answer)["state"] == state
    assert outcome(await rig.authorize(state=letter * (8_000 // as_json + 1))) == "400 page"


async def test_every_step_is_one_line_of_the_log_without_a_secret(
    rig: OAuthRig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_server.oauth")
    await rig.authorize(client_id="https://evil.example/\nclient")
    await rig.authorize(resource=None)
    await rig.decide(await rig.authorize(), answer="deny")
    page = await rig.authorize()
    await rig.decide(page, token="guess")
    code = landed(await rig.decide(page))["code"]
    tokens = (await rig.exchange(code)).json()
    for _ in range(2):
        await rig.call(tokens["access_token"])
    tokens = (await rig.refresh(tokens["refresh_token"])).json()
    await rig.exchange(code)
    (grant,) = rig.grants()
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "A request to connect was refused: This server does not know the client 'https://evil.example/\\nclient', "
        f"which wants to be answered at {REDIRECT!r}.",
        f"app.example was sent back with invalid_target: resource must be {RESOURCE}.",
        "app.example asks for the scope read write; the owner is asked.",
        "The owner lets app.example have no access.",
        "app.example asks for the scope read write; the owner is asked.",
        "The owner's answer for app.example did not count: The server does not know this token.",
        f"Token phone lets app.example have the scope read: grant {grant}.",
        f"app.example connected with the scope read: grant {grant}.",
        f"First request: grant {grant} of app.example.",
        f"app.example renewed its access with the scope read: grant {grant}.",
        f"A request to /token was refused: invalid_grant, the code was used before, so grant {grant} has ended.",
    ]
    for secret in (READS, WRITES, code, *(str(tokens[name]) for name in ("access_token", "refresh_token"))):
        assert secret not in caplog.text


async def test_it_is_off_without_a_public_address(home: Path) -> None:
    settings = ServerSettings(home=home, tokens=TOKENS, oauth_clients=CLIENTS)
    assert oauth_parts(settings, tokens_of(settings), lambda: 0) is None


async def test_what_was_granted_while_the_clock_was_years_ahead_is_not_good_for_years(rig: OAuthRig) -> None:
    ahead_s = 10 * 365 * 24 * 3600
    tokens = await rig.connect()
    rig.now -= 3600
    assert (await rig.call(tokens["access_token"])).status_code == 200, "a clock that is set back a little ends nothing"
    rig.now += ahead_s
    early = await rig.connect()
    rig.now -= ahead_s
    assert (await rig.call(early["access_token"])).status_code == 401
    assert outcome(await rig.refresh(early["refresh_token"])) == "400 invalid_grant"


def test_it_needs_a_token(home: Path) -> None:
    settings = ServerSettings(home=home, public_url=ISSUER)
    with pytest.raises(Misconfigured, match=r"there is no token .* Set TRADER_TOKEN"):
        oauth_parts(settings, tokens_of(settings), lambda: 0)


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://trader.example", "https://trader.example"),
        ("https://Trader.Example:443/", "https://trader.example"),
        ("https://trader.example:8443", "https://trader.example:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_the_public_address_is_a_scheme_and_a_host(monkeypatch: pytest.MonkeyPatch, url: str, taken: str) -> None:
    monkeypatch.setenv("TRADER_PUBLIC_URL", url)
    assert ServerSettings.load().public_url == taken


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PUBLIC_URL", "https://trader.example/mcp", "scheme and host alone.*https://trader.example/mcp"),
        ("PUBLIC_URL", "https://trader.example?a=1", "scheme and host alone"),
        ("PUBLIC_URL", "https://trader.example#a", "scheme and host alone"),
        ("PUBLIC_URL", "http://trader.example", "[Uu]se https"),
        ("PUBLIC_URL", "trader.example", "not an address"),
        ("PUBLIC_URL", "https://me@trader.example", "not an address"),
        ("PUBLIC_URL", "https://trader.example:99999", "not an address"),
        ("OAUTH_CLIENTS", "x", "Write it as JSON"),
        ("OAUTH_CLIENTS", '{"http://app.example/client": ["https://app.example/"]}', "https address of its document"),
        ("OAUTH_CLIENTS", '{"https://app.example": ["https://app.example/"]}', "https address of its document"),
        ("OAUTH_CLIENTS", '{"my app": ["https://app.example/"]}', "without spaces"),
        ("OAUTH_CLIENTS", '{"app": "http://app.example/"}', "[Uu]se https"),
        ("OAUTH_CLIENTS", '{"app": 1}', "does not fit"),
        ("OAUTH_CLIENTS", "[]", "does not fit"),
        ("OAUTH_CLIENTS", '{"app": ["http://app.example/"]}', "[Uu]se https"),
        ("OAUTH_CLIENTS", '{"app": ["javascript:alert(1)"]}', "not an address"),
        ("OAUTH_CLIENTS", '{"app": ["https://app.example/#a"]}', "without '#'"),
        ("OAUTH_CLIENTS", '{"app": ["https://app.example/ a"]}', "without '#'"),
        ("OAUTH_CLIENTS", '{"app": ["https://app.example;x/"]}', "not an address"),
        ("OAUTH_CLIENTS", '{"app": ["https://me@app.example/"]}', "not an address"),
    ],
)
def test_a_wrong_setting_says_what_it_should_be(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"TRADER_{variable}", value)
    with pytest.raises(Misconfigured, match=rf"TRADER_{variable}.*{words}"):
        ServerSettings.load()


def test_a_client_with_one_address_needs_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADER_OAUTH_CLIENTS", json.dumps({CLIENT: REDIRECT, "app": [REDIRECT]}))
    assert ServerSettings.load().oauth_clients == {CLIENT: (REDIRECT,), "app": (REDIRECT,)}


async def test_an_empty_list_withdraws_a_client_and_a_name_is_one_too(home: Path) -> None:
    rig = OAuthRig(home, clients={CLAUDE: (), "chat": (REDIRECT,)})
    assert outcome(await rig.authorize(client_id=CLAUDE, redirect_uri=CALLBACK)) == "400 page"
    assert "Let chat use this server?" in (await rig.authorize(client_id="chat")).text


async def test_the_first_form_of_consent_still_counts_with_other_cookies_beside_its_own(rig: OAuthRig) -> None:
    page = await rig.authorize()
    rig.browser.cookies.set("trader_consent", "another")
    assert outcome(await rig.decide(page, OWN)) == "303 code"
