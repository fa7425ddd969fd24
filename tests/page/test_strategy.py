"""The view of a strategy: how it stands, its candles with its signals, every slot, each run and how it came about."""

import re
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Signal, SlotRow, Status
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from tests.page.conftest import Site
from tests.page.opening import FOCUSED, SIZES, heading, opened_at
from tests.page.strategy_facts import answer_of, forget, kinds_of_slots, row_of, selected
from tests.rigs.browser import PHONE, Browser, OpenPage
from tests.rigs.sample_runs import SampleRun, enter_runs
from tests.rigs.sample_strategies import ANALYSTS, TREND, analyst_versions

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

MARKERS = """(() => {
  let library;
  Object.defineProperty(window, "LightweightCharts", { get: () => library, set: (value) => {
    library = { ...value, createSeriesMarkers: (...all) => {
      const made = value.createSeriesMarkers(...all);
      return { ...made, setMarkers: (list) => { window.markers = list; made.setMarkers(list); } };
    } };
  } });
})()"""
"""Remembers the signals that a chart was given last."""

TIMES = "\N{MULTIPLICATION SIGN}"
WORDS = {
    "running": "running now", "abstained": "abstained: it could not decide", "error": "failed",
    "timeout": "took too long", "missed": "missed: it did not run",
    "skipped_overlap": "skipped: the run before was still going", "skipped_stale": "skipped: it was too late",
    "skipped_budget": "skipped: no budget left", "skipped_gate": "skipped: its wake condition did not hold",
    "drift": "drift: its cassette has no reply to what it asked",
}  # fmt: skip


def _fact(opened: OpenPage, label: str) -> Any:
    return opened.page.locator("dl.figures > div", has=opened.page.get_by_text(label, exact=True)).locator("dd")


def _rows(opened: OpenPage) -> Any:
    return opened.page.locator("table.runs tbody tr:not(.detail)")


def _squares(opened: OpenPage) -> Any:
    return opened.page.get_by_role("group", name=re.compile("^Slots, oldest first")).get_by_role("button")


@SIZES
def test_the_head_says_how_it_stands_every_slot_is_a_square_that_opens_its_run_and_a_signal_stands_on_its_candle(
    site: Site, chromium: Browser, size: tuple[int, int]
) -> None:
    kinds, row = kinds_of_slots(site, ANALYSTS), row_of(site, ANALYSTS)
    with opened_at(site, chromium, "nonsense", size, dark=size == PHONE) as opened:
        opened.page.add_init_script(MARKERS)
        opened.page.goto(f"{site.url}?#/strategy/{ANALYSTS}")
        heading(opened, ANALYSTS)
        expect(_fact(opened, "State")).to_have_text("active")
        expect(_fact(opened, "Market")).to_have_text("ETH/USDT1h candles on simulatedinvented prices")
        expect(_fact(opened, "Decided by")).to_have_text("Claude and its sub-agentsevery 1h")
        expect(_fact(opened, "Next run")).to_have_text("in 59 minutes20 May, 13:00")
        expect(_fact(opened, "Last run")).to_have_text("running now41 seconds ago")
        expect(_fact(opened, "Spent today")).to_contain_text("of $2.00 a day")
        expect(opened.page.get_by_text("Two sub-agents look at ether every hour")).to_be_visible()
        expect(_rows(opened)).to_have_count(25)
        if size == PHONE:  # at the desktop test_access.py looks
            assert opened.violations() == []
        opened.page.get_by_text(row["record"]).click()
        for sentence in answer_of(site, "get_performance", strategy_name=ANALYSTS)["summary"]:
            expect(opened.page.get_by_text(sentence, exact=True)).to_be_visible()
        squares = _squares(opened)
        expect(squares.last).to_have_attribute("aria-label", re.compile("20 May, 12:00: running now"))
        expect(squares.last).to_have_attribute("tabindex", "0")
        assert squares.evaluate_all("all => all.filter((one) => one.tabIndex === 0).length") == 1
        legend = opened.page.get_by_role("list", name="What the squares mean").get_by_role("listitem")
        counted = {text[1:] for text in legend.all_inner_texts()}
        assert counted == {f"{count} {WORDS.get(kind, kind)}" for kind, count in kinds.items()}
        expect(squares.filter(has_text=TIMES)).to_have_attribute("aria-label", re.compile("3 slots missed"))
        assert len({glyph for glyph in squares.all_inner_texts() if TIMES not in glyph}) == len(kinds) - 1
        squares.last.focus()
        for key in ("ArrowLeft", "ArrowUp", "Home", "End", "ArrowLeft"):
            opened.page.keyboard.press(key)
        expect(squares.nth(-2)).to_be_focused()
        opened.page.keyboard.press("Enter")
        expect(_rows(opened).nth(1).get_by_role("button")).to_be_focused()
        detail = opened.page.locator("tr.detail")
        expect(detail).to_contain_text("get_ohlcv")
        assert opened.violations("tr.detail") == []
        _rows(opened).nth(1).get_by_role("button").click()
        a_signal_stands_on_the_last_candle_that_it_saw(site, opened)


