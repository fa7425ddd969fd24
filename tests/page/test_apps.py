"""The page of a tool in a host of MCP Apps: an interactive chart in the conversation, by the protocol's own bridge."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.acceptance.hostile_texts import FORMS, TEXTS
from tests.page.conftest import Site
from tests.page.opening import SIZES
from tests.rigs.app_hosts import AppHost, app_host
from tests.rigs.browser import AXE, PHONE, Browser, OpenPage

CHART = {"symbol": "BTC/USDT", "timeframe": "4h", "strategy_name": "btc-trend", "divergence_of": "mfi(14)"}
WRITTEN = ("strategy_name", "symbol", "exchange", "note", "drawn")
"""What strangers may have written in an answer."""


@pytest.fixture(scope="module")
def host(site: Site) -> Iterator[AppHost]:
    with app_host(site.server.url) as up:
        up.calls.clear()
        yield up


@dataclass
class Conversation(OpenPage):
    """A host's page, where one answer after another is shown. `charted` is the theme of a chart that is shown as is."""

    charted: str = ""

    def show(self, host: AppHost, tool: str, arguments: dict[str, Any], **more: Any) -> Any:
        """Show the page of a tool, and return its frame."""
        self.charted = ""
        return host.show(self, tool, arguments, **more)

    def chart(self, host: AppHost, theme: str = "dark") -> Any:
        """Show `CHART`, unless that is shown, and return the frame of the chart once it is drawn."""
        if self.charted == theme:
            return self.page.frame_locator("iframe").frame_locator("iframe")
        inset = {"top": 7, "right": 0, "bottom": 0, "left": 0}
        app = self.show(host, "draw_chart", CHART, context={"theme": theme, "safeAreaInsets": inset})
        app.get_by_text("Invented prices.").wait_for()
        self.charted = theme
        return app


@pytest.fixture(scope="module")
def opened(host: AppHost, chromium: Browser) -> Iterator[Conversation]:
    with chromium.open(host.url, fresh=True) as page:
        host.lets_call(page)
        yield Conversation(page.page, page.complaints, page.requests)


@pytest.fixture
def page(host: AppHost, opened: Conversation) -> Iterator[Conversation]:
    """The host's page, of which nothing may complain, and which asks nobody but itself."""
    host.calls.clear()
    yield opened
    assert [text for text in opened.complaints if not text.startswith("debug")] == []
    assert {url.rpartition("/")[2] for url in opened.requests} <= {"host.html", "app-bridge.js", "sandbox.html"}


def in_app(page: OpenPage, script: str) -> Any:
    """Evaluate a script in the page of the tool."""
    return page.page.frames[2].evaluate(script)


def test_the_page_is_as_high_as_what_it_shows(host: AppHost, page: Conversation) -> None:
    page.chart(host)
    page.page.wait_for_function("document.querySelector('iframe').offsetHeight > 350")  # it was 150
    assert in_app(page, "document.documentElement.scrollHeight - innerHeight") <= 1


def test_only_the_host_is_heard_and_told_which_method_there_is_not(host: AppHost, page: Conversation) -> None:
    app = page.chart(host)
    lie = {"jsonrpc": "2.0", "method": "ui/notifications/tool-cancelled", "params": {"reason": "a lie"}}
    page.page.evaluate("lie => frames[0][0].postMessage(lie, '*')", lie)
    page.page.frames[2].evaluate("lie => postMessage(lie, '*')", lie)
    answer = page.page.evaluate(
        "asked => new Promise((done) => { addEventListener('message', ({ data }) => data.id === 99 && done(data));"
        "frames[0].postMessage(asked, '*'); })",
        {"jsonrpc": "2.0", "id": 99, "method": "toString"},
    )  # comes after the lie
    assert answer["error"]["code"] == -32601
    assert "a lie" not in app.locator("body").inner_text()


