"""The page's files over HTTP: names with a hash, caching, compression, and the headers that guard them."""

import gzip
import re

import pytest

from mcp_server.http.pages.files import HEADERS, page_files, under_hashed_names
from mcp_server.storage.assets import page_module
from tests.http.conftest import PUBLIC, Answered, Guarded

NAMES = {"app.webmanifest", "icon.svg", "lightweight-charts.js", "lightweight-charts.txt", "page.css", "page.js"}


def get(server: Guarded, path: str, method: str = "GET", **headers: str | None) -> Answered:
    """Ask as a browser does that has no token yet."""
    usual: dict[str, str | None] = {"Authorization": None, "Content_Type": None, "Content_Length": None}
    return server.post(b"", path, method, **usual | headers)


def raw(server: Guarded, path: str, **headers: str) -> bytes:
    """Return the bytes of the body as they are sent."""
    with server.connect() as sock:
        sock.sendall(server.head(0, path, "GET", Authorization=None, **headers))
        return b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")[2]


def path_of(name: str) -> str:
    """Return the path of one file today."""
    stem, _, ending = name.rpartition(".")
    (path,) = (path for path in page_files().by_path if re.fullmatch(rf"/{stem}-[0-9a-f]{{16}}\.{ending}", path))
    return path


def test_the_page_is_given_without_a_token_and_names_only_files_that_are_there(server: Guarded) -> None:
    page = get(server, "/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    named = re.findall(r'(?:href|src|content)="(/[^"]*)"', page.text)
    assert {re.sub(r"-[0-9a-f]{16}", "", path)[1:] for path in named} == NAMES
    for path in named:
        file = get(server, path)
        assert (file.status, len(file.text) > 0) == (200, True), path
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"


TEXTS = {"icon.svg": "<svg/>", "app.webmanifest": '{"src": "/icon.svg"}', "page.js": "start();"}
PAGE = '<meta content="page-version"><link href="/app.webmanifest"><script src="/page.js">'


@pytest.mark.parametrize("changed", sorted(TEXTS))
def test_a_file_that_changes_gets_another_name_and_the_page_another_version(changed: str) -> None:
    before, after = under_hashed_names(TEXTS, PAGE), under_hashed_names({**TEXTS, changed: "other"}, PAGE)
    stem = changed.partition(".")[0]
    assert not {path for path in before.by_path if path.startswith(f"/{stem}-")} & set(after.by_path)
    assert before.version != after.version
    assert before.by_path["/"].etag != after.by_path["/"].etag


def test_a_page_that_changes_alone_has_another_version_and_the_same_files() -> None:
    before, after = under_hashed_names(TEXTS, PAGE), under_hashed_names(TEXTS, PAGE + "<p>")
    assert before.version != after.version
    assert list(before.by_path) == list(after.by_path)
    assert f'content="{after.version}"' in bytes(after.by_path["/"].plain.body).decode()


@pytest.mark.parametrize("path", ["/page-0123456789abcdef.js", "/lightweight-charts-0123456789abcdef.js"])
def test_a_file_of_another_version_is_not_there_and_that_is_not_kept(server: Guarded, path: str) -> None:
    answered = get(server, path)
    assert (answered.status, answered.headers["cache-control"]) == (404, "no-store")
    assert "Reload the page" in answered.message


@pytest.mark.parametrize("path", ["/", "/favicon.ico", path_of("page.js"), path_of("lightweight-charts.txt")])
def test_each_file_has_the_headers_that_guard_the_page(server: Guarded, path: str) -> None:
    sent = get(server, path).headers
    assert {name: sent.get(name.lower()) for name in HEADERS} == HEADERS
    assert (sent["x-content-type-options"], sent["referrer-policy"]) == ("nosniff", "same-origin")
    assert sent["cross-origin-opener-policy"] == sent["cross-origin-resource-policy"] == "same-origin"
    assert {"camera=()", "geolocation=()", "microphone=()", "payment=()"} <= set(sent["permissions-policy"].split(", "))
    assert sent["vary"] == "Accept-Encoding"


def test_the_page_runs_only_its_own_scripts_and_is_framed_by_nobody() -> None:
    policy = HEADERS["Content-Security-Policy"].split("; ")
    assert {
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
        "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
    } <= set(policy)  # fmt: skip
    assert not re.search(r"unsafe|\*|https?:", HEADERS["Content-Security-Policy"])


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True), ("gzip, deflate, br, zstd", True), ("br;q=1.0, GZIP;q=0.5", True), ("*", True),
        ("gzip;q=0.001", True), ("gzip;q=0", False), ("gzip; q=0.000", False), ("*;q=0", False), ("", False),
        ("identity", False), ("br", False), ("gzip;q=0, *", False), ("*;q=0, gzip", True), ("xgzip", False),
        ("gzip;q=nan", False), ("gzip;q=-1", False), ("gzip;level=9", False),
    ],
)  # fmt: skip
def test_it_is_compressed_for_those_who_take_that(server: Guarded, accepted: str, compressed: bool) -> None:
    path = path_of("page.js")
    head, body = get(server, path, "HEAD", Accept_Encoding=accepted), raw(server, path, Accept_Encoding=accepted)
    assert (head.headers.get("content-encoding") == "gzip") is compressed
    assert (gzip.decompress(body) if compressed else body).decode() == page_module()
    assert head.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("path", ["/", path_of("page.css")])
def test_who_has_it_already_is_told_so(server: Guarded, path: str) -> None:
    first = get(server, path)
    etag = first.headers["etag"]
    for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        again = get(server, path, If_None_Match=known)
        assert (again.status, again.text, again.headers["etag"]) == (304, "", etag), known
        assert again.headers["cache-control"] == first.headers["cache-control"]
    assert get(server, path, If_None_Match='"other"').status == 200


def test_the_page_itself_is_looked_up_each_time(server: Guarded) -> None:
    assert get(server, "/").headers["cache-control"] == "no-cache"


def test_a_head_request_has_the_headers_alone(server: Guarded) -> None:
    whole, head = get(server, "/"), get(server, "/", "HEAD")
    assert (head.status, head.text) == (200, "")
    assert head.headers["content-length"] == str(len(whole.text.encode()))


@pytest.mark.parametrize("path", ["/", path_of("page.js")])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_is_only_read(server: Guarded, method: str, path: str) -> None:
    answered = get(server, path, method)
    assert (answered.status, answered.headers["allow"]) == (405, "GET, HEAD")


def test_it_is_given_under_a_known_name_only(server: Guarded) -> None:
    assert get(server, "/", Host=PUBLIC).status == 200
    assert get(server, "/", Host="evil.example").status == 421
    assert get(server, "/", Origin="https://evil.example").status == 403
    assert get(server, path_of("page.js"), Host="evil.example").status == 421
