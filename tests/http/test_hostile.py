"""Hostile requests: each is turned away with the status and the words that it should be, and the server goes on."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcp_server.http.connections import MOST_CONNECTIONS
from mcp_server.http.pages.files import page_files
from mcp_server.settings import ServerSettings
from tests.http.conftest import PUBLIC, READS, TOKENS, WRITES, Answered, Guarded, guarded, read_answer
from tests.http.sign_in_rows import MINE, OWN, SIGN_IN_ROWS, Row, by_cookie, try_to_sign_in

DOCUMENT = Path(__file__).parents[2] / "docs" / "explanation" / "hostile-requests.md"
MODERN = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/list"}
DEEP = b"[" * 200_000 + b"]" * 200_000
NESTED = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_price","arguments":' + (
    b'{"a":' * 150 + b"1" + b"}" * 150 + b"}}"
)
CALLING = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/call", "Mcp_Name": "get_price"}
NESTED_MORE = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_price","_meta":{"io.modelcontextprotocol/'
    b'protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"arguments":{"symbol":'
    + b'{"a":' * 900
    + b"1"
    + b"}" * 900
    + b"}}}"
)
BATCH = b"[" + b",".join([b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'] * 15_000) + b"]"

SCRIPT = next(path for path in page_files().by_path if path.endswith(".js"))
NO_FILES = (
    ("/page.js", "/page.html", "/index.html", "/lightweight-charts.js"),
    ("/page.js.map", "/page-0123456789abcdef.js.map", "/page-0123456789abcdef.py", "/PAGE-0123456789ABCDEF.JS"),
    ("/assets/page/page.html", "/page/main.js", "/static/../page.html", "/page-0123456789abcdef.js/"),
    ("/page-x.js/../..", "/%2e%2e/page.js", "/..%2f..%2fetc/passwd", "/./"),
    ("//", "//page.css", "/%00", "/page.css%00"),
    ("/..\\..\\page.html", "/%5c..%5cpage.html", "/page.js;x", "/~root"),
)
"""Paths that look like files of the page."""

HOSTILE: list[Row] = [
    ("no token", lambda s: s.post(Authorization=None), 401, "Send a token of this server"),
    ("a wrong token", lambda s: s.post(Authorization="Bearer guess"), 401, "TRADER_TOKEN"),
    ("the beginning of a token", lambda s: s.post(Authorization=f"Bearer {WRITES[:-1]}"), 401, "TRADER_TOKEN"),
    ("a token without `Bearer`", lambda s: s.post(Authorization=WRITES), 401, "TRADER_TOKEN"),
    ("a token as basic auth", lambda s: s.post(Authorization=f"Basic {WRITES}"), 401, "TRADER_TOKEN"),
    ("a token that is no ASCII", lambda s: s.post(Authorization="Bearer \xe9\xff"), 401, "TRADER_TOKEN"),
    ("two tokens", lambda s: s.post(Authorization=f"Bearer guess\r\nAuthorization: Bearer {WRITES}"), 401, "TRADER"),
    (
        "two tokens, the right one first",
        lambda s: s.post(Authorization=f"Bearer {WRITES}\r\nAuthorization: Bearer guess"),
        401,
        "TRADER",
    ),
    (
        "the right token twice",
        lambda s: s.post(Authorization=f"Bearer {WRITES}\r\nAuthorization: Bearer {WRITES}"),
        401,
        "TRADER",
    ),
    ("a token in the address", lambda s: s.post(path=f"/mcp?token={WRITES}", Authorization=None), 401, "TRADER_TOKEN"),
    ("another's Host", lambda s: s.post(Host="evil.example"), 421, "not called 'evil.example'"),
    ("a Host that begins as ours", lambda s: s.post(Host=f"{PUBLIC}.evil.example"), 421, "TRADER_PUBLIC_HOSTS"),
    ("a Host with a user in it", lambda s: s.post(Host=f"{PUBLIC}@evil.example"), 421, "TRADER_PUBLIC_HOSTS"),
    ("an empty Host", lambda s: s.post(Host=""), 421, "TRADER_PUBLIC_HOSTS"),
    ("no Host", lambda s: s.post(Host=None), 400, "Invalid HTTP request"),
    ("two Hosts", lambda s: s.post(Host=f"{PUBLIC}\r\nHost: evil.example"), 400, "Invalid HTTP request"),
    ("another page's Origin", lambda s: s.post(Origin="https://evil.example"), 403, "may not call this server"),
    ("the Origin `null`", lambda s: s.post(Origin="null"), 403, "may not call this server"),
    ("an Origin of a file", lambda s: s.post(Origin=f"file://{PUBLIC}"), 403, "may not call this server"),
    ("a body of 5 MB", lambda s: s.post(b" " * 5_000_000), 413, "1,048,576 bytes"),
    ("a body of 5 MB in chunks", lambda s: _chunked(s, 50), 413, "1,048,576 bytes"),
    ("a body said to be huge", lambda s: s.post(Content_Length=str(10**30), body=b""), 400, "Invalid HTTP"),
    ("a body said to be negative", lambda s: s.post(Content_Length="-1"), 400, "Invalid HTTP"),
    ("two lengths of the body", lambda s: s.post(Content_Length="58\r\nContent-Length: 5"), 400, "Invalid HTTP"),
    ("JSON 200,000 deep", lambda s: s.post(DEEP), 400, "error"),
    ("JSON 200,000 deep, modern", lambda s: s.post(DEEP, **MODERN), 400, "Parse error"),
    ("arguments 150 deep", lambda s: s.post(NESTED), 200, "not a known argument"),
    ("arguments 900 deep, modern", lambda s: s.post(NESTED_MORE, **CALLING), 200, "should be a valid string"),
    ("no JSON", lambda s: s.post(b"\x00\xff{"), 400, "error"),
    ("an integer of 100,000 digits", lambda s: s.post(b'{"id":' + b"9" * 100_000 + b"}", **MODERN), 400, "Parse error"),
    ("a batch of 15,000 calls", lambda s: s.post(BATCH), 400, "error"),
    ("a batch of 15,000 calls, modern", lambda s: s.post(BATCH, **MODERN), 400, "single JSON-RPC request"),
    ("another kind of body", lambda s: s.post(Content_Type="text/plain"), 400, "Content-Type"),
    ("a head of 20 KB", lambda s: s.post(X_Long="x" * 20_000), 431, "16,384 bytes"),
    ("4,000 headers", lambda s: s.post(X_Many="1\r\n" + "X: 1\r\n" * 4_000 + "X: 1"), 431, "16,384 bytes"),
    ("a header that splits", lambda s: s.post(X_Split="a\nb: c\x00"), 400, "Invalid HTTP request"),
    ("no HTTP", lambda s: s.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), 400, "Invalid HTTP request"),
    ("`GET /mcp`", lambda s: s.post(b"", method="GET"), 405, "takes POST only"),
    ("`DELETE /mcp`", lambda s: s.post(b"", method="DELETE"), 405, "takes POST only"),
    ("`PUT`, `TRACE`, `BREW`", lambda s: _same(s.post(method=each) for each in ("PUT", "TRACE", "BREW")), 405, "POST"),
    ("`CONNECT`", lambda s: s.post(b"", path="evil.example:443", method="CONNECT"), 404, "nothing here"),
    ("`OPTIONS` from a page", lambda s: s.post(b"", method="OPTIONS", Origin="https://evil.example"), 403, "may not"),
    ("`POST /health`", lambda s: s.post(path="/health"), 405, "takes GET only"),
    (
        "a web socket",
        lambda s: s.post(b"", method="GET", Connection="upgrade", Upgrade="websocket"),
        405,
        "POST only",
    ),
    *(
        (f"`{path}` without a token", lambda s, path=path: s.post(path=path, Authorization=None), 401, "TRADER_TOKEN")
        for path in ("//mcp", "/mcp/", "/./mcp", "/%6dcp", "/health/../mcp", "/health/", "/HEALTH", "/health%00")
    ),
    *(
        (f"`{path}`", lambda s, path=path: s.post(path=path), 404, "The MCP endpoint is /mcp")
        for path in ("//mcp", "/mcp/", "/../etc/passwd", "/health/../mcp", "/mcp;x", "/mcp%2f", "/.env", "/sse")
    ),
    *(
        (
            f"`GET` {', '.join(f'`{path}`' for path in paths)}",
            lambda s, paths=paths: _same(page(s, path) for path in paths),
            401,
            "TRADER",
        )
        for paths in NO_FILES
    ),
    ("a file of an older page", lambda s: page(s, "/page-0123456789abcdef.js"), 404, "another version of the page"),
    ("`POST /`", lambda s: page(s, "/", "POST"), 405, "takes GET only"),
    ("`DELETE` a file of the page", lambda s: page(s, SCRIPT, "DELETE"), 405, "takes GET only"),
    ("the page under another's Host", lambda s: page(s, "/", Host="evil.example"), 421, "TRADER_PUBLIC_HOSTS"),
    ("the page for another page's script", lambda s: page(s, "/", Origin="https://evil.example"), 403, "may not call"),
    ("the page with a head of 20 KB", lambda s: page(s, "/", If_None_Match="x" * 20_000), 431, "16,384 bytes"),
    ("the page with a body", lambda s: page(s, "/", Content_Length="5000000"), 400, "has no body"),
    ("the page with a body in chunks", lambda s: page(s, "/", Transfer_Encoding="chunked"), 400, "has no body"),
    (
        "the page with a path as query",
        lambda s: page(s, "/?file=../../etc/passwd"),
        200,
        "<title>Claude Trader</title>",
    ),
    ("a file of the page, its name encoded", lambda s: page(s, SCRIPT.replace("p", "%70")), 200, "dataset.start"),
    ("a huge range of the page", lambda s: page(s, "/", Range=f"bytes=0-{10**30}"), 200, "</html>"),
    ("1,000 ranges of the page", lambda s: page(s, "/", Range=f"bytes={'0-1,' * 1000}2-3"), 200, "</html>"),
    ("encodings without end for the page", lambda s: page(s, "/", Accept_Encoding="gzip;" * 2000), 200, "</html>"),
    *SIGN_IN_ROWS,
    ("a whole address as path", lambda s: s.post(path=f"http://evil.example{'/mcp'}"), 404, "The MCP endpoint is /mcp"),
]


def page(server: Guarded, path: str, method: str = "GET", **headers: str) -> Answered:
    """Ask for a file of the page as a browser does that has no token."""
    usual: dict[str, str | None] = {"Authorization": None, "Content_Length": None}
    return server.post(b"", path, method, **usual | headers)


def _chunked(server: Guarded, chunks: int) -> Answered:
    head = server.head(0, Content_Length=None, Transfer_Encoding="chunked")
    chunk = b"186a0\r\n" + b" " * 100_000 + b"\r\n"
    return server.send(head, *[chunk] * chunks, b"0\r\n\r\n")


def _same(answers: Iterator[Answered]) -> Answered:
    first, *others = answers
    assert all(other.status == first.status for other in others)
    return first


MANY = ("signing in 1,000 times",)
"""These are `long`: in `make test`, test_attempts.py signs in a hundred times."""


@pytest.mark.parametrize(
    ("send", "status", "words"),
    [pytest.param(*row, id=what, marks=[pytest.mark.long] * (what in MANY)) for what, *row in HOSTILE],
)
def test_a_hostile_request_gets_what_it_should(
    server: Guarded, send: Callable[[Guarded], Answered], status: int, words: str
) -> None:
    answered = send(server)
    assert (answered.status, words in answered.text) == (status, True), answered
    assert READS not in answered.text
    assert WRITES not in str(answered)
    assert MINE not in str(answered)
    assert server.post().status == 200


def test_the_page_has_the_table_of_hostile_requests() -> None:
    page = DOCUMENT.read_text("utf-8")
    missing = [row for row in table() if row not in page]
    assert not missing, "\n".join(missing)
    assert f"Each of these {len(HOSTILE)} is" in page


def table() -> list[str]:
    """Give the rows of the table as the page has them."""
    return [f"| {what} | {status} |" for what, _, status, _ in HOSTILE]


@pytest.fixture
def hurried(home: Path) -> Iterator[Guarded]:
    """A server that waits for no one for longer than a moment."""
    with guarded(ServerSettings(home=home, exchange="simulated", tokens=TOKENS), head_s=0.3, body_s=0.3) as server:
        yield server


def _trickle(sock: socket.socket, byte: bytes) -> Answered:
    """Send a byte now and then until the other side has had enough."""
    sock.settimeout(0.05)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            sock.sendall(byte)
            if sock.recv(1, socket.MSG_PEEK):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    else:
        raise AssertionError("it was never given up")
    sock.settimeout(5)
    return read_answer(sock)


def test_a_head_that_trickles_is_given_up(hurried: Guarded) -> None:
    with hurried.connect() as sock:
        sock.sendall(b"POST /mcp HTTP/1.1\r\nX-Slow: ")
        assert _trickle(sock, b"x").status == 408


def test_a_second_head_that_trickles_on_a_kept_connection_is_given_up(hurried: Guarded) -> None:
    with hurried.connect() as sock:
        sock.sendall(hurried.head(0, "/health", "GET", Connection=None))
        assert read_answer(sock).status == 200
        sock.sendall(b"POST /mcp HTTP/1.1\r\nX-Slow: ")
        assert _trickle(sock, b"x").status == 408


def test_a_head_without_an_end_is_not_taken_in(server: Guarded) -> None:
    answered = server.send(b"POST /mcp HTTP/1.1\r\n", *[b"X: " + b"x" * 4000 + b"\r\n"] * 1000)
    assert answered.status in (0, 400)  # it may still have been sending when the connection was closed
    assert server.post().status == 200


def test_a_connection_that_says_nothing_is_given_up(hurried: Guarded) -> None:
    with hurried.connect() as sock:
        assert read_answer(sock).status == 408
        assert sock.recv(1) == b""


def test_a_body_that_trickles_is_given_up_and_its_connection_closed(hurried: Guarded) -> None:
    with hurried.connect() as sock:
        sock.sendall(hurried.head(1000))
        answered = _trickle(sock, b" ")
        assert (answered.status, answered.headers["connection"]) == (408, "close")
        assert "within 0.3 s" in answered.message


def test_a_client_that_goes_in_the_midst_of_its_body_leaves_nothing_behind(server: Guarded) -> None:
    for _ in range(20):
        with server.connect() as sock:
            sock.sendall(server.head(1000) + b"{")
    assert server.post().status == 200


def test_a_client_that_does_not_take_its_answer_holds_its_place_for_a_time_only(home: Path) -> None:
    call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_ohlcv","arguments":' + (
        b'{"symbol":"BTC/USDT","timeframe":"1m","limit":10000}}}'
    )
    settings = ServerSettings(home=home, exchange="simulated", tokens=TOKENS, concurrent_calls=1)
    with guarded(settings, request_s=2) as server, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(server.head(len(call)) + call)
        sock.recv(1, socket.MSG_PEEK)
        assert "has 1 calls running" in server.post().message
        until = time.monotonic() + 20
        while (status := server.post().status) == 429 and time.monotonic() < until:
            time.sleep(0.1)
        assert status == 200


def test_hundreds_of_idle_connections_keep_nobody_out(server: Guarded) -> None:
    idle = [server.connect() for _ in range(500)]
    try:
        assert server.post().status == 200
        idle += [server.connect() for _ in range(MOST_CONNECTIONS - 500 + 40)]
        assert server.post().status == 200
        idle[0].settimeout(5)
        assert idle[0].recv(1) == b""
    except ConnectionResetError:  # the first was dropped, in the other way that a system tells it
        pass
    finally:
        for sock in idle:
            sock.close()


def test_what_was_refused_is_not_logged_with_its_token(
    server: Guarded, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    server.post(Authorization="Bearer my-s3cret-guess", path="/mcp?my-s3cret-guess")
    server.post(b'{"my-s3cret-guess"')
    try_to_sign_in(server, b"token=my-s3cret-guess", **OWN)
    try_to_sign_in(server, b"my-s3cret-guess", **OWN)
    by_cookie(server, "my-s3cret-guess")
    said = capfd.readouterr()
    assert "s3cret" not in said.out + said.err + caplog.text
