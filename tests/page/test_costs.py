"""Costs in a real browser: by day and strategy, the budget, and what is not known shown as unknown."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from mcp_server.domain.timeframes import to_ms
from mcp_server.settings import ServerSettings
from tests.http.conftest import guarded
from tests.page.conftest import NOW, Site
from tests.page.opening import FOCUSED, SIZES, THEMES, heading, opened_at
from tests.page.strategy_facts import answer_of
from tests.rigs import sample_strategies as names
from tests.rigs.browser import DESKTOP, Browser, OpenPage
from tests.scoring.journal import MadeRun, database_of, enter_all, enter_runs, write_strategy

DAY_MS = 24 * 3_600_000
NO_LIMIT = "\u2013"
HEIGHTS = "[...document.querySelectorAll('rect')].map(bar => [bar.getAttribute('class'), bar.height.baseVal.value])"


def table(opened: OpenPage, caption: str) -> dict[str, list[str]]:
    """Return the cells of a table, by the head of each row."""
    rows = opened.page.get_by_role("region", name=caption).locator("tbody tr")
    rows.first.wait_for()
    return {
        row.locator("th").inner_text().strip(): [cell.strip() for cell in row.locator("td").all_text_contents()]
        for row in rows.all()
    }


@SIZES
def test_costs_stand_as_the_tool_tells_them_in_words_too_and_the_keyboard_chooses_the_days(
    site: Site, chromium: Browser, size: tuple[int, int]
) -> None:
    answer = answer_of(site, "get_costs")
    with opened_at(site, chromium, "costs", size) as opened:
        heading(opened, "Costs")
        by_strategy, by_day = table(opened, "Costs by strategy"), table(opened, "Costs by day (UTC)")
        paid = [row for row in answer["rows"] if row[1] == names.ANALYSTS]
        known, unknown = sum(row[3] or 0 for row in paid), sum(row[4] for row in paid)
        runs, most = str(sum(row[2] for row in paid)), sum(row[5] or 0 for row in paid)
        assert by_strategy[names.ANALYSTS] == [runs, f"${known:.2f}", f"{unknown} runs", f"${most:.2f}"]
        assert by_strategy[names.TREND][1:] == ["$0.00", "none", NO_LIMIT]
        assert {*by_day} == {row[0] for row in paid}, "days that cost nothing are left out"
        for day, _, _, cost, missing, *_ in paid:
            assert by_day[day][1:3] == [f"${cost:.2f}", f"{missing} run{'' if missing == 1 else 's'}"]
        assert opened.page.locator(".bars g").count() == 30
        region = opened.page.get_by_role("region", name="Costs by strategy")
        region.focus()
        assert region.evaluate(FOCUSED)
        picture = opened.page.get_by_role("img", name="A bar for each of 30 days; the table below has the figures.")
        assert picture.locator("title").last.text_content().startswith("2026-05-20: $")
        opened.page.get_by_label("Show the last").focus()
        opened.page.keyboard.press("ArrowUp")
        opened.page.locator(".bars g").nth(7).wait_for(state="detached")
        assert opened.page.locator(".bars g").count() == 7
        assert opened.run("location.hash") == "#/costs?days=7"
        assert opened.page.get_by_label("Show the last").input_value() == "7"


@pytest.fixture(scope="module")
def dear(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A home that spent 4.00 yesterday and 1.50 today; what two more runs cost is unknown, 0.50 each at most."""
    home = tmp_path_factory.mktemp("dear")
    now_ms = to_ms(NOW)
    strategy = write_strategy(home)
    runs = [MadeRun(now_ms - DAY_MS, "BUY", cost_usd=4.0), MadeRun(now_ms - 60_000, "BUY", cost_usd=1.5)]
    enter_runs(home, strategy, [*runs, MadeRun(now_ms - 50_000, status="timeout", cost_usd=None, engine="claude")])
    odd = MadeRun(now_ms - 2 * DAY_MS, status="timeout", cost_usd=None, engine="claude")
    enter_runs(home, write_strategy(home, "odd"), [odd])

    def reserve(connection: Any) -> None:
        connection.execute("UPDATE executions SET reserved_usd = 0.5, reserved_at = started_at WHERE cost_usd IS NULL")

    database_of(home).write(reserve)
    with guarded(ServerSettings(home=home, exchange="simulated"), clock=lambda: NOW) as up:
        yield f"http://127.0.0.1:{up.port}/#/costs"


