"""What a page of another program can do to one who is signed in: it is open in the same browser, and gets the cookies.

It comes from another port of the same host, which to browsers is the same site: even `SameSite=Strict` cookies are sent
with its requests. Only what the server checks by itself is in its way.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from mcp_server.http.sessions import COOKIE
from tests.http.conftest import READS, WRITES, Guarded
from tests.page.test_login import costs, is_signed_in, sign_in
from tests.rigs.browser import Browser, OpenPage
from tests.rigs.loopback import served

ASKS = """target => Promise.allSettled([
  ...["no-cors", "cors"].flatMap(mode => ["text/plain", "application/json"].map(type => fetch(`${target}mcp`, {
    method: "POST", mode, credentials: "include",
    headers: {"Content-Type": type, Accept: "application/json, text/event-stream"},
    body: '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}'}).then(answer => answer.text()))),
  ...["login", "logout", "health", "mcp"].map(path =>
    fetch(target + path, {mode: "no-cors", credentials: "include"}).then(answer => answer.text())),
  ...["login", "logout"].map(path => fetch(target + path, {method: "POST", mode: "no-cors", credentials: "include",
    body: new URLSearchParams({token: "TOKEN"})}).then(answer => answer.text())),
]).then(answers => answers.map(answer => answer.value ?? "nothing"))"""

POSTS = """async target => {
  for (const [path, type] of [["login", ""], ["logout", ""], ["mcp", "text/plain"]]) {
    const frame = Object.assign(document.createElement("iframe"), {name: `to-${path}`});
    const form = document.createElement("form");
    Object.assign(form, {method: "post", action: target + path, target: frame.name, enctype: type});
    form.append(Object.assign(document.createElement("input"), {name: "token", value: "TOKEN"}));
    document.body.append(frame, form);
    const loaded = new Promise(done => frame.addEventListener("load", done));
    form.submit();
    await loaded;
  }
}"""

FRAMES = """async target => {
  const frame = Object.assign(document.createElement("iframe"), {src: target, name: "framed"});
  const loaded = new Promise(done => frame.addEventListener("load", done));
  document.body.append(frame);
  await loaded;
  try { return frame.contentDocument === null } catch { return true }
}"""


@pytest.fixture(scope="module")
def other_site() -> Iterator[str]:
    async def page(request: Request) -> HTMLResponse:
        return HTMLResponse("<!doctype html><title>Other</title><link rel=icon href=data:,><body>")

    with served(Starlette(routes=[Route("/", page)])) as url:
        yield f"{url}/"


@pytest.fixture(scope="module")
def signed_in(guarded_page: Guarded, chromium: Browser) -> Iterator[OpenPage]:
    with chromium.open(costs(guarded_page)) as opened:
        sign_in(opened, READS)
        assert is_signed_in(opened)
        yield opened


@pytest.fixture
def victim(guarded_page: Guarded, other_site: str, signed_in: OpenPage) -> Iterator[tuple[OpenPage, list[Any]]]:
    """Somebody who is signed in and then looks at the other site, and the server's answers from then on."""
    answers: list[Any] = []

    def note(answer: Any) -> None:
        if f":{guarded_page.port}/" in answer.url:
            answers.append(answer)

    signed_in.page.goto(other_site)
    signed_in.page.on("response", note)
    yield signed_in, answers
    signed_in.page.remove_listener("response", note)


def target_of(server: Guarded) -> str:
    return f"http://127.0.0.1:{server.port}/"


def test_another_site_reads_nothing_and_signs_nobody_in_or_out(
    guarded_page: Guarded, victim: tuple[OpenPage, list[Any]]
) -> None:
    opened, answers = victim
    session = next(one["value"] for one in opened.page.context.cookies() if one["name"] == COOKIE)
    read = opened.page.evaluate(ASKS.replace("TOKEN", WRITES), target_of(guarded_page))
    assert set(read) <= {"", "nothing"}
    opened.page.evaluate(POSTS.replace("TOKEN", WRITES), target_of(guarded_page))
    statuses = {(answer.request.method, answer.url.rpartition("/")[2], answer.status) for answer in answers}
    sent = [answer.request.all_headers() for answer in answers if answer.request.method == "POST"]
    assert [headers for headers in sent if session in headers.get("cookie", "")], "the browser sends the cookie"
    assert "same-origin" not in {headers.get("sec-fetch-site") for headers in sent}
    assert ("POST", "mcp", 401) in statuses
    assert ("POST", "login", 403) in statuses
    assert ("POST", "logout", 403) in statuses
    assert {status for _, path, status in statuses if path != "health"} <= {401, 403, 405}
    assert [one["value"] for one in opened.page.context.cookies() if one["name"] == COOKIE] == [session]
    opened.page.goto(costs(guarded_page))
    assert is_signed_in(opened)


def test_another_site_cannot_show_the_page_in_a_frame_or_keep_hold_of_its_window(
    guarded_page: Guarded, victim: tuple[OpenPage, list[Any]]
) -> None:
    opened, _ = victim
    assert opened.page.evaluate(FRAMES, target_of(guarded_page))
    framed = opened.page.frame(name="framed")
    assert framed is not None
    assert framed.url.startswith("chrome-error:")
    with opened.page.expect_popup() as popup:
        opened.page.evaluate("target => { window.held = window.open(target) }", target_of(guarded_page))
    popup.value.wait_for_load_state()
    opened.page.wait_for_function("held.closed")


def test_cookies_that_another_site_sets_lock_nobody_out_and_it_sees_none_of_ours(
    guarded_page: Guarded, victim: tuple[OpenPage, list[Any]]
) -> None:
    opened, _ = victim
    assert COOKIE not in opened.run("document.cookie")
    for path in ("/", "/mcp"):
        opened.run(f"document.cookie = '{COOKIE}=planted; Path={path}'")
    assert len([one for one in opened.page.context.cookies() if one["name"] == COOKIE]) == 2
    opened.page.goto(costs(guarded_page))
    assert is_signed_in(opened)
    opened.page.context.clear_cookies(name=COOKIE, path="/mcp")  # others look at the same page
