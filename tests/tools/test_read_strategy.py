"""read_strategy as of a past moment, and the backtests that it lists."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, SlotRow, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.settings import ServerSettings
from mcp_server.storage.journal.backtests import BacktestRow, Backtests, Family
from tests.rigs import sample_strategies as strategies
from tests.rigs.sample_home import SampleHome, sample_home
from tests.rigs.sample_runs import SampleRun, enter_runs
from tests.tools.conftest import Told, answer_of

NOW = datetime(2026, 5, 20, 12, 0, 41, tzinfo=UTC)
DAY = timedelta(days=1)


async def read(home: Path, as_of: datetime = NOW, **arguments: Any) -> dict[str, Any]:
    settings = ServerSettings(home=home, exchange="simulated", as_of=as_of)
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        result = await client.call_tool("read_strategy", {"strategy_name": "mine", **arguments})
    return answer_of(result)


def version(buy: str, **keys: Any) -> Strategy:
    config = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1h", "rules": {"buy": buy}, **keys}
    return parse_strategy("mine", config, None)


FIRST, SECOND, THIRD = (version(f"close > {number}") for number in (1, 2, 3))


def write(sample: SampleHome, strategy: Strategy, at: datetime) -> None:
    sample.folders.write(strategy)
    for file in (sample.root / "strategies" / strategy.name).iterdir():
        os.utime(file, (at.timestamp(), at.timestamp()))


def run(sample: SampleHome, strategy: Strategy, at: datetime) -> None:
    outcome = Outcome(Status.ABSTAINED, error="why", **NOTHING_SPENT)
    enter_runs(sample.database, f"r{at:%d%H}", [SampleRun(strategy, SlotRow(Status.RUNNING, at, at), outcome)])


@pytest.fixture
def mine(home: Path) -> SampleHome:
    """Three versions, written nine, six and three days ago."""
    sample = SampleHome(home, NOW)
    for strategy, days in ((FIRST, 9), (SECOND, 6), (THIRD, 3)):
        write(sample, strategy, NOW - days * DAY)
    return sample


async def test_a_past_moment_reads_the_files_that_were_in_force_then_and_says_so(mine: SampleHome) -> None:
    for days, files in ((3, THIRD), (3.01, SECOND), (6, SECOND), (6.01, FIRST), (9, FIRST)):
        moment = NOW - days * DAY
        answer = await read(mine.root, moment)
        assert (answer["version"], answer["config"]) == (files.version, files.config_json())
        assert f"were in force as of {moment:%Y-%m-%dT%H:%M}" in answer["note"]
    assert [row[0] for row in (await read(mine.root, NOW - 4 * DAY))["earlier"]] == [FIRST.version]
    assert "earlier" not in await read(mine.root, NOW - 7 * DAY), "nothing that was written later is told"
    present = await read(mine.root)
    assert (present["version"], present.get("note")) == (THIRD.version, None)
    assert present["earlier"] == [
        [SECOND.version, "2026-05-14T12:00:41Z"],
        [FIRST.version, "2026-05-11T12:00:41Z"],
    ]


async def test_where_nothing_is_known_from_then_the_present_files_are_told_with_a_warning(mine: SampleHome) -> None:
    answer = await read(mine.root, NOW - 10 * DAY)
    assert answer["version"] == THIRD.version
    assert "are not known: these were written later" in answer["note"]
    assert "earlier" not in answer
    with pytest.raises(Told, match="Unknown strategy 'nobody'"):
        await read(mine.root, NOW - DAY, strategy_name="nobody")


async def test_a_version_that_came_back_is_known_by_its_runs(mine: SampleHome) -> None:
    """A pause and its end write the first version again: as a kept version it has its first time alone."""
    write(mine, FIRST, NOW - 2 * DAY)
    run(mine, FIRST, NOW - 47 * timedelta(hours=1))
    write(mine, SECOND, NOW - DAY)
    assert (await read(mine.root, NOW - 1.5 * DAY))["version"] == FIRST.version
    assert (await read(mine.root, NOW - 2.5 * DAY))["version"] == THIRD.version
    assert (await read(mine.root, NOW - 0.5 * DAY))["version"] == SECOND.version


async def test_a_run_of_a_version_that_is_lost_changes_nothing(mine: SampleHome) -> None:
    run(mine, version("close > 9"), NOW - DAY)
    assert (await read(mine.root, NOW - 0.5 * DAY))["version"] == THIRD.version


async def test_files_that_are_broken_or_gone_now_are_read_as_of_a_time_before(mine: SampleHome) -> None:
    config = mine.root / "strategies" / "mine" / "config.json"
    config.write_text("{")
    assert (await read(mine.root, NOW - 4 * DAY))["version"] == SECOND.version
    with pytest.raises(Told, match="is not JSON"):
        await read(mine.root)
    config.unlink()
    config.parent.rmdir()
    assert (await read(mine.root, NOW - 4 * DAY))["version"] == SECOND.version


async def test_what_changed_since_a_version_is_told_up_to_the_past_moment(mine: SampleHome) -> None:
    answer = await read(mine.root, NOW - 4 * DAY, version=FIRST.version)
    assert answer["changed_since"] == ['config.json rules.buy: "close > 1" → "close > 2"']
    assert (await read(mine.root, NOW - 4 * DAY, version=SECOND.version))["changed_since"] == []
    assert (await read(mine.root, version=FIRST.version))["changed_since"][0].endswith('"close > 3"')


async def test_another_file_in_a_folder_does_not_move_the_time_of_a_version(mine: SampleHome) -> None:
    notes = mine.root / "strategies" / "mine" / "notes.md"
    notes.write_text("mine")
    write(mine, FIRST, NOW - DAY)
    assert notes.read_text() == "mine"
    assert (await read(mine.root))["earlier"][0][1] == "2026-05-17T12:00:41Z"


async def test_an_example_is_as_it_is_at_any_time(home: Path) -> None:
    answer = await read(home, NOW - 100 * DAY, strategy_name="rsi-reversion")
    assert (answer["origin"], answer.get("note")) == ("example", None)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleHome]:
    sample = sample_home(tmp_path_factory.mktemp("home"), NOW)
    yield sample
    sample.close()


async def test_backtests_are_listed_with_their_controls_the_latest_first(sample: SampleHome) -> None:
    answer = await read(sample.root, strategy_name=strategies.TREND, backtests=True)
    listed = answer["backtests"]
    assert [one["created_at"] for one in listed] == [
        "2026-05-18T12:00:41Z",
        "2026-04-30T12:00:41Z",
        "2026-04-20T12:00:41Z",
    ]
    assert [one["trials"] for one in listed] == [3, 2, 1]
    assert [one["version"] for one in listed] == [made.version for made in strategies.trend_versions()[::-1]]
    assert [one["draft"] for one in listed] == [False, False, False]
    for one in listed:
        row = Backtests(sample.database).read(one["backtest_id"], NOW)
        names = (
            "return_pct",
            "buy_and_hold_pct",
            "sharpe",
            "sharpe_deflated",
            "max_drawdown_pct",
            "trades",
            "controls",
        )
        assert {name: one[name] for name in names} == {name: row.figures[name] for name in names}
        assert one["summary"] == row.figures["summary"][0]
        assert (one["side"], one["fee_bps"], one["slippage_bps"]) == ("long", 10, 5)
    assert "backtests" not in await read(sample.root, strategy_name=strategies.TREND)
    none = await read(sample.root, strategy_name=strategies.NEW, backtests=True)
    assert none["backtests"] == []


async def test_backtests_of_later_than_the_moment_are_not_told(sample: SampleHome) -> None:
    answer = await read(sample.root, NOW - 20 * DAY, strategy_name=strategies.TREND, backtests=True)
    assert [one["trials"] for one in answer["backtests"]] == [2, 1]
    assert (await read(sample.root, NOW - 31 * DAY, strategy_name=strategies.TREND, backtests=True))["backtests"] == []


def backtest(name: str, made: datetime, figures: Any) -> BacktestRow:
    family, config = Family("simulated", "BTC/USDT", name), FIRST.config_json()
    return BacktestRow(family, "0", config, made - DAY, made, "both", 1, 2, None, None, figures, made)


async def test_a_backtest_of_what_was_kept_later_was_one_of_a_draft_before(mine: SampleHome) -> None:
    Backtests(mine.database).record([backtest("mine", NOW - 5 * DAY, {"version": THIRD.version})])
    (then,) = (await read(mine.root, NOW - 4 * DAY, backtests=True))["backtests"]
    (now,) = (await read(mine.root, backtests=True))["backtests"]
    assert (then["draft"], now["draft"]) == (True, False)


async def test_only_the_latest_twenty_of_this_name_are_listed_whatever_their_figures_are(mine: SampleHome) -> None:
    odd: list[Any] = [
        {},
        [],
        None,
        "x",
        {"summary": "x", "version": [1]},
        {"summary": [{"a": 1}], "version": THIRD.version},
    ]
    figures = [*({} for _ in range(20)), *odd]
    rows = [backtest("mine", NOW - timedelta(hours=60 - number), one) for number, one in enumerate(figures)]
    others = [backtest(name, NOW - DAY, {}) for name in ("not-mine", "mine-too")]
    Backtests(mine.database).record([*rows, *others])
    listed = (await read(mine.root, backtests=True))["backtests"]
    assert [one["backtest_id"] for one in listed] == list(range(26, 6, -1))
    assert listed[0]["summary"] == "{'a': 1}"
    assert [one["draft"] for one in listed[:2]] == [False, True]
