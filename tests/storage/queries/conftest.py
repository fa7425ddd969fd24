"""A journal of two strategies over ten days, with candles, shared by all that only read it."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mcp_server.domain.candles import Candles
from mcp_server.domain.outcome import Outcome, Signal, SignalName, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import TIMEFRAMES, to_ms
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.queries.child import answer
from mcp_server.storage.queries.question import Question
from mcp_server.storage.sql import JournalDatabase
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.rigs.done_once import SHARED
from tests.storage.outcome_homes import judged

START = datetime(2026, 5, 1, tzinfo=UTC)
NOW = START + timedelta(days=10)
HOUR = TIMEFRAMES["1h"]
LONG_PROMPT = "the prompt of a sub-agent"

Asked = Callable[..., dict[str, Any]]


def rules_strategy() -> Strategy:
    return parse_strategy("dip", {"trading_pair": "BTC/USD", "interval": "4h", "rules": {"buy": "close > 1"}}, None)


def claude_strategy() -> Strategy:
    agents = {"a": {"description": "d", "prompt": LONG_PROMPT, "tools": ["get_price"]}}
    return parse_strategy("analysts", {"trading_pair": "ETH/USD", "interval": "1d"}, agents)


def signal(name: SignalName, price: float, confidence: int = 70) -> Outcome:
    said = Signal(name, Decimal(confidence), f"it is {name}", price, {"sub_agent_results": {"a": {"rsi": 28.5}}})
    return Outcome(Status.SUCCESS, said, model="m", tokens_used=1000, cost_usd=Decimal("0.05"), trace={"turns": 3})


def record(home: Path, journal_in: JournalDatabase | None = None) -> None:
    """Every day `dip` says BUY and SELL; `analysts` says BUY, or fails every third day. Four signals are judged.

    The journal is in the home's file, whose home is a copy of one that is made once; or in another database.
    """
    if journal_in is None:
        shutil.copytree(_recorded(), home, dirs_exist_ok=True)
    else:
        _record(home, journal_in)


def _recorded() -> Path:
    """Return the home that is made by the first process of a run of the tests that needs it."""
    made = Path(os.environ[SHARED]) / "recorded"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            _record(new := made.with_name("recorded.new"), None)
            new.rename(made)
    return made


def _record(home: Path, journal_in: JournalDatabase | None) -> None:
    at = Home(home)
    database = Database(at.database, prepare=at.prepare)
    journal = Journal(journal_in or database, at)

    def run(what: Strategy, as_of: datetime, outcome: Outcome) -> None:
        claimed = journal.claim(Run(what, "schedule", as_of, what.engine, as_of + timedelta(seconds=5)))
        journal.finish(claimed, outcome, as_of + timedelta(seconds=12))

    for day in range(10):
        moment = START + timedelta(days=day)
        run(rules_strategy(), moment, signal("BUY", 100.0 + day))
        run(rules_strategy(), moment + timedelta(hours=12), signal("SELL", 101.0 + day, 40))
        failed = Outcome(Status.ERROR, error=f"the exchange was down on day {day}", cost_usd=Decimal("0.01"))
        run(claude_strategy(), moment + timedelta(hours=1), failed if day % 3 == 2 else signal("BUY", 10.0))
    rows = [(to_ms(START) + hour * HOUR, 99.0, 300.0, 50.0, 100.0 + hour / 24, 1.5) for hour in range(240)]
    whole = (to_ms(START), to_ms(START) + 240 * HOUR)
    outcomes = journal.outcomes(StrategyFolders(at, home), "coinbase")
    outcomes.add([replace(judged(run, 0.01), funding_bps=5.0) for run in outcomes.due(NOW)[:4]], NOW)
    CandleStore(database).save(Series("coinbase", "BTC/USD", "1h"), Candles.from_rows(rows), whole)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with that journal; nothing may be written to it."""
    home = tmp_path_factory.mktemp("recorded")
    record(home)
    return home


@pytest.fixture
def asked(recorded: Path) -> Asked:
    """Answer a query within this process."""

    def ask(sql: str, moment: datetime = NOW, *, limit: int = 100, characters: int = 200) -> dict[str, Any]:
        return answer(Question(recorded, sql, moment, limit, characters, 5.0))

    return ask
