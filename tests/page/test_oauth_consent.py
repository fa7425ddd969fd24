"""The SDK's own client connects by OAuth in a real browser and calls tools; the page of consent, as people see it."""

import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any, Literal
from urllib.parse import parse_qs, urlencode

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route

from mcp_server.app import tool_files
from mcp_server.settings import ServerSettings
from tests.http.conftest import LIMIT_S, READS, TOKENS, WRITES, Guarded, guarded
from tests.http.oauth_rig import CHALLENGE, hidden
from tests.page.opening import SIZES, THEMES
from tests.rigs.browser import Browser
from tests.rigs.loopback import served
from tests.rigs.tls_proxy import behind_tls
from tests.tools.conftest import answer_of

CLIENT = "https://client.example/oauth/client.json"
"""Nobody answers there: a client's document is never fetched."""

WRITING = {name for name, file in tool_files().items() if not file.annotations.read_only_hint}


@dataclass
class Landing:
    """Where the browser lands with the answer: a program on another port, and what it was sent to it."""

    url: str = ""
    queries: list[dict[str, list[str]]] = field(default_factory=list)

    async def answer(self, request: Request) -> PlainTextResponse:
        self.queries.append(parse_qs(request.url.query))
        return PlainTextResponse("You can close this page.")

    async def pass_on(self, request: Request) -> RedirectResponse:
        """Send the browser to another origin at once, as claude.ai does to open its app."""
        return RedirectResponse(f"{self.url.replace('127.0.0.1', 'localhost')}?{request.url.query}", 307)


@pytest.fixture(scope="module")
def landing() -> Iterator[Landing]:
    landing = Landing()
    with served(Starlette(routes=[Route("/callback", landing.answer), Route("/passes-on", landing.pass_on)])) as url:
        landing.url = f"{url}/callback"
        yield landing


