"""Hostile texts wherever a stranger's text can stand on the page: nothing runs, nothing is fetched, nothing breaks.

They are put into the answers on their way to the browser, so that the page has to stand them as they are: what the
server cleans out of them is another test's.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import pytest

from tests.acceptance.hostile_texts import TEXTS
from tests.page.conftest import Site
from tests.page.opening import opened_at, settled
from tests.rigs.browser import DESKTOP, PHONE, Browser, OpenPage

MARKUP = [
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "</title></head><body onload=alert(1)>",
    "<iframe src=//evil.example>",
    "<base href=//evil.example>",
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<a href=javascript:alert(1)>x</a>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example><button>go</form>",
    "<details open ontoggle=alert(1)>",
    "<math><mtext><img src=x onerror=alert(1)>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "`${alert(1)}`",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "<!-- ",
    "]]>",
    "%3Cscript%3E",
    "\\u003cscript\\u003e",
    "__proto__",
    "constructor",
    "data:text/html,<script>alert(1)</script>",
    "#/strategy/x?as_of=9999",
    "../../mcp",
    "W" * 2_000,
    "\N{PILE OF POO}" * 500,
    "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 200,
    "\u05e9\u05dc\u05d5\u05dd " * 100,
    " ",
    "0",
]
ALL = [*MARKUP, *(text[:2_000] for text in TEXTS)]
STRANGERS = {
    "description",
    "reasoning",
    "record",
    "problem",
    "remedy",
    "note",
    "error",
    "symbol",
    "base",
    "quote",
    "meaning",
}
PLACES = [
    "", "strategy/btc-trend", "strategy/eth-two-analysts", "strategy/eth-two-analysts?tab=record",
    "strategy/btc-trend?tab=backtests", "strategy/eth-two-analysts?tab=files", "market?symbol=BTC/USDT", "costs",
]  # fmt: skip
FEW = PLACES[:2]
NOWHERE = "nonsense"
REMEDY = f"{MARKUP[0]} as a remedy"
ALIVE = "main :is(img, iframe, object, embed, style, link, base, meta, form[action], [onerror], [onload])"
OPEN_SOME = """() => [...document.querySelectorAll("main :is([aria-expanded=false], details:not([open]) > summary)")]
    .filter((node) => node.checkVisibility()).slice(0, 5).forEach((node) => node.click())"""


def poisoned(value: Any, texts: Iterator[str], name: str = "") -> Any:
    """Return JSON values with every text that a stranger may have written replaced: prose, and what such names hold."""
    if isinstance(value, dict):
        columns = value.get("columns") if "rows" in value else None
        if not columns:
            return {key: poisoned(item, texts, key) for key, item in value.items()}
        fresh = {key: poisoned(item, texts, key) for key, item in value.items() if key not in ("columns", "rows")}
        rows = [[poisoned(cell, texts, of) for of, cell in zip(columns, row, strict=True)] for row in value["rows"]]
        return fresh | {"columns": columns, "rows": rows}
    if isinstance(value, list):
        return [poisoned(item, texts, name) for item in value]
    if isinstance(value, str) and (" " in value or name in STRANGERS):
        return next(texts)
    return value


@contextmanager
def hostile(site: Site, chromium: Browser) -> Iterator[OpenPage]:
    """Open a page where every answer is poisoned from now on; nothing of it may have run when the block ends."""
    texts = cycle(ALL)

    def pour(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        if "structuredContent" in body["result"]:
            body["result"]["structuredContent"] = poisoned(body["result"]["structuredContent"], texts)
        route.fulfill(response=answer, body=json.dumps(body))

    with opened_at(site, chromium, NOWHERE) as opened:
        dialogs: list[str] = []

        def dismiss(dialog: Any) -> None:
            dialogs.append(dialog.message)
            dialog.dismiss()

        opened.page.on("dialog", dismiss)
        opened.page.route("**/mcp", pour)
        yield opened
        assert dialogs == []
        assert {url for url in opened.requests if not url.startswith(site.url)} == set()
        opened.page.unroute_all(behavior="ignoreErrors")


def goes_to(opened: OpenPage, place: str) -> None:
    """Go to a place by way of one that asks for nothing."""
    nowhere = opened.page.get_by_role("heading", name="There is no such page")
    opened.run(f"location.hash = '#/{NOWHERE}'")
    nowhere.wait_for()
    opened.run(f"location.hash = '#/{place}'")
    nowhere.wait_for(state="detached")


def lies_still(opened: OpenPage, sizes: Sequence[tuple[int, int]]) -> None:
    """Open some of what a view has folded, on screens: nothing of a hostile text may have come to life."""
    for width, height in sizes:
        opened.page.set_viewport_size({"width": width, "height": height})
        settled(opened)
        opened.run(OPEN_SOME)
        settled(opened)
        assert not opened.is_wider_than_the_screen(), width
    assert opened.page.locator(ALIVE).count() == 0
    assert opened.page.locator("script").count() == 1


@pytest.mark.parametrize(
    "places", [pytest.param(FEW, id="few"), pytest.param(PLACES, id="all", marks=pytest.mark.long)]
)
def test_nothing_of_a_hostile_text_comes_to_life_in_any_view_and_all_are_shown_as_they_are(
    site: Site, chromium: Browser, places: list[str]
) -> None:
    with hostile(site, chromium) as opened:
        for place in places:
            goes_to(opened, place)
            if place == PLACES[1]:
                for _ in range(3 if places is PLACES else 1):
                    settled(opened)
                    opened.page.get_by_role("button", name="Show older runs").click()
                shown = opened.page.locator("main").text_content()
                assert sum(text in shown for text in ALL) >= (50 if places is PLACES else 25)
            lies_still(opened, (DESKTOP, PHONE) if places is PLACES else (PHONE,))


@pytest.mark.parametrize(
    "place",
    ["", *(pytest.param(name, marks=pytest.mark.long) for name in (PLACES[1], "market?symbol=BTC/USDT", "costs"))],
)
def test_nor_does_an_error(site: Site, chromium: Browser, place: str) -> None:
    parts = {"claude-trader/problem": " ".join(ALL), "claude-trader/remedy": REMEDY, "claude-trader/kind": MARKUP[1]}
    result = {"content": [{"type": "text", "text": "no"}], "isError": True, "_meta": parts}
    with hostile(site, chromium) as opened:
        goes_to(opened, place)
        settled(opened)  # else load would decide whether it was ever filled
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result})
        opened.page.route("**/mcp", lambda route: route.fulfill(body=body, content_type="application/json"))
        opened.page.get_by_text(REMEDY).first.wait_for()
        lies_still(opened, (DESKTOP, PHONE))
