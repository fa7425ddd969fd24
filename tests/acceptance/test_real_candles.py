"""The main job on real candles: the signals of `claude-trader run` are those that TA-Lib gives of the raw file."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import numpy.typing as npt
import pytest
import talib

from mcp_server.domain.outcome import Ended, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import from_ms, iso, parse_moment, to_ms
from mcp_server.storage.candles.import_file import import_candle_file
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.execute import Runner
from runner.settings import RunnerSettings
from runner.tool_server.server import tool_server
from tests.acceptance.test_http import LIMIT_S, Serving, serving
from tests.rigs.hourly_candles import candle_file, candle_lines, hourly_candles
from tests.rigs.loopback import served
from tests.runner.conftest import Command, Done

SERIES = Series("coinbase", "BTC/USD", "1h")
HOUR_MS = 3_600_000
PERIOD = 14
STRATEGY = "rsi-extremes"
CONFIG: dict[str, Any] = {
    "trading_pair": SERIES.symbol,
    "exchange": SERIES.exchange,
    "interval": SERIES.timeframe,
    "rules": {"indicators": [f"rsi({PERIOD})"], "buy": "rsi_14 < 30", "sell": "rsi_14 > 70", "confidence": 60},
}


@dataclass(frozen=True)
class Raw:
    """The candles as they are: open times in Unix ms, closes in USD."""

    open_ms: npt.NDArray[np.int64]
    close: npt.NDArray[np.float64]

    def closed_by(self, moment: datetime) -> int:
        """Count the candles that are closed at a moment."""
        return int(np.count_nonzero(self.open_ms + HOUR_MS <= to_ms(moment)))

    def rsi(self, moment: datetime) -> float:
        """Ask TA-Lib for the RSI of the file cut off at a moment."""
        return float(talib.RSI(self.close[: self.closed_by(moment)], PERIOD)[-1])

    def price(self, moment: datetime) -> float:
        """Give the last close by a moment."""
        return float(self.close[self.closed_by(moment) - 1])


@cache
def raw() -> Raw:
    candles = hourly_candles()
    return Raw(candles.open_time_ms, candles.close)


@cache
def moments() -> tuple[datetime, ...]:
    """Fifty moments over the whole file, always the same: on the hour, within it, early ones, extremes, the end."""
    file, chance = raw(), random.Random(20260131)  # noqa: S311 (it has to be the same each time)
    closes = [int(opened) + HOUR_MS for opened in file.open_ms]
    rsi = talib.RSI(file.close, PERIOD)
    early = [closes[PERIOD], closes[PERIOD] + 1, closes[PERIOD + 1] - 1, closes[PERIOD + 6], closes[200] + 60_000]
    low, high = (chance.sample(list(np.flatnonzero(extreme)), 6) for extreme in (rsi < 30, rsi > 70))
    extremes = [closes[position] + chance.randrange(HOUR_MS) for position in (*low, *high)]
    on_the_hour = chance.sample(closes[300:-1], 16)
    within = [close + chance.randrange(1, HOUR_MS) for close in chance.sample(closes[300:-1], 14)]
    just_before = [close - 1 for close in chance.sample(closes[300:-1], 2)]
    return tuple(from_ms(ms) for ms in sorted([*early, *extremes, *on_the_hour, *within, *just_before, closes[-1]]))


class Asked:
    """Stands where the exchange is, and remembers who came."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.paths.append(scope["path"])
            await send({"type": "http.response.start", "status": 418, "headers": []})
            await send({"type": "http.response.body"})


@contextmanager
def serving_offline(home: Path) -> Iterator[Serving]:
    """A server on a home, which must not ask the exchange for anything."""
    asked = Asked()
    with served(asked) as exchange, serving(home, TRADER_EXCHANGE_URLS=json.dumps({"coinbase": exchange})) as server:
        yield server
        assert server.said() == ""
    assert asked.paths == []


def database(home: Path) -> Database:
    return Database(Home(home).database, prepare=Home(home).prepare)


def write_strategy(home: Path) -> None:
    """Write it without a server: a check by one would ask the exchange for recent candles."""
    StrategyFolders(Home(home), examples_folder()).write(parse_strategy(STRATEGY, CONFIG, None))


@dataclass(frozen=True)
class Runs:
    """Runs the strategy as `claude-trader run --as-of` does, against a server that is up."""

    home: Path
    server: Serving
    journal: Journal

    @classmethod
    def on(cls, home: Path, server: Serving) -> "Runs":
        return cls(home, server, Journal(database(home), Home(home)))

    async def at(self, moment: datetime) -> Ended:
        settings = RunnerSettings(home=self.home, server_url=self.server.url)
        strategy = StrategyFolders(Home(self.home), examples_folder()).read(STRATEGY)
        return await Runner(settings, self.journal, database(self.home), lambda: tool_server(settings)).run(
            strategy, as_of=moment
        )


def rsi_seen(data: Any) -> float:
    """Give the RSI in a signal's evidence; both conditions saw the same."""
    seen = {condition["values"]["rsi_14"] for condition in data["evidence"]["conditions"]}
    assert len(seen) == 1
    return float(seen.pop())


def expected_signal(rsi: float) -> str:
    return "BUY" if rsi < 30 else "SELL" if rsi > 70 else "HOLD"


