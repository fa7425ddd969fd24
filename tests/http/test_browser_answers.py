"""Answers of `/mcp` to a browser: compressed where that pays, with the page's version; other clients notice nothing."""

import gzip
import json
from typing import Any

import pytest

from mcp_server.http.pages.answers import BrowserAnswers
from mcp_server.http.pages.files import page_files
from mcp_server.http.pages.pages import Pages
from tests.http.conftest import Guarded

BROWSER = {"Sec_Fetch_Site": "same-origin", "Accept_Encoding": "gzip, deflate, br"}
STREAM = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache, no-transform")]


def asked(server: Guarded, method: str = "tools/list", **headers: str) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of an answer as they are sent."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": meta}}).encode()
    modern = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": method}
    with server.connect() as sock:
        sock.sendall(server.head(len(body), **modern, **headers) + body)
        head, _, sent = b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    return {name.lower(): value for name, _, value in lines}, sent


def test_a_long_answer_to_a_browser_is_compressed(server: Guarded) -> None:
    _, plain = asked(server)
    headers, sent = asked(server, **BROWSER)
    assert (headers["content-encoding"], headers["vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(sent) == plain
    assert headers["content-length"] == str(len(sent))
    assert len(sent) < len(plain) / 3


def test_a_page_in_a_home_network_is_known_by_its_origin(server: Guarded) -> None:
    headers, _ = asked(server, Origin=f"http://127.0.0.1:{server.port}", Accept_Encoding="gzip")
    assert headers["content-encoding"] == "gzip"


def test_a_short_answer_is_not_compressed_and_nor_is_one_for_a_browser_that_refuses_it(server: Guarded) -> None:
    short, _ = asked(server, "no/such", **BROWSER)
    assert "content-encoding" not in short
    refused, sent = asked(server, **{**BROWSER, "Accept_Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused
    assert json.loads(sent)["result"]


def test_another_client_gets_the_answer_as_it_is(server: Guarded) -> None:
    headers, sent = asked(server, Accept_Encoding="gzip")
    assert not {"content-encoding", "vary", "x-trader-page"} & headers.keys()
    assert json.loads(sent)["result"]


def test_an_open_page_is_told_which_version_the_server_has(server: Guarded) -> None:
    headers, _ = asked(server, **BROWSER)
    assert headers["x-trader-page"] == page_files().version
    page = bytes(page_files().by_path["/"].plain.body).decode()
    assert f'<meta name="version" content="{headers["x-trader-page"]}">' in page


@pytest.mark.parametrize("accepted", ["gzip", ""])
async def test_each_line_of_a_stream_is_passed_on_at_once_and_as_it_is(accepted: str) -> None:
    passed: list[Any] = []

    async def streaming(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM})
        for line in (b": ping\r\n\r\n", b"data: " + b"x" * 5000 + b"\r\n\r\n"):
            await send({"type": "http.response.body", "body": line, "more_body": True})
            assert passed[-1]["body"] == line
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(message: Any) -> None:
        passed.append(message)

    async def receive() -> Any:
        raise AssertionError

    headers = [(b"sec-fetch-site", b"same-origin"), (b"accept-encoding", accepted.encode())]
    before = list(STREAM)
    await BrowserAnswers(streaming, Pages())({"type": "http", "headers": headers}, receive, send)
    assert before == STREAM  # the SDK sends one list of headers for every stream
    assert (b"x-trader-page", page_files().version.encode()) in passed[0]["headers"]
    assert b"content-encoding" not in dict(passed[0]["headers"])