@SIZES
def test_a_host_shows_a_chart_that_can_be_read_by_keyboard(
    host: AppHost, page: Conversation, size: tuple[int, int]
) -> None:
    page.page.set_viewport_size({"width": size[0], "height": size[1]})
    app = page.chart(host, "light" if size == PHONE else "dark")
    assert app.get_by_role("heading", level=1).inner_text() == "BTC/USDT · 4h · simulated"
    chart = app.get_by_role("application")
    readout = chart.inner_text()
    assert all(name in readout for name in ("open", "close", "ema_50", "rsi_14", "mfi_14"))
    chart.press("ArrowLeft")
    chart.press("ArrowLeft")
    app.get_by_text("20 May 2026, 04:00").wait_for()
    assert in_app(page, "document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("theme", ["dark", pytest.param("light", marks=pytest.mark.long)])
def test_it_follows_the_hosts_theme_axe_finds_nothing_and_a_signal_stands_where_it_was_seen(
    host: AppHost, page: Conversation, theme: str
) -> None:
    app = page.chart(host, theme)
    assert in_app(page, "getComputedStyle(document.body).paddingTop") == "7px"
    color = in_app(page, "getComputedStyle(document.body).backgroundColor")
    assert color == ("rgb(16, 20, 29)" if theme == "dark" else "rgb(255, 255, 255)")
    in_app(page, AXE.read_text("utf-8"))
    assert in_app(page, "axe.run().then(result => result.violations.map(one => one.id))") == []
    page.charted = ""
    a_signal_stands_at_the_last_candle_that_it_saw(host, page, app)
    other = "light" if theme == "dark" else "dark"
    page.run(f"bridge.sendHostContextChange({{ theme: '{other}' }})")
    expect(app.locator("body")).not_to_have_css("background-color", color)


def a_signal_stands_at_the_last_candle_that_it_saw(host: AppHost, page: Conversation, app: Any) -> None:
    """Assert that of the chart of `CHART`, and let the reader go back in history, which draws it anew."""
    in_app(
        page,
        "(() => { const { chart } = document.querySelector('[role=application]'), set = chart.setMarkers;"
        "window.drawn = new Promise((done) => (chart.setMarkers = (marks) => (set(marks), done(marks)))); })()",
    )
    app.get_by_role("application").press("Home")
    marks = in_app(page, "drawn")
    assert [one["as_of"] for name, one in host.calls if name == "get_ohlcv"][-1] < "2026-03"
    last = max(one["time"] for one in marks if one["signal"] in ("BUY", "SELL"))
    assert datetime.fromtimestamp(last / 1000, UTC) == datetime(2026, 5, 20, 8, tzinfo=UTC)


def test_the_chart_asks_as_the_call_did_as_of_its_moment_and_lets_go_of_all_when_it_is_to_end(
    host: AppHost, page: Conversation
) -> None:
    app = page.show(host, "draw_chart", {**CHART, "as_of": "2026-05-10T01:00:00Z", "limit": 60})
    app.get_by_text("Invented prices.").wait_for()
    asked = dict(host.calls)
    assert {name: one["as_of"] for name, one in asked.items() if name != "list_signals"} == dict.fromkeys(
        ("get_ohlcv", "calculate_indicators", "detect_divergence"), "2026-05-10T01:00Z"
    )
    assert asked["calculate_indicators"]["indicators"] == ["ema(50)", "rsi(14)", "mfi(14)"]
    assert asked["detect_divergence"]["lookback"] == 60
    seen = in_app(page, "document.querySelector('[role=application]').chart.library.timeScale().getVisibleRange()")
    assert 55 <= (seen["to"] - seen["from"]) / 14_400 <= 61
    assert page.run("bridge.teardownResource({})") == {}
    assert app.locator("canvas").count() == 0


@pytest.mark.parametrize("tool", ["draw_chart", pytest.param("backtest_strategy", marks=pytest.mark.long)])
def test_a_backtest_is_shown_with_its_controls_and_not_counted_again(
    host: AppHost, page: Conversation, site: Site, tool: str
) -> None:
    """The page of the other tool that shows backtests is looked at by the next test, in `make test` too."""
    count = "SELECT count(*) FROM backtests"
    before = site.sample.database.read(lambda connection: connection.execute(count).fetchall())
    answer = {"content": [], "structuredContent": {"backtest_id": 2, "summary": ["It is so."]}}
    given = {"result": answer} if tool == "backtest_strategy" else {}
    app = page.show(host, tool, {"backtest_id": 2}, **given)
    app.get_by_text("Random trades it beat").wait_for()
    assert host.calls == [("backtest_strategy", {"backtest_id": 2, "trades": 20})]
    curves = app.get_by_role("application").inner_text()
    assert re.search(r"strategy\s+\S\d+\.\d+ %\s+holding\s+\S\d+\.\d+ %", curves)
    assert "After fees and slippage" in app.locator("main").inner_text()
    app.get_by_text("The last trades").click()
    assert app.locator("table.rows tr").count() == 21
    assert site.sample.database.read(lambda connection: connection.execute(count).fetchall()) == before


def test_a_backtest_that_cannot_be_looked_up_shows_the_sentences_of_its_answer(
    host: AppHost, page: Conversation
) -> None:
    answer = {"content": [], "structuredContent": {"backtest_id": 999, "summary": ["It lost, as holding did."]}}
    app = page.show(host, "backtest_strategy", {"strategy_name": "btc-trend"}, result=answer)
    app.get_by_text("There is no backtest 999.").wait_for()
    assert app.get_by_text("It lost, as holding did.").is_visible()


def test_where_the_host_lets_it_call_no_tools_it_shows_the_picture_and_nothing_of_strangers_as_markup(
    host: AppHost, page: Conversation
) -> None:
    app = page.show(host, "draw_chart", CHART, refuses=True)
    picture = app.get_by_role("img", name="BTC/USDT")
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 400
    assert "There is no interactive chart" in app.locator("main").inner_text()
    assert host.calls == []

    page.page.on("dialog", lambda dialog: page.complaints.append(f"dialog: {dialog.message}"))
    texts = [*FORMS, *TEXTS[:40], "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "javascript:alert(1)"]
    results = [
        {
            "content": [{"type": "text", "text": text}],
            "structuredContent": {**dict.fromkeys(WRITTEN, text), "timeframe": "1h"},
        }
        for text in texts
    ]
    page.page.evaluate(
        "async (results) => { for (const result of results) await bridge.sendToolResult(result); }", results
    )
    page.run("bridge.sendToolResult({ content: [], structuredContent: { symbol: 'the last one' } })")
    app.get_by_role("heading", name="the last one").wait_for()
    assert in_app(page, "document.querySelectorAll('main :is(img, svg, script, b, i, iframe)').length") == 0
    assert in_app(page, "document.documentElement.scrollWidth <= innerWidth")


def test_a_call_that_failed_or_was_cancelled_is_told(host: AppHost, page: Conversation) -> None:
    app = page.show(host, "draw_chart", {"symbol": "NOSUCH/THING/AT/ALL"})
    app.get_by_text("Unknown symbol").wait_for()
    page.run("bridge.sendToolCancelled({ reason: 'The person stopped it.' })")
    app.get_by_text("The person stopped it.").wait_for()


def test_without_an_answer_of_the_program_around_it_says_so(host: AppHost, chromium: Browser) -> None:
    with chromium.open(host.url, fresh=True) as page:
        page.page.clock.install()
        html = host.page_of("draw_chart")
        page.page.evaluate(
            "html => { document.querySelector('iframe').sandbox = 'allow-scripts';"
            "document.querySelector('iframe').srcdoc = html; }",
            html,
        )
        app = page.page.frame_locator("iframe")
        app.get_by_text("Loading").wait_for()
        page.page.clock.run_for(6_000)
        app.get_by_text("does not answer").wait_for()