def a_signal_stands_on_the_last_candle_that_it_saw(site: Site, opened: OpenPage) -> None:
    """Assert that of the view of ANALYSTS, opened with MARKERS."""
    signals = selected(
        site,
        "SELECT a.signal, e.as_of FROM executions e JOIN analysis_results a ON a.execution_id = e.id "
        "JOIN strategies s ON s.id = e.strategy_id WHERE s.name = ? AND e.\"trigger\" <> 'replay'",
        ANALYSTS,
    )
    seen = [(signal, (as_of.replace(tzinfo=UTC) - timedelta(hours=1)).timestamp()) for signal, as_of in signals]
    shapes = {"BUY": "arrowUp", "SELL": "arrowDown", "HOLD": "circle"}
    drawn = f"() => window.markers?.length === {sum(signal != 'HOLD' for signal, _ in seen)}"
    opened.page.wait_for_function(drawn)
    marked = {(one["shape"], one["time"]) for one in opened.run("window.markers")}
    assert marked == {(shapes[signal], time) for signal, time in seen if signal != "HOLD"}
    opened.page.get_by_role("button", name="Show HOLD").click()
    opened.page.wait_for_function(f"() => window.markers.length === {len(seen)}")
    assert {(one["shape"], one["time"]) for one in opened.run("window.markers")} == {
        (shapes[signal], time) for signal, time in seen
    }
    opened.page.get_by_role("button", name="Show its indicators").click()
    expect(opened.page.locator(".readout")).to_contain_text("rsi_14")
    # a row points at its candle on the chart, and a candle at the row
    _rows(opened).nth(2).dispatch_event("mousemove", {"movementX": 5})  # wherever it stands while the page settles
    expect(opened.page.locator(".readout")).to_contain_text("09:00 (09:00 UTC)")
    _rows(opened).nth(1).get_by_role("button").focus()
    expect(opened.page.locator(".readout")).to_contain_text("10:00 (10:00 UTC)")
    chart = opened.page.get_by_role("application")
    chart.focus()
    chart.press("End")
    chart.press("ArrowLeft")
    chart.press("ArrowLeft")
    expect(opened.page.locator("tr.marked")).to_contain_text("20 May, 10:00")


def test_older_runs_are_loaded_on_demand_and_with_the_candles_in_sight(site: Site, chromium: Browser) -> None:
    kinds = kinds_of_slots(site, TREND)
    with opened_at(site, chromium, f"strategy/{TREND}", PHONE) as opened:
        legend = opened.page.get_by_role("list", name="What the squares mean")
        expect(legend).to_contain_text("BUY")
        assert "missed" not in legend.inner_text()
        opened.page.get_by_role("button", name="Load older slots").click()
        expect(legend).to_contain_text(f"{kinds['BUY']} BUY")
        expect(legend).to_contain_text("6 missed")
        expect(opened.page.get_by_role("button", name="Load older slots")).to_have_count(0)
        expect(_squares(opened).filter(has_text=f"{TIMES}6")).to_have_count(1)
        expect(_rows(opened)).to_have_count(25)
        opened.page.get_by_role("button", name="Show older runs").click()
        expect(_rows(opened)).to_have_count(50)
        opened.run("location.hash = '#/nonsense'")
        heading(opened, "There is no such page")
        opened.run(f"location.hash = '#/strategy/{TREND}'")
        chart = opened.page.get_by_role("application")
        expect(chart).to_have_attribute("aria-label", re.compile(": 300 closed candles"))
        expect(legend).to_contain_text("BUY")
        assert "missed" not in legend.inner_text()
        chart.focus()
        chart.press("Home")
        expect(chart).to_have_attribute("aria-label", re.compile(": 800 closed candles"))
        expect(opened.page.get_by_role("list", name="What the squares mean")).to_contain_text("6 missed")


