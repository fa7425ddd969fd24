"""The table of attacks on OAuth: what is tried, and what comes of it. After each the owner connects as before."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from mcp_server.http.attempts import EACH_PER_MINUTE
from mcp_server.storage.setting_types import TokenEntry
from tests.http.conftest import READS, TOKENS, WRITES
from tests.http.oauth_rig import (
    CHALLENGE,
    CLIENT,
    ISSUER,
    OTHER,
    OTHER_REDIRECT,
    OWN,
    REDIRECT,
    RESOURCE,
    STATE,
    VERIFIER,
    OAuthRig,
    Sent,
    hidden,
    landed,
    outcome,
)  # fmt: skip

Attack = Callable[[OAuthRig], Awaitable[httpx2.Response]]
DOCUMENT = Path(__file__).parents[2] / "docs" / "explanation" / "hostile-requests.md"
EVIL = "https://evil.example/callback"


def asking(**changed: Sent) -> Attack:
    return lambda rig: rig.authorize(**changed)


def exchanging(**changed: Sent) -> Attack:
    async def attack(rig: OAuthRig) -> httpx2.Response:
        return await rig.exchange(await rig.code(), **changed)

    return attack


def refreshing(**changed: Sent) -> Attack:
    async def attack(rig: OAuthRig) -> httpx2.Response:
        return await rig.refresh((await rig.connect())["refresh_token"], **changed)

    return attack


def consenting(headers: dict[str, str] | None = None, **changed: Sent) -> Attack:
    async def attack(rig: OAuthRig) -> httpx2.Response:
        return await rig.decide(await rig.authorize(), OWN if headers is None else headers, **changed)

    return attack


async def _code_twice(rig: OAuthRig) -> httpx2.Response:
    code = await rig.code()
    tokens = (await rig.exchange(code)).json()
    again = await rig.exchange(code)
    assert (await rig.call(tokens["access_token"])).status_code == 401
    assert outcome(await rig.refresh(tokens["refresh_token"])) == "400 invalid_grant"
    return again


async def _code_later(rig: OAuthRig) -> httpx2.Response:
    code = await rig.code()
    rig.now += 60
    return await rig.exchange(code)


async def _refresh_twice(rig: OAuthRig) -> httpx2.Response:
    first = await rig.connect()
    second = (await rig.refresh(first["refresh_token"])).json()
    again = await rig.refresh(first["refresh_token"])
    for tokens in (first, second):
        assert (await rig.call(tokens["access_token"])).status_code == 401
    assert outcome(await rig.refresh(second["refresh_token"])) == "400 invalid_grant"
    return again


async def _refresh_later(rig: OAuthRig) -> httpx2.Response:
    tokens = await rig.connect()
    rig.now += 30 * 24 * 3600
    return await rig.refresh(tokens["refresh_token"])


async def _access_later(rig: OAuthRig) -> httpx2.Response:
    tokens = await rig.connect()
    rig.now += 3600
    return await rig.call(tokens["access_token"])


async def _of_another_server(rig: OAuthRig) -> httpx2.Response:
    other = OAuthRig(rig.home, url="https://other-trader.example")
    tokens = await rig.connect()
    assert outcome(await other.refresh(tokens["refresh_token"], resource=None)) == "400 invalid_grant"
    assert outcome(await other.exchange(await rig.code(), resource=None)) == "400 invalid_grant"
    return await other.call(tokens["access_token"])


async def _of_another_home(rig: OAuthRig) -> httpx2.Response:
    other = rig.home / "other"
    other.mkdir()
    there = OAuthRig(other)
    assert outcome(await rig.exchange(await there.code())) == "400 invalid_grant"
    return await rig.call((await there.connect())["access_token"])


def _as_another_kind(kind: str) -> Attack:
    """Send each ticket in the place of the others, also under the name of their kind."""

    async def attack(rig: OAuthRig) -> httpx2.Response:
        tickets = {**await rig.connect(), "code": await rig.code()}
        wrong = [str(tickets[name]) for name in ("access_token", "refresh_token", "code") if name != kind]
        wrong += [f"trader-{kind.split('_', maxsplit=1)[0]}.{ticket.partition('.')[2]}" for ticket in wrong]
        sends: dict[str, Callable[[str], Awaitable[httpx2.Response]]]
        sends = {"access_token": rig.call, "refresh_token": rig.refresh, "code": rig.exchange}
        answers = [await sends[kind](ticket) for ticket in wrong]
        assert len({outcome(answer) for answer in answers}) == 1
        assert (await rig.call(tickets["access_token"])).status_code == 200
        return answers[-1]

    return attack


async def _token_as_ticket(rig: OAuthRig) -> httpx2.Response:
    assert outcome(await rig.exchange(WRITES)) == "400 invalid_grant"
    return await rig.refresh(WRITES)


async def _dropped_token(rig: OAuthRig) -> httpx2.Response:
    tokens, code = await rig.connect(), await rig.code()
    replaced = {**TOKENS, "phone": TokenEntry(token=SecretStr("another-token-that-reads"))}
    later = OAuthRig(rig.home, tokens=replaced)
    assert outcome(await later.exchange(code)) == "400 invalid_grant"
    assert outcome(await later.refresh(tokens["refresh_token"])) == "400 invalid_grant"
    return await later.call(tokens["access_token"])


async def _withdrawn_client(rig: OAuthRig) -> httpx2.Response:
    tokens = await rig.connect()
    later = OAuthRig(rig.home, clients={})
    assert outcome(await later.refresh(tokens["refresh_token"])) == "401 invalid_client"
    return await later.call(tokens["access_token"])


async def _lowered_token(rig: OAuthRig) -> httpx2.Response:
    tokens = await rig.connect(token=WRITES, chosen="write")
    lowered = {"laptop": TokenEntry(token=SecretStr(WRITES), scope="read")}
    later = OAuthRig(rig.home, tokens=lowered)
    assert (await later.refresh(tokens["refresh_token"])).json()["scope"] == "read"
    answer = await later.call(tokens["access_token"])
    assert answer.json()["scope"] == "read"
    return answer


async def _scope_not_asked_for(rig: OAuthRig) -> httpx2.Response:
    page = await rig.authorize(scope="read")
    assert 'value="write"' not in page.text
    answer = await rig.decide(page, token=WRITES, scope="write")
    exchanged = await rig.exchange(landed(answer)["code"], scope="read write")
    assert exchanged.json()["scope"] == "read"
    return exchanged


async def _form_of_another_browser(rig: OAuthRig) -> httpx2.Response:
    page = await rig.authorize()
    rig.browser.cookies.clear()
    return await rig.decide(page)


async def _form_with_another_cookie(rig: OAuthRig) -> httpx2.Response:
    page = await rig.authorize()
    await rig.authorize()
    return await rig.decide(page)


async def _form_with_two_cookies(rig: OAuthRig) -> httpx2.Response:
    page = await rig.authorize()
    cookie = "; ".join(f"{name}={value}" for name, value in rig.browser.cookies.items())
    return await rig.decide(page, OWN | {"Cookie": f"{cookie}; __Host-trader_consent=evil"})


async def _form_later(rig: OAuthRig) -> httpx2.Response:
    page = await rig.authorize()
    rig.now += 600
    return await rig.decide(page)


async def _changed_form(rig: OAuthRig) -> httpx2.Response:
    page = await rig.authorize()
    sealed = hidden(page)
    for at in range(0, len(sealed), 7):
        changed = f"{sealed[:at]}{'B' if sealed[at] == 'A' else 'A'}{sealed[at + 1 :]}"
        assert outcome(await rig.decide(page, request=changed)) == "400 page", at
    return await rig.decide(page, request="é")


async def _a_thousand_guesses(rig: OAuthRig) -> httpx2.Response:
    rig = OAuthRig(rig.home, page=True)
    page = await rig.authorize()
    statuses = await rig.guesses(page, 1_000)
    assert statuses == [403] * EACH_PER_MINUTE + [429] * (1_000 - EACH_PER_MINUTE)
    right = await rig.decide(page)
    assert (right.status_code, right.headers["retry-after"]) == (429, "6")
    login = await rig.browser.post("/login", content=f"token={READS}", headers=OWN | {"Content-Type": FORM_TYPE})
    assert login.headers["location"] == "/?refused=wait&seconds=6"
    rig.now += 6
    return await rig.decide(page)


async def _tampered(rig: OAuthRig) -> httpx2.Response:
    """Change a byte anywhere in a ticket, its last and its first included."""
    tokens, code = await rig.connect(), await rig.code()
    for at in range(len(code)):
        for ticket, send in ((code, rig.exchange), (tokens["access_token"], rig.call)):
            if at < len(ticket):
                changed = f"{ticket[:at]}{'B' if ticket[at] == 'A' else 'A'}{ticket[at + 1 :]}"
                assert (await send(changed)).status_code in (400, 401), at
    assert (await rig.call(tokens["access_token"])).status_code == 200
    return await rig.exchange(code)


async def _issuers_mixed_up(rig: OAuthRig) -> httpx2.Response:
    answer = await rig.decide(await rig.authorize(iss="https://evil.example"))
    assert answer.headers["location"].count("iss=") == 1
    return answer


async def _framed(rig: OAuthRig) -> httpx2.Response:
    page = await rig.authorize()
    assert page.headers["x-frame-options"] == "DENY"
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert "<script" not in page.text
    return page


async def _with_html(rig: OAuthRig) -> httpx2.Response:
    page = await rig.authorize(client_id="https://a.example/<script>alert(1)</script>\u202e")
    assert "<script" not in page.text
    assert "\u202e" not in page.text
    return page


async def _revoked_by_another(rig: OAuthRig) -> httpx2.Response:
    tokens = await rig.connect()
    assert outcome(await rig.revoke(tokens["refresh_token"], client_id=OTHER)) == "200"
    return await rig.call(tokens["access_token"])


FORM_TYPE = "application/x-www-form-urlencoded"
ATTACKS: list[tuple[str, Attack, str]] = [
    ("a client that is not on the list", asking(client_id="https://evil.example/client.json"), "400 page"),
    ("no client", asking(client_id=None), "400 page"),
    ("two clients", asking(client_id=[CLIENT, "https://evil.example/client.json"]), "400 page"),
    ("two clients, the right one last", asking(client_id=["https://evil.example/client.json", CLIENT]), "400 page"),
    ("a client's address with a slash", asking(client_id=f"{CLIENT}/"), "400 page"),
    ("a redirect to somebody else", asking(redirect_uri=EVIL), "400 page"),
    ("no redirect", asking(redirect_uri=None), "400 page"),
    ("two redirects", asking(redirect_uri=[REDIRECT, EVIL]), "400 page"),
    ("two redirects, the right one last", asking(redirect_uri=[EVIL, REDIRECT]), "400 page"),
    ("the redirect of another client", asking(redirect_uri=OTHER_REDIRECT), "400 page"),
    ("a redirect below the client's own", asking(redirect_uri=f"{REDIRECT}/more"), "400 page"),
    ("a redirect with another query", asking(redirect_uri=f"{REDIRECT}?next={EVIL}"), "400 page"),
    ("a redirect with a user", asking(redirect_uri="https://app.example@evil.example/callback"), "400 page"),
    ("a redirect in other letters", asking(redirect_uri=REDIRECT.upper()), "400 page"),
    ("a wrong request of a client that is not on the list", asking(client_id="x", response_type="x"), "400 page"),
    ("a name with HTML", _with_html, "400 page"),
    ("a token instead of a code", asking(response_type="token"), "303 unsupported_response_type"),
    ("no kind of answer", asking(response_type=None), "303 invalid_request"),
    ("no PKCE", asking(code_challenge=None, code_challenge_method=None), "303 invalid_request"),
    ("plain PKCE", asking(code_challenge_method="plain"), "303 invalid_request"),
    ("PKCE without a method, which would be plain", asking(code_challenge_method=None), "303 invalid_request"),
    ("an empty challenge", asking(code_challenge=""), "303 invalid_request"),
    ("a challenge that is no hash", asking(code_challenge="a" * 42), "303 invalid_request"),
    ("two challenges", asking(code_challenge=[CHALLENGE, "a" * 43]), "303 invalid_request"),
    ("two states", asking(state=["a", "b"]), "303 invalid_request"),
    ("no resource", asking(resource=None), "303 invalid_target"),
    ("another resource", asking(resource="https://evil.example/mcp"), "303 invalid_target"),
    ("a resource that begins as ours", asking(resource=f"{RESOURCE}/x"), "303 invalid_target"),
    ("the server without its endpoint as resource", asking(resource=ISSUER), "303 invalid_target"),
    ("two resources", asking(resource=[RESOURCE, "https://evil.example/mcp"]), "303 invalid_target"),
    ("two resources, ours last", asking(resource=["https://evil.example/mcp", RESOURCE]), "303 invalid_target"),
    ("10,000 characters of state", asking(state="x" * 10_000), "400 page"),
    ("100 parameters", asking(x=["1"] * 100), "400 page"),
    ("an issuer of one's own", _issuers_mixed_up, "303 code"),
    ("framing", _framed, "200 page"),
    ("consent from another site", consenting({"Sec-Fetch-Site": "cross-site", "Origin": ISSUER}), "403 page"),
    ("consent from a sibling site", consenting({"Sec-Fetch-Site": "same-site"}), "403 page"),
    ("consent from another site's Origin", consenting({"Origin": "https://evil.example"}), "403"),
    ("consent without Origin and `Sec-Fetch-Site`", consenting({}), "403 page"),
    ("consent from a page that is elsewhere", consenting({"Origin": "http://127.0.0.1:1"}), "403"),
    ("consent in another browser", _form_of_another_browser, "400 page"),
    ("consent to an older page", _form_with_another_cookie, "400 page"),
    ("consent with a cookie too many", _form_with_two_cookies, "400 page"),
    ("consent after ten minutes", _form_later, "400 page"),
    ("consent to a changed request", _changed_form, "400 page"),
    ("consent with two answers", consenting(answer=["deny", "allow"]), "400 page"),
    ("consent with two answers and one field less", consenting(answer=["deny", "allow"], scope=None), "400 page"),
    ("consent with one more field", consenting(redirect_uri=EVIL), "400 page"),
    ("consent without a request", consenting(request=None), "400 page"),
    ("consent with 20 KB", consenting(token="x" * 20_000), "413"),
    ("consent with a wrong token", consenting(token="guess"), "403 page"),
    ("consent without a token", consenting(token=None), "403 page"),
    ("to write with a token that reads", consenting(scope="write"), "403 page"),
    ("a thousand guesses", _a_thousand_guesses, "303 code"),
    ("no consent", consenting(answer="deny", token=None), "303 access_denied"),
    ("to write where the client asked to read", _scope_not_asked_for, "200"),
    (
        "a wrong verifier",
        exchanging(code_verifier="another-verifier-that-has-more-than-43-letters"),
        "400 invalid_grant",
    ),
    ("the challenge as verifier", exchanging(code_verifier=CHALLENGE), "400 invalid_grant"),
    ("a short verifier", exchanging(code_verifier="short"), "400 invalid_grant"),
    ("no verifier", exchanging(code_verifier=None), "400 invalid_request"),
    ("two verifiers", exchanging(code_verifier=[VERIFIER, VERIFIER]), "400 invalid_request"),
    ("a code twice", _code_twice, "400 invalid_grant"),
    ("a code after 60 seconds", _code_later, "400 invalid_grant"),
    ("the code of another client", exchanging(client_id=OTHER), "400 invalid_grant"),
    ("a code with a client that is not on the list", exchanging(client_id="evil"), "401 invalid_client"),
    ("a code without a client", exchanging(client_id=None), "400 invalid_request"),
    ("a code with a client's secret", exchanging(client_secret="s"), "401 invalid_client"),
    ("a code with another redirect", exchanging(redirect_uri=f"{REDIRECT}?kept=1"), "400 invalid_grant"),
    ("a code for another resource", exchanging(resource="https://evil.example/mcp"), "400 invalid_target"),
    ("a code in another grant", exchanging(grant_type="client_credentials"), "400 unsupported_grant_type"),
    ("a code in no grant", exchanging(grant_type=None), "400 invalid_request"),
    ("no code", exchanging(code=None), "400 invalid_request"),
    ("a code of 20 KB", exchanging(code="x" * 20_000), "400 invalid_request"),
    ("a code of 10 KB", exchanging(code=f"trader-code.{'x' * 10_000}.{'0' * 64}"), "400 invalid_grant"),
    ("30 fields", exchanging(x=["1"] * 30), "400 invalid_request"),
    ("a token that begins as a ticket, with bytes of no alphabet", lambda rig: rig.call("trader-access.é.0"), "401"),
    ("a code as access token", _as_another_kind("access_token"), "401"),
    ("an access token as refresh token", _as_another_kind("refresh_token"), "400 invalid_grant"),
    ("a refresh token as code", _as_another_kind("code"), "400 invalid_grant"),
    ("the owner's token as ticket", _token_as_ticket, "400 invalid_grant"),
    ("a changed byte anywhere", _tampered, "200"),
    ("a refresh token twice", _refresh_twice, "400 invalid_grant"),
    ("a refresh token after 30 days", _refresh_later, "400 invalid_grant"),
    ("the refresh token of another client", refreshing(client_id=OTHER), "400 invalid_grant"),
    ("a refresh token for another resource", refreshing(resource="https://evil.example/mcp"), "400 invalid_target"),
    ("to write with a refresh token that reads", refreshing(scope="read write"), "400 invalid_scope"),
    ("two refresh tokens", refreshing(refresh_token=["a", "b"]), "400 invalid_request"),
    ("no refresh token", refreshing(refresh_token=None), "400 invalid_request"),
    ("an access token after an hour", _access_later, "401"),
    ("tickets of another server of the same home", _of_another_server, "401"),
    ("tickets of another home with the same tokens", _of_another_home, "401"),
    ("tickets of a token that was replaced", _dropped_token, "401"),
    ("tickets of a token that may only read now", _lowered_token, "200"),
    ("tickets of a client that was taken off the list", _withdrawn_client, "401"),
    ("to end another client's access", _revoked_by_another, "200"),
]


MANY = ("a thousand guesses",)
"""These are `long`: in `make test`, test_attempts.py makes a hundred."""


@pytest.mark.parametrize(
    ("attack", "expected"),
    [pytest.param(*row, id=what, marks=[pytest.mark.long] * (what in MANY)) for what, *row in ATTACKS],
)
async def test_an_attack_comes_to_nothing(home: Path, attack: Attack, expected: str) -> None:
    rig = OAuthRig(home)
    answer = await attack(rig)
    assert outcome(answer) == expected, answer.text
    assert not any(token in f"{answer.text} {answer.headers}" for token in (READS, WRITES))
    if answer.status_code == 303:
        assert landed(answer)["iss"] == ISSUER
        assert landed(answer).get("state", STATE) == STATE
    rig.now += 60
    rig.browser.cookies.clear()
    tokens = await rig.connect()
    assert (await rig.call(tokens["access_token"])).json()["scope"] == "read"


def test_the_page_about_hostile_requests_has_the_table_of_attacks() -> None:
    page = DOCUMENT.read_text("utf-8")
    missing = [row for row in (f"| {what} | {told} |" for what, _, told in ATTACKS) if row not in page]
    assert not missing, "\n".join(missing)
    assert f"Each of these {len(ATTACKS)} attacks" in page