@pytest.fixture(scope="module")
def server(landing: Landing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    listener = socket.create_server(("127.0.0.1", 0))
    settings = ServerSettings(
        home=tmp_path_factory.mktemp("home"),
        exchange="simulated",
        tokens=TOKENS,
        public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        oauth_clients={CLIENT: (landing.url, passing_on(landing))},
    )
    with guarded(settings, listener=listener) as up:
        yield up


class InMemory:
    """Keeps what the SDK's client learns."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class SdkClient:
    """The SDK's client in a thread of its own: it tells where to send the browser, and is told where that landed."""

    def __init__(self, server: Guarded, landing: Landing, mode: Literal["auto", "legacy"] = "auto") -> None:
        self._server = server
        self._landing = landing
        self._mode = mode
        self.storage = InMemory()
        self.asks: Queue[str] = Queue()
        self._answers: Queue[AuthorizationCodeResult] = Queue()

    def run(self, work: Callable[[Client], Awaitable[Any]], owners: list[Callable[[str], dict[str, list[str]]]]) -> Any:
        """Return what work with a connected client returns; each owner answers one request of the browser."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(anyio.run, self._work, work)
            for owner in owners:
                fields = owner(self.asks.get(timeout=LIMIT_S))
                self._answers.put(AuthorizationCodeResult(**{name: values[0] for name, values in fields.items()}))
            return future.result(LIMIT_S)

    async def _work(self, work: Callable[[Client], Awaitable[Any]]) -> Any:
        async def redirect(url: str) -> None:
            self.asks.put(url)

        async def landed() -> AuthorizationCodeResult:
            return await anyio.to_thread.run_sync(lambda: self._answers.get(timeout=LIMIT_S))

        auth = OAuthClientProvider(
            self._server.url,
            OAuthClientMetadata(redirect_uris=[AnyUrl(self._landing.url)], client_name="Test"),
            self.storage,
            redirect,
            landed,
            client_metadata_url=CLIENT,
        )
        async with (
            httpx2.AsyncClient(auth=auth, timeout=LIMIT_S, trust_env=False) as http,
            Client(streamable_http_client(self._server.url, http_client=http), mode=self._mode) as client,
        ):
            return await work(client)


def owner(
    chromium: Browser, landing: Landing, token: str, choice: str = "Read:"
) -> Callable[[str], dict[str, list[str]]]:
    """Return a person who answers the page by the keyboard, and what the browser then brings to the client."""

    def answer(url: str) -> dict[str, list[str]]:
        with chromium.open(url) as opened:
            opened.page.get_by_role("radio", name=choice).focus()
            opened.page.keyboard.press("Space")
            opened.page.keyboard.press("Tab")
            opened.page.keyboard.type(token)
            opened.page.keyboard.press("Enter")
            opened.page.wait_for_url(f"{landing.url}?**")
            assert opened.page.inner_text("body") == "You can close this page."
            assert opened.complaints == []
            assert not any(token in address for address in opened.requests)
        return landing.queries[-1]

    return answer


def by_form(landing: Landing, token: str, scope: str = "read") -> Callable[[str], dict[str, list[str]]]:
    """Return a person who answers the page as a browser would, without one."""

    def answer(url: str) -> dict[str, list[str]]:
        with httpx2.Client(trust_env=False, follow_redirects=True) as browser:
            page = browser.get(url)
            form = {"request": hidden(page), "token": token, "scope": scope, "answer": "allow"}
            origin = f"http://{page.url.netloc.decode()}"
            headers = {"Sec-Fetch-Site": "same-origin", "Origin": origin}
            assert browser.post(f"{origin}/authorize", data=form, headers=headers).text == "You can close this page."
        return landing.queries[-1]

    return answer


@pytest.mark.long
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_sdks_client_connects_in_a_browser_and_calls_a_tool(
    server: Guarded, landing: Landing, chromium: Browser, mode: Literal["auto", "legacy"],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """In `make test`, the next test has the same client connect."""
    caplog.set_level(logging.INFO, "mcp_server.oauth")

    async def work(client: Client) -> Any:
        assert {tool.name for tool in (await client.list_tools()).tools} == tool_files().keys() - WRITING
        return answer_of(await client.call_tool("get_price", {"symbol": "BTC/USDT"}))["exchange"]

    client = SdkClient(server, landing, mode)
    assert client.run(work, [owner(chromium, landing, READS)]) == "simulated"
    assert client.storage.client is not None
    assert client.storage.client.client_id == CLIENT
    assert client.storage.tokens is not None
    assert client.storage.tokens.scope == "read"
    first = [record.getMessage().partition(":")[0] for record in caplog.records if "First" in record.getMessage()]
    assert first == ["First request", "First call of a tool"]


def test_a_client_that_lacks_a_scope_asks_its_owner_again(server: Guarded, landing: Landing) -> None:
    """Its owner sends the form of the page; other tests answer that page in a browser."""
    owners = [by_form(landing, WRITES), by_form(landing, WRITES, "write")]
    assert SdkClient(server, landing).run(writing("auto"), owners) is True


@pytest.mark.long
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_in_a_browser_a_client_that_lacks_a_scope_asks_its_owner_again(
    server: Guarded, landing: Landing, chromium: Browser, mode: Literal["auto", "legacy"]
) -> None:
    owners = [owner(chromium, landing, WRITES), owner(chromium, landing, WRITES, "Read and write")]
    assert SdkClient(server, landing, mode).run(writing(f"{mode}-in-a-browser"), owners) is True


def writing(name: str) -> Callable[[Client], Awaitable[Any]]:
    """Return the work of a client that writes a strategy."""
    config = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1h", "rules": {"buy": "close > 1"}}

    async def work(client: Client) -> Any:
        arguments = {"strategy_name": f"by-oauth-{name}", "config": config}
        return answer_of(await client.call_tool("write_strategy", arguments))["written"]

    return work


@THEMES
@SIZES
def test_the_page_can_be_read_by_everybody(
    server: Guarded, landing: Landing, chromium: Browser, size: tuple[int, int], dark: bool
) -> None:
    url = consent_url(server, landing)
    with chromium.open(url, size, dark=dark) as opened:
        assert opened.violations() == []
        assert not opened.is_wider_than_the_screen()
        background = opened.run("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(11, 14, 20)" if dark else "rgb(244, 246, 249)")


def test_the_page_works_without_scripts(server: Guarded, landing: Landing, chromium: Browser) -> None:
    context = chromium.context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(consent_url(server, landing))
        page.get_by_label("Token of this server").fill("wrong")
        page.get_by_role("button", name="Allow").click()
        assert "The server does not know this token." in page.get_by_role("alert").inner_text()
        page.get_by_role("button", name="Deny").click()
        page.wait_for_url(f"{landing.url}?**")
    finally:
        context.close()
    assert landing.queries[-1]["error"] == ["access_denied"]


def test_a_page_that_refuses_can_be_read_by_everybody_and_leads_nowhere(
    server: Guarded, landing: Landing, chromium: Browser
) -> None:
    with chromium.open(consent_url(server, landing, redirect_uri="https://evil.example/")) as opened:
        assert opened.violations() == []
        assert "may not be answered at 'https://evil.example/'" in opened.page.get_by_role("alert").inner_text()
        assert opened.page.locator("form, a").count() == 0


def test_behind_tls_the_cookies_are_those_that_no_other_host_can_set(
    landing: Landing, chromium: Browser, tmp_path: Path
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with behind_tls(listener.getsockname()[1], "trader.example", tmp_path) as port:
        url = f"https://trader.example:{port}"
        settings = ServerSettings(
            home=tmp_path, exchange="simulated", tokens=TOKENS, public_url=url, oauth_clients={CLIENT: (landing.url,)}
        )
        with guarded(settings, listener=listener) as server:
            asked = consent_url(server, landing, resource=f"{url}/mcp")
            asked = asked.replace(f"http://127.0.0.1:{server.port}", url)
            with chromium.open(asked, ignore_https_errors=True) as opened:
                cookies = {cookie["name"]: cookie for cookie in opened.page.context.cookies()}
                consent = cookies["__Host-trader_consent"]
                assert (consent["secure"], consent["httpOnly"], consent["sameSite"]) == (True, True, "Strict")
                opened.page.get_by_label("Token of this server").fill(READS)
                opened.page.get_by_role("button", name="Allow").click()
                opened.page.wait_for_url(f"{landing.url}?**")
                left = {cookie["name"]: cookie for cookie in opened.page.context.cookies()}
                assert left.keys() == {"trader_browser"}
                assert left["trader_browser"]["path"] == "/"
    assert landing.queries[-1]["iss"] == [url]


def test_a_program_may_send_the_browser_on_to_another_of_its_addresses(
    server: Guarded, landing: Landing, chromium: Browser
) -> None:
    with chromium.open(consent_url(server, landing, redirect_uri=passing_on(landing))) as opened:
        opened.page.get_by_label("Token of this server").fill(READS)
        opened.page.get_by_role("button", name="Allow").click()
        opened.page.wait_for_url("http://localhost:*/callback?**")
    assert landing.queries[-1]["code"]


def passing_on(landing: Landing) -> str:
    return landing.url.replace("/callback", "/passes-on")


def consent_url(server: Guarded, landing: Landing, **changed: str) -> str:
    """Return the address at which a person is asked."""
    asked = {
        "response_type": "code", "client_id": CLIENT, "redirect_uri": landing.url, "state": "s", "resource": server.url,
        "code_challenge": CHALLENGE, "code_challenge_method": "S256", "scope": "read write",
    }  # fmt: skip
    return f"http://127.0.0.1:{server.port}/authorize?{urlencode(asked | changed)}"