def test_a_run_opens_to_all_that_is_known_of_it_which_stays_open_and_one_that_was_decided_in_a_chat_says_so(
    site: Site, chromium: Browser
) -> None:
    (run_id,) = selected(
        site,
        "SELECT max(e.id) FROM executions e JOIN strategies s ON s.id = e.strategy_id JOIN outcomes o "
        "ON o.execution_id = e.id WHERE s.name = ? AND e.cost_usd IS NOT NULL AND o.state = 'judged'",
        ANALYSTS,
    )[0]
    run = answer_of(site, "list_signals", execution_id=run_id)["run"]
    journal, strategy = Journal(site.sample.database, Home(site.sample.root)), analyst_versions()[-1]
    ends = site.now + timedelta(minutes=5)
    in_chat = journal.host_runs.claim(Run(strategy, "manual", site.now, "host", site.now, answer_by=ends))
    signal = Signal("SELL", Decimal(58), "The analysts agree.", 1.5)
    journal.host_runs.end(in_chat, strategy, Outcome(Status.SUCCESS, signal), site.now)
    with opened_at(site, chromium, f"strategy/{ANALYSTS}") as opened:
        row = opened.page.locator(f"#run-{run_id}")
        cost, net = f"${run['cost_usd']:.4f}", f"{abs(run['net_pct']):.2f} %"
        for text in (run["signal"], f"{run['confidence']:.0f} %", run["outcome"], net, cost, "on schedule"):
            expect(row).to_contain_text(text)
        row.get_by_role("button").click()
        detail = opened.page.locator("tr.detail")
        expect(detail).to_contain_text(run["reasoning"])
        expect(detail).to_contain_text("Its rules at the same moment")
        for agent in run["sub_agents"]:
            card = detail.locator("details.card", has_text=agent["name"])
            card.locator("summary").first.click()
            for call in agent["calls"]:
                expect(card).to_contain_text(f"{call['tool']}({call['arguments']})")
            expect(card).to_contain_text(agent["report"])
        failed = detail.locator("details details", has_text="failed").first
        failed.locator("summary").click()
        expect(failed.locator("pre")).to_contain_text("Did you mean 'ETH/USDT'?")
        expect(detail.get_by_text("seen in part")).to_be_visible()
        expect(opened.page.locator(".readout")).to_contain_text("close")
        a_new_slot_appears_and_nothing_that_is_open_closes(site, opened, detail.locator("details.card").first)
        opened.page.get_by_role("button", name="By hand").click()
        row = opened.page.locator(f"#run-{in_chat.execution_id}")
        for text in ("SELL", "58 %", "by hand, decided in a chat", "unknown"):
            expect(row).to_contain_text(text)
        opened.page.get_by_role("button", name="Signals", exact=True).click()
        expect(_rows(opened).filter(has_text="skipped")).to_have_count(0)
        expect(detail).to_be_visible()
    forget(site, [in_chat.execution_id])


def a_new_slot_appears_and_nothing_that_is_open_closes(site: Site, opened: OpenPage, card: Any) -> None:
    """Assert that of the view of ANALYSTS with a card that is open."""
    button = opened.page.locator(f"#{_rows(opened).nth(3).get_attribute('id')} button")
    button.scroll_into_view_if_needed()
    button.focus()
    place, squares = button.bounding_box()["y"], _squares(opened).count()
    at = site.now.replace(second=30, microsecond=0)
    why = "Claude's API answered <img src=x onerror=alert(1)>\u202e."
    failed = Outcome(Status.ERROR, error=why, blame="outside", **NOTHING_SPENT)
    run = SampleRun(analyst_versions()[-1], SlotRow(Status.RUNNING, at, at), failed)
    (added,) = enter_runs(site.sample.database, "live", [run])
    expect(_squares(opened)).to_have_count(squares + 1)
    expect(_rows(opened).first).to_contain_text("failed")
    expect(_rows(opened).first).to_contain_text("<img src=x onerror=alert(1)>")
    expect(card).to_have_attribute("open", "")
    assert button.evaluate(FOCUSED)
    assert button.bounding_box()["y"] == pytest.approx(place, abs=150)
    forget(site, [added])
