"""The market view in a real browser draws what the tools answer: now, in the past, and where something goes wrong."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mcp_server.domain.timeframes import to_ms
from mcp_server.settings import ServerSettings
from tests.http.conftest import Guarded, guarded
from tests.page.node import PAGE, Node
from tests.rigs.browser import DESKTOP, PHONE, Browser, OpenPage
from tests.rigs.stand_in_exchange import LISTED_MS, StandInExchange

NOW = datetime(2026, 5, 20, 12, 10, tzinfo=UTC)
HOUR_MS = 3_600_000
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
DRAWN = """() => document.querySelector("[role=application]").chart.library.panes().map((pane) => (
  pane.getSeries().map((series) => series.data().map((point) => [point.time, point.value ?? point.close])))) """


@dataclass
class Trader:
    """A server whose present a test moves: on the simulated exchange, and with Binance's stand-in."""

    server: Guarded
    rig: StandInExchange
    now: datetime = NOW

    def at(self, place: str) -> str:
        return f"http://127.0.0.1:{self.server.port}/#/{place}"

    def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Ask a tool as any client does."""
        params = {"name": tool, "arguments": arguments, "_meta": META}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
        headers = {"MCP_Protocol_Version": "2026-07-28", "MCP_Method": "tools/call", "MCP_Name": tool}
        answer = self.server.post(body, Authorization=None, **headers)
        content: dict[str, Any] = json.loads(answer.text)["result"]["structuredContent"]
        return content


class MarketPage:
    """The view as a reader meets it."""

    def __init__(self, opened: OpenPage) -> None:
        self.opened, self.page = opened, opened.page

    def drawn(self, candles: int) -> list[list[list[list[float]]]]:
        """Wait until so many candles are drawn, and return the points of each series of each pane."""
        self.until(f"{COUNT} === {candles}")
        drawn: list[list[list[list[float]]]] = self.page.evaluate(DRAWN)
        return drawn

    def until(self, condition: str) -> None:
        """Wait until the page makes something true."""
        self.page.evaluate(f"""async () => {{
          for (let frames = 1200; !({condition}); frames -= 1) {{
            if (!frames) throw new Error(`It did not come true: ${{{COUNT}}} candles`);
            await new Promise(requestAnimationFrame);
          }}
        }}""")

    def says(self, text: str) -> None:
        """Wait until the page shows a text."""
        self.page.get_by_text(text).first.wait_for()

    def press(self, *keys: str) -> None:
        """Press keys on the chart."""
        for key in keys:
            self.page.press("[role=application]", key)


COUNT = "(document.querySelector('[role=application]')?.chart?.library.panes()[0].getSeries()[0]?.data().length ?? 0)"


@pytest.fixture(scope="module")
def trader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trader]:
    with StandInExchange() as rig:
        rig.now_ms = to_ms(NOW)
        settings = ServerSettings(
            home=tmp_path_factory.mktemp("home"),
            exchange="simulated",
            exchange_urls={"binance": rig.url},
            calls_per_minute=1_000_000,
        )
        made: list[Trader] = []
        with guarded(settings, clock=lambda: made[0].now if made else NOW) as server:
            made.append(Trader(server, rig))
            yield made[0]


@pytest.fixture(autouse=True)
def healed(trader: Trader) -> Iterator[None]:
    yield
    trader.rig.heal()
    trader.rig.listed_ms = LISTED_MS
    trader.now = NOW


PAGES = """
const { candlePages } = await import("%s/candle_pages.js");
const { url, headers, meta, market, indicators } = %s;
const call = async (name, given) => {
  const params = { name, arguments: given, _meta: meta };
  const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params };
  const asked = { method: "POST", headers: { ...headers, "MCP-Name": name }, body: JSON.stringify(body) };
  return (await (await fetch(url, asked)).json()).result.structuredContent;
};
const pages = candlePages({ call, market, indicators });
await pages.later();
await pages.earlier();
console.log(JSON.stringify([pages.rows, pages.table.columns, pages.table.rows]));
"""
"""Gathers the newest page of candles with indicators and the one before it, as the view does."""


def test_each_value_of_several_pages_of_history_is_the_tools(trader: Trader, node: Node) -> None:
    """By the module that gathers them; test_chart.py shows that what it gathers is drawn."""
    specs, market = ["ema(50)", "obv"], {"symbol": "BTC/USDT", "timeframe": "15m"}
    headers = {
        "Accept": "application/json, text/event-stream", "Content-Type": "application/json",
        "MCP-Protocol-Version": "2026-07-28", "MCP-Method": "tools/call",
    }  # fmt: skip
    asked = {"url": trader.server.url, "headers": headers, "meta": META, "market": market, "indicators": specs}
    rows, columns, values = node(PAGES % (PAGE, json.dumps(asked)))
    assert rows == trader.ask("get_ohlcv", **market, limit=1000)["rows"]
    told = trader.ask("calculate_indicators", **market, indicators=specs, last=800)
    assert (len(values), columns) == (1000, told["columns"])
    (times, close, ema, obv), expected = zip(*values[-800:], strict=True), [*zip(*told["rows"], strict=True)]
    assert [times, close] == expected[:2]
    assert ema == pytest.approx(expected[2], rel=1e-7)
    changes, moves = ([value - one[0] for value in one] for one in (obv, expected[3]))
    assert changes == pytest.approx(moves, abs=1e-5), "a running total: only its changes count, over borders too"


@pytest.mark.long
def test_each_value_drawn_is_the_tools_over_several_pages_of_history(trader: Trader, chromium: Browser) -> None:
    specs = ["ema(50)", "rsi(14)", "macd(12,26,9)", "obv"]
    with chromium.open(trader.at(f"market?symbol=BTC/USDT&timeframe=15m&indicators={';'.join(specs)}")) as opened:
        market = MarketPage(opened)
        market.drawn(500)
        market.press("Home")
        panes = market.drawn(1000)
    candles = trader.ask("get_ohlcv", symbol="BTC/USDT", timeframe="15m", limit=1000)["rows"]
    assert panes[0][0] == [[seconds(row[0]), row[4]] for row in candles]
    assert panes[0][1] == [[seconds(row[0]), row[5]] for row in candles]
    told = trader.ask("calculate_indicators", symbol="BTC/USDT", timeframe="15m", indicators=specs, last=800)
    columns = dict(zip(told["columns"], zip(*told["rows"], strict=True), strict=True))
    series = [panes[0][2], panes[1][0], *panes[2], panes[3][0]]
    for points, name in zip(series, told["columns"][2:], strict=True):
        assert len(points) == 1000
        values, expected = [value for _, value in points[-800:]], list(columns[name])
        if name == "obv":  # a running total: only its changes count, over the borders of pages too
            values, expected = ([value - some[0] for value in some] for some in (values, expected))
        assert values == pytest.approx(expected, rel=1e-7, abs=1e-5)
    assert opened.complaints == []


def test_a_candle_appears_when_it_closes_and_the_price_when_it_changes(trader: Trader, chromium: Browser) -> None:
    with chromium.open(trader.at("market?symbol=ETH/USDT&timeframe=15m&indicators=rsi(14)")) as opened:
        market = MarketPage(opened)
        before = market.drawn(500)
        market.says("Only closed candles are drawn.")
        trader.now += timedelta(minutes=14)
        after = market.drawn(501)
        assert after[0][0][:-1] == before[0][0]
        assert after[0][0][-1][0] - before[0][0][-1][0] == 900
        assert after[1][0][-1][0] == after[0][0][-1][0]
        price = trader.ask("get_price", symbol="ETH/USDT")["price"]
        market.says(f"{price:,}")
        last = "document.querySelector('[role=application]').chart.library.timeScale().getVisibleLogicalRange().to"
        market.until(f"{last} >= 500")
        assert opened.complaints == []


def test_as_of_a_moment_nothing_later_is_drawn_and_the_price_is_that_of_then(trader: Trader, chromium: Browser) -> None:
    then = "2017-12-01T00:30:00Z"
    with chromium.open(trader.at(f"market?symbol=PEPE/USDT&timeframe=1w&indicators=none&as_of={then}")) as opened:
        market = MarketPage(opened)
        rows = trader.ask("get_ohlcv", symbol="PEPE/USDT", timeframe="1w", limit=500, as_of=then)["rows"]
        panes = market.drawn(len(rows))
        assert panes[0][0] == [[seconds(row[0]), row[4]] for row in rows]
        close = f"{rows[-1][4]:.12f}".rstrip("0")
        assert f"close {close}" in " ".join(opened.page.inner_text(".readout").split())
        assert "UTC" in opened.page.inner_text(".readout span")
        market.says(f"{trader.ask('get_price', symbol='PEPE/USDT', as_of=then)['price']:.12f}".rstrip("0"))
        market.press("Home")
        market.says("History begins on")
        market.drawn(len(rows))
        opened.page.get_by_role("combobox", name="Market").focus()
        opened.page.locator(".choice small", has_text="now").wait_for()


@pytest.mark.long
def test_history_of_a_real_exchange_goes_over_a_gap_to_its_first_candle_and_ends(
    trader: Trader, chromium: Browser
) -> None:
    """In `make test`, test_candle_pages.py goes over such a gap without a chart."""
    rig, first = trader.rig, to_ms(NOW) // HOUR_MS * HOUR_MS - 1_300 * HOUR_MS
    rig.listed_ms = first
    rig.missing = {first + at * HOUR_MS for at in range(200, 780)}  # longer than one answer
    with chromium.open(trader.at("market?symbol=ETH/USDT&exchange=binance&timeframe=1h&indicators=sma(5)")) as opened:
        market = MarketPage(opened)
        market.drawn(500)
        market.press("Home")
        market.drawn(520)
        market.press("Home")
        panes = market.drawn(720)
        market.press("Home")
        market.says("History begins on")
        opens = (first + at * HOUR_MS for at in range(1_300))
        expected = [rig.candle("ETH", "USDT", at, HOUR_MS) for at in opens if at not in rig.missing]
        assert panes[0][0] == [[row[0] / 1000, row[4]] for row in expected]
        asked = len(rig.log)
        market.press("End", "Home", "ArrowRight", "Home")
        assert [entry for entry in rig.log[asked:] if "klines" in entry[0]] == []
        assert opened.complaints == []


def test_what_an_exchange_does_wrong_is_said_with_its_remedy_and_mends_itself(
    trader: Trader, chromium: Browser
) -> None:
    with chromium.open(trader.at("market?symbol=NOSUCH/USDT&exchange=binance")) as opened:
        market, notice = MarketPage(opened), opened.page.locator("main .notice")
        notice.get_by_text("Unknown symbol").wait_for()
        assert "find_markets" in notice.inner_text() or "Did you mean" in notice.inner_text()
        trader.rig.faults.status = 503
        opened.page.goto(trader.at("market?symbol=ETH/BTC&exchange=binance&timeframe=1d"))
        notice.get_by_text("binance").first.wait_for()
        assert "Unknown symbol" not in notice.inner_text()
        trader.rig.heal()
        market.drawn(500)
        notice.wait_for(state="detached")
        assert all("503" in complaint or "Failed to load" in complaint for complaint in opened.complaints)


def test_a_slow_exchange_says_whom_it_waits_for_and_can_be_left(trader: Trader, chromium: Browser) -> None:
    trader.rig.faults.latency_s = 3
    with chromium.open(trader.at("market?symbol=BTC/USDC&exchange=binance&timeframe=5m")) as opened:
        MarketPage(opened).says("Asking binance for BTC/USDC")
        opened.page.get_by_role("link", name="Costs").click()
        opened.page.get_by_role("heading", name="Costs").wait_for()
        assert opened.page.locator(".notice").count() == 0
        assert opened.complaints == []


def test_a_wrong_indicator_is_told_and_the_rest_drawn_and_a_market_chosen_by_keyboard_is_kept(
    trader: Trader, chromium: Browser
) -> None:
    """Commas part the indicators of a link as well as semicolons, but not those within brackets."""
    place = "market?symbol=BTC/USDT&timeframe=1h&indicators=rsi(14),foo(3),bbands(20, 2);ema(5000)"
    with chromium.open(trader.at(place)) as opened:
        market = MarketPage(opened)
        panes = market.drawn(500)
        assert [len(series) for series in panes] == [5, 1], "candles, volume, three bands; RSI below"
        notices = opened.page.locator(".notice").all_inner_texts()
        assert [text.partition(".")[0] for text in notices] == [
            "Unknown indicator 'foo'",
            "'ema(5000)': timeperiod is 5000, out of range",
        ]
        chips = [
            text.split(" \N{MULTIPLICATION SIGN}")[0] for text in opened.page.locator(".chips button").all_inner_texts()
        ]
        assert chips == ["rsi(14)", "foo(3)", "bbands(20, 2)", "ema(5000)"]
        assert "invented prices" in opened.page.locator("dl.figures").inner_text()
        assert opened.violations("main > section > *, .notice") == []
        opened.page.get_by_role("combobox", name="Add an indicator").fill("ema(20), ema(50)")
        opened.page.keyboard.press("Enter")
        opened.page.get_by_label("Remove ema(50)").wait_for()
        a_market_is_chosen_by_keyboard_and_kept_and_what_is_half_typed_not(opened)
        assert opened.complaints == []


def a_market_is_chosen_by_keyboard_and_kept_and_what_is_half_typed_not(opened: OpenPage) -> None:
    """Assert that of a market with one indicator."""
    opened.run("location.hash = '#/market?symbol=BTC/USDT&timeframe=1d&indicators=ema(50)'")
    opened.page.get_by_role("application", name="BTC/USDT, 1d").wait_for()
    page, symbol = opened.page, opened.page.get_by_role("combobox", name="Market")
    symbol.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("doge")
    page.get_by_role("option", name="DOGE/USDT spot").wait_for()
    chosen = page.locator("[role=option][aria-selected=true]")
    while "DOGE/USDT spot" not in " ".join(" ".join(chosen.all_inner_texts()).split()):
        page.keyboard.press("ArrowDown")
    told = page.locator(f"[id='{symbol.get_attribute('aria-activedescendant')}']")
    assert told.get_attribute("aria-selected") == "true"
    page.keyboard.press("Enter")
    page.wait_for_url("**symbol=DOGE%2FUSDT**")
    page.get_by_role("application", name="DOGE/USDT, 1d").wait_for()
    symbol.fill("half-typed")
    page.get_by_role("combobox", name="Exchange").focus()
    assert symbol.input_value() == "DOGE/USDT"
    page.get_by_role("button", name="Remove ema(50)").press("Enter")
    page.wait_for_url("**indicators=none**")
    opened.run("location.hash = '#/nonsense'")
    page.get_by_role("heading", name="There is no such page").wait_for()
    opened.run("location.hash = '#/market'")
    page.get_by_role("application", name="DOGE/USDT, 1d").wait_for()


@pytest.mark.long
def test_all_is_chosen_by_keyboard_and_shared_by_the_address(trader: Trader, chromium: Browser) -> None:
    with chromium.open(trader.at("market?symbol=BTC/USDT&timeframe=1h&indicators=ema(50)")) as opened:
        market, page = MarketPage(opened), opened.page
        market.drawn(500)
        symbol = page.get_by_role("combobox", name="Market")
        symbol.focus()
        page.keyboard.press("Control+a")
        page.keyboard.type("doge")
        page.get_by_role("option", name="DOGE/USDT spot").wait_for()
        while "DOGE/USDT spot" not in (page.locator("[role=option][aria-selected=true]").all_inner_texts() or [""])[
            0
        ].replace("\n", " "):
            page.keyboard.press("ArrowDown")
        chosen = symbol.get_attribute("aria-activedescendant")
        assert page.locator(f"[id='{chosen}']").get_attribute("aria-selected") == "true"
        page.keyboard.press("Enter")
        page.wait_for_url("**symbol=DOGE%2FUSDT**")
        assert symbol.input_value() == "DOGE/USDT"
        assert page.locator(".choice [role=option]").count() == 0
        page.get_by_role("application", name="DOGE/USDT, 1h").wait_for()

        page.get_by_role("combobox", name="Timeframe").select_option("1d")
        page.get_by_role("application", name="DOGE/USDT, 1d").wait_for()
        page.get_by_role("button", name="Remove ema(50)").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**indicators=none**")
        page.get_by_role("combobox", name="Add an indicator").focus()
        page.keyboard.type("ema(9) of rsi(14)")
        page.keyboard.press("Enter")
        page.get_by_role("combobox", name="Add an indicator").focus()
        page.keyboard.type("strength")
        page.get_by_role("option", name="rsi").first.wait_for()
        page.keyboard.press("Escape")
        assert page.locator(".choice [role=option]").count() == 0
        page.keyboard.press("Control+a")
        page.keyboard.type("rsi")
        page.get_by_role("option", name="rsi(14)").first.wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Remove rsi(14)").wait_for()
        market.until("document.querySelector('.readout')?.innerText.includes('ema_9_of_rsi_14')")

        page.evaluate("location.hash = '#/market'")
        page.reload()
        page.get_by_role("application", name="DOGE/USDT, 1d").wait_for()
        assert page.get_by_role("button", name="Remove ema(9) of rsi(14)").count() == 1
        assert opened.complaints == []


@pytest.mark.parametrize(
    ("size", "themes"),
    [
        pytest.param(PHONE, ["light"], id="light phone", marks=pytest.mark.long),
        pytest.param(PHONE, ["dark"], id="dark phone", marks=pytest.mark.long),
        pytest.param(DESKTOP, ["light", "dark"], id="desktop", marks=pytest.mark.long),
    ],
)
def test_it_fits_its_screen_and_everyone_can_use_it(
    trader: Trader, chromium: Browser, size: tuple[int, int], themes: list[str]
) -> None:
    """In `make test`, test_access.py looks at each screen in the dark, and another test chooses and mistypes here."""
    place = "market?symbol=BTC/USDT:USDT&indicators=bbands(20,2);rsi(14);macd"
    with chromium.open(trader.at(place), size) as opened:
        market = MarketPage(opened)
        market.until(f"{COUNT} > 400")
        market.says("Last funding")
        opened.page.get_by_role("combobox", name="Market").focus()
        opened.page.locator(".choice [role=option]").first.wait_for()
        for theme in themes:
            opened.page.emulate_media(color_scheme=theme)
            assert opened.violations() == []
        assert not opened.is_wider_than_the_screen()
        assert opened.complaints == []
        assert max(opened.colors_of("[role=application]")) > 10
        opened.page.get_by_role("combobox", name="Market").fill("eth")
        opened.page.get_by_role("option", name="ETH/USDT spot").click()
        opened.page.get_by_role("application", name="ETH/USDT, 1h").wait_for()
        opened.page.get_by_role("combobox", name="Market").fill("half-typed")
        opened.page.get_by_role("combobox", name="Exchange").focus()
        assert opened.page.get_by_role("combobox", name="Market").input_value() == "ETH/USDT"


def seconds(moment: str) -> float:
    """Return an ISO moment as Unix seconds."""
    return datetime.fromisoformat(moment).timestamp()