@THEMES
def test_a_budget_is_a_line_and_unknown_costs_stand_beside_known_ones(dear: str, chromium: Browser, dark: bool) -> None:
    with chromium.open(dear, dark=dark, now=NOW) as opened:
        by_day = table(opened, "Costs by day (UTC)")
        assert by_day == {
            "2026-05-20": ["2", "$1.50", "1 run", "$0.50"], "2026-05-19": ["1", "$4.00", "none", NO_LIMIT],
            "2026-05-18": ["1", "unknown", "1 run", "$0.50"],
        }  # fmt: skip
        assert table(opened, "Costs by strategy")["odd"] == ["1", "unknown", "1 run", "$0.50"]
        assert opened.page.locator(".bars line").count() == 1
        assert "The dashed line is the budget of $5.00 a day." in opened.page.locator("figcaption").inner_text()
        heights = opened.run(HEIGHTS)
        assert [round(height, 1) for kind, height in heights if kind == "known" and height] == [80, 30], "of 5.00"
        assert [round(height, 1) for kind, height in heights if kind == "reserved" and height] == [10, 10]
        totals = opened.page.locator("[data-key=totals]").inner_text()
        assert "$2.00 of $5.00" in totals
        assert "2 runs\nat most $1.00 together" in totals
        assert "an unknown cost counts as the most it can be" in totals
        assert opened.violations("main figure, [data-key=totals]") == []
        assert opened.complaints == []


def test_a_day_of_which_the_answer_lacks_rows_is_not_shown_as_cheaper(site: Site, chromium: Browser) -> None:
    """The rows that a long answer leaves out are taken out of a short one, on its way to the browser."""

    def cut(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        content = body["result"]["structuredContent"]
        if "replay_usd" in content:
            content |= {"rows": content["rows"][:-1], "note": "It is cut."}
        route.fulfill(response=answer, body=json.dumps(body))

    *_, (earliest, *_), _ = rows = answer_of(site, "get_costs")["rows"]
    since = date.fromisoformat(earliest) + timedelta(days=1)
    with opened_at(site, chromium, "nonsense") as opened:
        opened.page.route("**/mcp", cut)
        opened.run("location.hash = '#/costs'")
        opened.page.get_by_role("heading", name=f"By strategy, since {since}").wait_for()
        shown = table(opened, "Costs by strategy").values()
        assert sum(int(cells[0]) for cells in shown) == sum(row[2] for row in rows if row[0] > earliest)
        assert opened.page.locator(".bars title").first.text_content().startswith(f"{since}: ")
        assert opened.page.locator("[data-key=note]").inner_text() == "It is cut."
        opened.page.unroute_all(behavior="ignoreErrors")


@pytest.mark.long
def test_days_for_which_an_answer_has_no_room_are_not_shown_as_free(
    tmp_path_factory: pytest.TempPathFactory, chromium: Browser
) -> None:
    home, last = tmp_path_factory.mktemp("many"), to_ms(NOW)
    runs = [MadeRun(last - day * DAY_MS - DAY_MS // 2, "HOLD", cost_usd=0.01) for day in range(90)]
    every = [(write_strategy(home, f"strategy-{number:02}-{'x' * 48}"), runs) for number in range(16)]
    enter_all(home, every)
    with (
        guarded(ServerSettings(home=home, exchange="simulated"), clock=lambda: NOW) as up,
        chromium.open(f"http://127.0.0.1:{up.port}/#/costs?days=90", DESKTOP, now=NOW) as opened,
    ):
        by_strategy, by_day = table(opened, "Costs by strategy"), table(opened, "Costs by day (UTC)")
        assert {cells[1] for cells in by_day.values()} == {"$0.16"}, "of each day all rows"
        assert 5 < opened.page.locator(".bars g").count() == len(by_day) < 89
        assert {cells[0] for cells in by_strategy.values()} == {str(len(by_day))}
        opened.page.get_by_role("heading", name=f"By strategy, since {min(by_day)}").wait_for()
        assert "The totals are of all" in opened.page.locator("[data-key=note]").inner_text()
