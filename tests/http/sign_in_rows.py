"""Hostile requests with the page's cookie, to sign in and to sign out."""

import time
from collections.abc import Callable
from dataclasses import replace

from pydantic import SecretStr

from mcp_server.http.forms import FORM
from mcp_server.http.sessions import COOKIE, SESSION_S, Sessions
from mcp_server.http.tokens import Tokens
from mcp_server.storage.setting_types import TokenEntry
from tests.http.conftest import LIST, TOKENS, WRITES, Answered, Guarded

Row = tuple[str, Callable[[Guarded], Answered], int, str]
"""What is sent, and the status and words that it is answered with."""

OWN: dict[str, str | None] = {"Sec_Fetch_Site": "same-origin"}
WRITE = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_strategy","arguments":{}}}'
RIGHT = WRITES.encode()
NOW = time.time()


def signed_cookie(now: float, other: str | None = None) -> str:
    """Return a cookie that was signed then, by the token that writes or by one that the server does not have."""
    others = {} if other is None else {other: TokenEntry(token=SecretStr("not-of-this-server"), scope="write")}
    return Sessions(Tokens(TOKENS | others)).sign(COOKIE, other or "laptop", now, SESSION_S)


MINE = signed_cookie(NOW)


def by_cookie(
    server: Guarded, cookie: str, body: bytes = LIST, path: str = "/mcp", method: str = "POST", **headers: str | None
) -> Answered:
    sent: dict[str, str | None] = {"Authorization": None, "Cookie": f"{COOKIE}={cookie}", **OWN, **headers}
    return server.post(body, path, method, **sent)


def try_to_sign_in(server: Guarded, form: bytes = b"token=" + RIGHT, **headers: str | None) -> Answered:
    """Return what signing in is answered with, where it leads to in place of the text."""
    sent: dict[str, str | None] = {"Authorization": None, "Content_Type": FORM, **headers}
    answered = server.post(form, "/login", "POST", **sent)
    assert not answered.cookies
    return answered if answered.text else replace(answered, text=answered.headers["location"])


def _last(answers: list[Answered]) -> Answered:
    assert {answered.status for answered in answers} == {answers[-1].status}
    return answers[-1]


SIGN_IN_ROWS: list[Row] = [
    (
        "the page's cookie without `Sec-Fetch-Site` and `Origin`",
        lambda s: by_cookie(s, MINE, Sec_Fetch_Site=None),
        401,
        "TRADER_TOKEN",
    ),
    ("the page's cookie, from another site", lambda s: by_cookie(s, MINE, Sec_Fetch_Site="cross-site"), 401, "TRADER"),
    (
        "the page's cookie, from a sibling site",
        lambda s: by_cookie(s, MINE, Sec_Fetch_Site="same-site"),
        401,
        "TRADER",
    ),
    (
        "the page's cookie, from another port",
        lambda s: by_cookie(s, MINE, Sec_Fetch_Site=None, Origin="http://127.0.0.1:1"),
        401,
        "TRADER_TOKEN",
    ),
    (
        "the page's cookie on a `GET` from another site",
        lambda s: by_cookie(s, MINE, b"", "/health", "GET", Sec_Fetch_Site="cross-site"),
        200,
        '{"status":"alive"}',
    ),
    ("a wrong cookie", lambda s: by_cookie(s, f"{MINE[:-64]}{'0' * 64}"), 401, "TRADER_TOKEN"),
    ("a cut cookie", lambda s: by_cookie(s, MINE[:-1]), 401, "TRADER_TOKEN"),
    ("a cookie of 15 KB", lambda s: by_cookie(s, "1" * 15_000), 401, "TRADER_TOKEN"),
    ("a cookie that has expired", lambda s: by_cookie(s, signed_cookie(NOW - SESSION_S)), 401, "TRADER_TOKEN"),
    ("a cookie of the future", lambda s: by_cookie(s, signed_cookie(NOW + SESSION_S)), 401, "TRADER_TOKEN"),
    ("a cookie of a dropped token", lambda s: by_cookie(s, signed_cookie(NOW, "dropped")), 401, "TRADER_TOKEN"),
    ("a cookie signed by another token", lambda s: by_cookie(s, signed_cookie(NOW, "laptop")), 401, "TRADER_TOKEN"),
    ("a token as cookie", lambda s: by_cookie(s, WRITES), 401, "TRADER_TOKEN"),
    ("the page's cookie twice", lambda s: by_cookie(s, f"{MINE}; {COOKIE}={MINE}"), 401, "TRADER_TOKEN"),
    ("the page's cookie beside a wrong token", lambda s: by_cookie(s, MINE, Authorization="Bearer x"), 401, "TRADER"),
    ("a tool that writes, with the page's cookie", lambda s: by_cookie(s, MINE, WRITE), 200, "may only read"),
    ("signing in from another site", lambda s: try_to_sign_in(s, Origin="https://evil.example"), 403, "may not call"),
    ("signing in from a sibling site", lambda s: try_to_sign_in(s, Sec_Fetch_Site="same-site"), 403, "own page"),
    ("signing in from another port", lambda s: try_to_sign_in(s, Origin="http://127.0.0.1:1"), 403, "own page"),
    ("signing in without `Sec-Fetch-Site` and `Origin`", try_to_sign_in, 403, "own page"),
    ("signing in from the Origin `null`", lambda s: try_to_sign_in(s, Origin="null"), 403, "may not call"),
    (
        "signing in with JSON",
        lambda s: try_to_sign_in(s, Content_Type="application/json", Sec_Fetch_Site="same-origin"),
        415,
        FORM,
    ),
    (
        "signing in with a file",
        lambda s: try_to_sign_in(s, Content_Type="multipart/form-data; boundary=x", Sec_Fetch_Site="same-origin"),
        415,
        FORM,
    ),
    ("signing in with 20 KB", lambda s: try_to_sign_in(s, b"token=" + b"x" * 20_000, **OWN), 413, "16,384 bytes"),
    ("signing in with two tokens", lambda s: try_to_sign_in(s, b"token=x&token=" + RIGHT, **OWN), 400, "one field"),
    (
        "signing in with another field",
        lambda s: try_to_sign_in(s, b"next=//evil.example&token=x", **OWN),
        400,
        "one field",
    ),
    ("signing in with nothing", lambda s: try_to_sign_in(s, b"", **OWN), 400, "one field"),
    ("signing in with a wrong token", lambda s: try_to_sign_in(s, b"token=guess", **OWN), 303, "/?refused=token"),
    (
        "signing in with a token that splits headers",
        lambda s: try_to_sign_in(s, b"token=%0d%0aSet-Cookie:%20a=b%0d%0a%0d%0a", **OWN),
        303,
        "/?refused=token",
    ),
    (
        "signing in 1,000 times",
        lambda s: _last([try_to_sign_in(s, b"token=x", **OWN) for _ in range(1_000)]),
        303,
        "=wait&",
    ),
    ("`GET /login`", lambda s: s.post(b"", f"/login?token={WRITES}", "GET"), 405, "POST only"),
    ("signing out from another site", lambda s: s.post(b"", "/logout", Sec_Fetch_Site="cross-site"), 403, "own page"),
    ("signing out without `Sec-Fetch-Site` and `Origin`", lambda s: s.post(b"", "/logout"), 403, "own page"),
    ("`GET /logout`", lambda s: s.post(b"", "/logout", "GET", Sec_Fetch_Site="same-origin"), 405, "POST only"),
]