def import_file(trader: Command, home: Path) -> None:
    file = candle_file(home.parent)
    done = trader("import-candles", str(file), "--exchange", "coinbase", "--symbol", "BTC/USD", "--timeframe", "1h")
    assert (done.code, done.err) == (0, "")
    assert f"The store has {len(raw().close)} now." in done.out


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.long)])
async def test_runs_say_what_talib_says_of_the_file_cut_off_at_their_moment(
    trader: Command, home: Path, every: int
) -> None:
    """There are fifty moments, of which every seventh does in a small form."""
    import_file(trader, home)
    chosen = moments()[::every]
    by_command, in_process = chosen[::10], [moment for moment in chosen if moment not in chosen[::10]]
    with serving_offline(home) as server, anyio.fail_after(LIMIT_S * 3):
        write_strategy(home)
        runs = Runs.on(home, server)

        async def command(moment: datetime) -> None:
            options = ("--as-of", moment.isoformat(), "--json")
            run = partial(trader, "run", STRATEGY, *options, TRADER_SERVER_URL=server.url)
            check_command(await anyio.to_thread.run_sync(run), moment)

        async def inside(some: list[datetime]) -> None:
            for moment in some:
                check_run(await runs.at(moment), moment)

        async with anyio.create_task_group() as tasks:
            for first in range(3):
                tasks.start_soon(inside, in_process[first::3])
            for moment in by_command:
                await command(moment)
    check_journal(home, chosen)


def check_run(executed: Ended, moment: datetime) -> None:
    """A run's signal and RSI are those of TA-Lib."""
    signal, rsi = executed.outcome.signal, raw().rsi(moment)
    assert signal is not None, executed.outcome.error
    assert (signal.signal, signal.price) == (expected_signal(rsi), raw().price(moment))
    assert rsi_seen(signal.data) == pytest.approx(rsi, rel=1e-9, abs=0)


def check_command(done: Done, moment: datetime) -> None:
    """What the command printed is what TA-Lib says."""
    assert (done.code, done.err) == (0, "")
    assert done.json["signal"] == expected_signal(raw().rsi(moment))
    assert (done.json["price"], parse_moment(done.json["as_of"])) == (raw().price(moment), moment)


def check_journal(home: Path, chosen: Sequence[datetime]) -> None:
    """The journal has one run and one signal for each moment, with what TA-Lib says."""
    rows = database(home).read(
        lambda c: c.execute(
            "SELECT epoch_ms(e.as_of), e.status, e.engine, e.tokens_used, a.signal, a.price, a.data "
            "FROM executions e LEFT JOIN analysis_results a ON a.execution_id = e.id ORDER BY e.as_of"
        ).fetchall()
    )
    assert [from_ms(row[0]) for row in rows] == list(chosen)
    for (_, status, engine, tokens, signal, price, data), moment in zip(rows, chosen, strict=True):
        rsi = raw().rsi(moment)
        assert (status, engine, tokens) == (Status.SUCCESS, "rules", 0)
        assert (signal, price) == (expected_signal(rsi), raw().price(moment))
        assert rsi_seen(json.loads(data)) == pytest.approx(rsi, rel=1e-9, abs=0)
        opened = int(raw().open_ms[raw().closed_by(moment) - 1])
        assert json.loads(data)["evidence"]["open_time"] == iso(opened)
    said = Counter(row[4] for row in rows)
    assert set(said) == {"BUY", "SELL", "HOLD"}
    assert min(said.values()) >= len(chosen) // 8


@pytest.mark.long
@pytest.mark.parametrize("every", [5])
async def test_a_store_that_ends_at_the_moment_gives_the_same_answer(
    trader: Command, home: Path, tmp_path: Path, every: int
) -> None:
    """In `make test` the figures of a whole store are those of TA-Lib, which is given no later candle."""
    import_file(trader, home)
    cut_home, cut_file = tmp_path / "cut", tmp_path / "cut.csv"
    lines = candle_lines()
    chosen = moments()[::every]
    assert len(chosen) == -(-50 // every)
    with serving_offline(home) as server, serving_offline(cut_home) as cut_server:
        write_strategy(home)
        write_strategy(cut_home)
        for moment in chosen:
            count = raw().closed_by(moment)
            cut_file.write_text("".join(lines[: count + 1]))
            told = import_candle_file(CandleStore(database(cut_home)), cut_file, SERIES, datetime.now(UTC))
            assert f"The store has {count} now." in told
            whole, cut = await both(Runs.on(home, server), Runs.on(cut_home, cut_server), moment)
            check_run(whole, moment)
            assert cut.outcome == whole.outcome


async def both(one: Runs, other: Runs, moment: datetime) -> tuple[Ended, Ended]:
    """Run at one moment on two homes at once."""
    ended: dict[Path, Ended] = {}

    async def work(runs: Runs) -> None:
        ended[runs.home] = await runs.at(moment)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work, one)
        tasks.start_soon(work, other)
    return ended[one.home], ended[other.home]


async def test_before_the_warm_up_is_over_there_is_no_signal(home: Path, tmp_path: Path) -> None:
    begins = tmp_path / "begins.csv"
    begins.write_text("".join(candle_lines(PERIOD)))
    import_candle_file(CandleStore(database(home)), begins, SERIES, datetime.now(UTC))
    with serving_offline(home) as server:
        write_strategy(home)
        executed = await Runs.on(home, server).at(from_ms(int(raw().open_ms[PERIOD - 1]) + HOUR_MS))
    assert (executed.outcome.status, executed.outcome.signal) == (Status.ABSTAINED, None)
    assert "rsi_14" in (executed.outcome.error or "")
