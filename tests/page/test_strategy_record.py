"""The view of a strategy: its record beside its controls, backtests, files, its past, and what is out of order."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from mcp_server.domain.backtest.summary import probability
from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Signal, SlotRow, Status
from mcp_server.domain.strategy.parse import parse_strategy
from tests.acceptance.hostile_texts import TEXTS
from tests.page.conftest import Site
from tests.page.opening import SIZES, heading, opened_at
from tests.page.strategy_facts import answer_of, kinds_of_slots, nets_of, row_of, selected, with_strategy
from tests.rigs.browser import DESKTOP, PHONE, Browser, OpenPage
from tests.rigs.sample_runs import SampleRun
from tests.rigs.sample_strategies import ANALYSTS, BROKEN, NEW, PAUSED, TREND

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


def _figure(opened: OpenPage, label: str) -> Any:
    return opened.page.locator("dl.figures > div", has=opened.page.get_by_text(label, exact=True)).locator("dd")


def _percent(value: float) -> str:
    return f"{value:+.2f} %".replace("-", "\N{MINUS SIGN}")


@SIZES
def test_a_record_and_backtests_are_shown_beside_their_controls_and_files_can_be_compared(
    site: Site, chromium: Browser, size: tuple[int, int]
) -> None:
    score = answer_of(site, "get_performance", strategy_name=TREND, curve=True)
    nets = nets_of(site, TREND)
    with opened_at(site, chromium, f"strategy/{TREND}?tab=record", size, dark=size == PHONE) as opened:
        for sentence in score["summary"]:
            expect(opened.page.get_by_text(sentence, exact=True)).to_be_visible()
        right, low, high = (f"{100 * rate:.0f} %" for rate in (score["hit_rate"], *score["hit_rate_ci95"]))
        figure = _figure(opened, "Right")
        expect(figure).to_contain_text(right)
        expect(figure).to_contain_text(f"{sum(net > 0 for net in nets)} of {len(nets)}")
        expect(figure).to_contain_text(f"{low} to {high}")
        expect(figure).to_contain_text(f"{100 * score['base_rate']:.0f} % (base rate)")
        expect(_figure(opened, "Mean net of a signal")).to_contain_text(_percent(sum(nets) / len(nets)))
        expect(_figure(opened, "Mean net of a signal")).to_contain_text(_percent(score["hold_pct"]))
        expect(_figure(opened, "Evidence")).to_contain_text(f"e-value {score['e_value']:.2f}")
        expect(_figure(opened, "Judged")).to_contain_text(f"{score['pending']} pending")
        # the curve ends where the answer does
        ends = [f"{name} {_percent(score['rows'][-1][at])}" for at, name in ((1, "its record"), (2, "holding"))]
        for end in ends:
            expect(opened.page.locator(".readout")).to_contain_text(end)
        assert len(opened.colors_of("[role=application]")) > 0
        bins = opened.page.locator("table", has_text="Confidence stated")
        expect(bins).to_contain_text(f"{100 * score['calibration']['bins'][0][2]:.0f} %")
        assert opened.violations("main :is(dl, table, .readout)" if size == DESKTOP else None) == []
        opened.page.get_by_role("link", name="Backtests", exact=True).click()
        backtests_are_shown_with_their_controls(site, opened)
        opened.page.get_by_role("link", name="Files", exact=True).click()
        files_are_readable_and_two_versions_compared(site, opened)


@pytest.mark.long
def test_a_record_of_few_signals_says_that_they_are_too_few(site: Site, chromium: Browser) -> None:
    """In `make test`, the view of a past moment does so."""
    score = answer_of(site, "get_performance", strategy_name=PAUSED)
    assert score["evidence"] == "too_few"
    with opened_at(site, chromium, f"strategy/{PAUSED}?tab=record") as opened:
        expect(_figure(opened, "Evidence")).to_contain_text("Too few to say")
        expect(_figure(opened, "Judged")).to_contain_text(f"{score['judged']}")
        opened.run(f"location.hash = '#/strategy/{ANALYSTS}?tab=record'")
        twin = answer_of(site, "get_performance", strategy_name=ANALYSTS)["twin"]
        expect(_figure(opened, "Its rules alone")).to_contain_text(f"{twin['judged']} judged")
        expect(opened.page.get_by_role("row", name=re.compile("price-analyst"))).to_contain_text(
            re.compile("too few|%")
        )


def backtests_are_shown_with_their_controls(site: Site, opened: OpenPage) -> None:
    """Assert that of the view of TREND."""
    made = answer_of(site, "read_strategy", strategy_name=TREND, backtests=True)["backtests"]
    recorded = selected(site, "SELECT figures->>'$.return_pct' FROM backtests ORDER BY id DESC")
    cards = opened.page.locator("ol.backtests > li")
    expect(cards).to_have_count(len(made))
    for card, backtest, (return_pct,) in zip(cards.all(), made, recorded, strict=True):
        controls = backtest["controls"]
        expect(card).to_contain_text(backtest["summary"])
        expect(card.locator("dd").first).to_contain_text(_percent(float(return_pct)))
        expect(card).to_contain_text(f"buying and holding: {_percent(backtest['buy_and_hold_pct'])}")
        for control in (
            "bar_later_return_pct",
            "double_cost_return_pct",
            "first_70_return_pct",
            "last_30_return_pct",
        ):
            expect(card).to_contain_text(_percent(controls[control]))
        expect(card).to_contain_text(f"{controls['random_percentile']:.1f} %of random entries did worse")
        trials = "1 trial" if backtest["trials"] == 1 else f"{backtest['trials']} trials"
        likely = f"{probability(backtest['sharpe_deflated'])} likely to be more than the luck of {trials}"
        expect(card).to_contain_text(likely)
    expect(opened.page.get_by_text(f"claude-trader backtest {TREND}")).to_be_visible()
    assert opened.violations("ol.backtests > li:first-child") == []


def files_are_readable_and_two_versions_compared(site: Site, opened: OpenPage) -> None:
    """Assert that of the view of TREND."""
    files = answer_of(site, "read_strategy", strategy_name=TREND)
    versions = [files["version"], *(version for version, _ in files["earlier"])]
    changed = answer_of(site, "read_strategy", strategy_name=TREND, version=versions[2])["changed_since"]
    expect(opened.page.get_by_text(files["config"]["rules"]["buy"], exact=True).first).to_be_visible()
    expect(opened.page.locator("ol.versions li")).to_have_count(3)
    opened.page.get_by_label("What changed from").select_option(versions[2])
    difference = opened.page.locator("[data-key=difference]")
    expect(difference).to_contain_text("close > ema_20 AND rsi_14 < 70")
    keys = {line.partition(":")[0] for line in changed}
    assert {*difference.locator("dt").all_inner_texts()} == keys
    expect(difference.locator("ins").first).to_have_text(files["config"]["rules"]["buy"])
    opened.page.get_by_role("combobox", name="to", exact=True).select_option(versions[1])
    expect(difference.locator("ins").first).to_have_text("close > ema_20 AND rsi_14 < 65")
    assert opened.violations("main [data-key=difference], main select") == []


@pytest.mark.long
def test_a_keyboard_goes_from_part_to_part_and_the_address_follows(site: Site, chromium: Browser) -> None:
    """In `make test`, a click does so in the past."""
    with opened_at(site, chromium, f"strategy/{TREND}?tab=files") as opened:
        opened.page.get_by_role("link", name="Record", exact=True).focus()
        opened.page.keyboard.press("Enter")
        expect(opened.page.get_by_text("Equity of its record")).to_be_visible()
        assert opened.run("location.hash").endswith("tab=record")
        expect(opened.page.get_by_role("link", name="Record", exact=True)).to_be_focused()
        opened.run(f"location.hash = '#/strategy/{ANALYSTS}?tab=files'")
        opened.page.locator("details", has_text="momentum-analyst").locator("summary").click()
        expect(opened.page.get_by_text("Use calculate_rsi with timeframe 1h. Report as JSON.")).to_be_visible()


def test_all_of_it_is_as_of_the_moment_of_the_slider(site: Site, chromium: Browser) -> None:
    moment = "2026-05-19T09:30:00Z"
    sql = """
    SELECT count(*) FROM executions e JOIN strategies s ON s.id = e.strategy_id
    WHERE s.name = ? AND e."trigger" = 'schedule' AND e.as_of <= '2026-05-19 09:30:00'
    """
    ((slots,),) = selected(site, sql, ANALYSTS)
    with opened_at(site, chromium, f"strategy/{ANALYSTS}?as_of={moment}") as opened:
        squares = opened.page.get_by_role("group", name=re.compile("^Slots, oldest first")).get_by_role("button")
        expect(squares).to_have_count(slots)
        expect(squares.last).to_have_attribute("aria-label", re.compile("19 May, 09:00"))
        expect(opened.page.locator(".readout")).to_contain_text("Tue, 19 May 2026, 08:00")
        expect(opened.page.locator("table.runs tbody tr").first).to_contain_text("19 May, 09:00")
        opened.page.get_by_role("link", name="Record", exact=True).click()
        then = answer_of(site, "get_performance", strategy_name=ANALYSTS, as_of=moment)
        assert then["evidence"] == "too_few"
        expect(_figure(opened, "Evidence")).to_contain_text("Too few to say")
        expect(_figure(opened, "Judged")).to_contain_text(f"{then['judged']}")
        expect(_figure(opened, "Its rules alone")).to_contain_text(f"{then['twin']['judged']} judged")
        agent = opened.page.get_by_role("row", name=re.compile("price-analyst"))
        expect(agent).to_contain_text(re.compile("too few|%"))
        assert "as_of=2026" in opened.run("location.hash")
        opened.run(f"location.hash = '#/strategy/{TREND}?as_of=2026-01-01T00:00:00Z'")
        heading(opened, TREND)
        expect(opened.page.get_by_text("This strategy did not exist at that moment.")).to_be_visible()
        expect(opened.page.get_by_role("navigation", name="Parts of this strategy")).to_be_hidden()


def test_what_is_out_of_order_says_what_to_do_and_leaves_the_rest(site: Site, chromium: Browser) -> None:
    with opened_at(site, chromium, "strategy/nowhere") as opened:
        expect(opened.page.get_by_text("Unknown strategy 'nowhere'.").first).to_be_visible()
        assert opened.page.title() == "nowhere · Claude Trader"
        expect(opened.page.get_by_role("link", name="See all strategies")).to_be_visible()
        expect(opened.page.get_by_role("navigation", name="Parts of this strategy")).to_be_hidden()
        opened.run(f"location.hash = '#/strategy/{BROKEN}'")
        expect(_figure(opened, "State")).to_have_text("broken")
        expect(opened.page.get_by_text("is not JSON")).to_have_count(1)
        expect(opened.page.get_by_text("It has not run yet.")).to_be_visible()
        assert row_of(site, BROKEN)["description"].startswith("broken")
        opened.run("location.hash = '#/strategy/rsi-reversion'")
        expect(opened.page.get_by_text("claude-trader strategies add rsi-reversion")).to_be_visible()
        assert opened.violations("main :is(.empty, .notice)") == []


@pytest.mark.long
def test_a_strategy_that_is_new_says_what_starts_it(site: Site, chromium: Browser) -> None:
    """In `make test`, test_replays.py opens one that has not run."""
    with opened_at(site, chromium, f"strategy/{NEW}") as opened:
        expect(opened.page.get_by_text(f"claude-trader run {NEW}")).to_be_visible()
        expect(opened.page.get_by_role("application")).to_have_attribute("aria-label", re.compile("300 closed candles"))
        opened.page.get_by_role("link", name="Record", exact=True).click()
        expect(opened.page.get_by_text("There is no BUY or SELL to judge yet.")).to_be_visible()
        assert opened.violations("main :is(.empty, .notice)") == []
        assert not kinds_of_slots(site, NEW)


@pytest.mark.long
def test_texts_of_strangers_are_shown_as_texts(site: Site, chromium: Browser) -> None:
    """In `make test`, test_hostile_page.py shows others in this view, and test_news.py some of a run."""
    texts = TEXTS[3:47]
    rules = {"timeframe": "15m", "indicators": ["rsi(14)"], "buy": "crosses_above(rsi_14, 30)"}
    config = {"trading_pair": "DOGE/USDT", "exchange": "simulated", "interval": "15m", "rules": rules}
    name = f"hostile-{len(texts)}"
    strategy = parse_strategy(name, {"description": "<img src=x onerror=alert(1)>", **config}, None)
    runs, then = [], site.now - timedelta(minutes=5)
    for text in [*texts, *TEXTS[-6:]]:
        data = {"sub_agent_results": {text: {"leans": text, "note": text}}, "twin": {"signal": text, "reasoning": text}}
        calls = [{"tool": text, "arguments": {text: text}, "result": text, "is_error": False}]
        trace = {"sub_agents": [{"name": text, "started": True, "reported": False, "missing": text, "calls": calls}]}
        outcome = Outcome(
            Status.SUCCESS, Signal("BUY", Decimal(50), text, 0.1, data), trace=trace, model=text, **NOTHING_SPENT
        )
        slot = SlotRow(Status.RUNNING, then, then)
        runs.append(SampleRun(strategy, slot, outcome, trigger="manual", began_at=then))
    with (
        with_strategy(site, strategy, runs),
        opened_at(site, chromium, f"strategy/{name}", PHONE) as opened,
    ):
        expect(opened.page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
        rows = opened.page.locator("table.runs tbody tr")
        expect(rows).not_to_have_count(0)
        while (shown := rows.count()) < len(runs):  # an answer may have no room for 25
            opened.page.get_by_role("button", name="Show older runs").click()
            expect(rows).not_to_have_count(shown)
        expect(rows).to_have_count(len(runs))
        opened.run("document.querySelectorAll('table.runs tbody button').forEach((button) => button.click())")
        expect(opened.page.locator("tr.detail h3", has_text="Sub-agents")).to_have_count(len(runs))
        opened.run("document.querySelectorAll('tr.detail details').forEach((part) => (part.open = true))")
        expect(opened.page.get_by_text("<script>alert(1)</script>").first).to_be_visible()
        assert opened.page.locator("main script, main img, main iframe, main a[href^=javascript]").count() == 0
        assert not opened.is_wider_than_the_screen()


@pytest.mark.long
def test_a_history_of_three_pages_is_shown_to_its_first_run(site: Site, chromium: Browser) -> None:
    """In `make test`, `tests/tools/test_journal_tools.py` asks for page after page."""
    config = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1h", "rules": {"buy": "close > 1"}}
    strategy = parse_strategy("long-lived", config, None)
    slots = [site.now.replace(minute=0, second=0) - timedelta(hours=hour) for hour in range(1, 301)]
    runs = [SampleRun(strategy, SlotRow(Status.MISSED, slot, slot, 1, "Nothing ran.")) for slot in slots]
    with (
        with_strategy(site, strategy, runs),
        opened_at(site, chromium, "strategy/long-lived") as opened,
    ):
        rows = opened.page.locator("table.runs tbody tr")
        opened.page.get_by_role("button", name="All runs").click()
        older = opened.page.get_by_role("button", name="Show older runs")
        expect(rows).to_have_count(25)
        for count in (*range(50, 300, 25), 300):
            older.click()
            expect(rows).to_have_count(count)
        expect(older).to_have_count(0)
        shown = rows.locator("time").evaluate_all("all => all.map(time => time.dateTime)")
        times = [time for time in shown if time]
        assert times == sorted(set(times), reverse=True), "each once, the newest first"
        assert len(times) == len(runs)


@pytest.mark.long
def test_an_exchange_that_cannot_be_reached_leaves_the_rest(site: Site, chromium: Browser) -> None:
    """In `make test`, test_market.py shows what such an exchange makes of a chart."""
    rules = {"timeframe": "1h", "buy": "close > prev(close, 1)"}
    config = {"trading_pair": "BTC/USD", "exchange": "kraken", "interval": "1h", "rules": rules}
    strategy = parse_strategy("far-away", config, None)
    then = site.now - timedelta(minutes=5)
    missed = SampleRun(strategy, SlotRow(Status.MISSED, then, then, 1, "Nothing ran."))
    with with_strategy(site, strategy, [missed]), opened_at(site, chromium, "strategy/far-away") as opened:
        expect(opened.page.locator(".notice", has_text="kraken")).to_be_visible()
        expect(opened.page.locator("table.runs tbody tr")).to_have_count(1)
        expect(_figure(opened, "State")).to_have_text("active")
