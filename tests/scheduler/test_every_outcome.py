"""Every outcome of a slot comes about through the real program: up, tool server, exchange, agent CLI.

One program runs a home in which each strategy is made for one end; the tests read the journal that it left. Each end
by itself is shown by the quick tests of its own subject: `test_slot_run` has those that are nowhere else.
"""

import itertools
import json
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.outcome import Status
from tests.rigs.fast_clock import FastClock
from tests.rigs.journal_databases import kept_for_file
from tests.rigs.running_up import RunningUp, edit, write_strategy
from tests.rigs.scripted_messages_api import ScriptedMessagesApi, say
from tests.runner.claude_runs import KEY, script, strategy
from tests.scheduler.ticking_exchange import TickingExchange

__all__ = ["kept_for_file"]
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("kept_in")]

SPEED = 30.0
MINUTE = timedelta(minutes=1)
RULES = {"buy": "close > open", "sell": "close <= open"}
PUBLISHED_S = 12
"""So long after its close a candle is there, on the exchange that is late."""

TOO_YOUNG = {"indicators": ["sma(800)"], "buy": "sma_800 > 0"}
ASLEEP_S, LATE_S = 5.0, 0.7
"""How long the program stands still, in real seconds: it is called asleep from 30 of its own on."""

INVENTS = "[invents]"

ENDS = {
    "decides": "success",
    "waits": "abstained",
    "contradicts": "abstained",
    "lacks": "abstained",
    "impatient": "skipped_stale",
    "closed": "skipped_gate",
    "undefined": "abstained",
    "poor": "skipped_budget",
    "toolless": "error",
    "early": "abstained",
    "open": "success",
    "invents": "abstained",
    "hangs": "timeout",
}
"""What is waited for; a strategy is stopped once it came, to leave the machine to the others."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Ran:
    """What was left by the program, and what it asked Claude."""

    rows: Mapping[str, Rows]
    log: str
    home: Path

    def of(self, name: str, status: str) -> Rows:
        """Give the rows of a strategy with one status; there must be one."""
        found = [row for row in self.rows[name] if row["status"] == status]
        assert found, f"{name} has no {status}: {self.rows[name]}"
        return found


def _agents(*, rsi_tool: str = "calculate_rsi", rsi_mark: str = "[rsi-analyzer]") -> dict[str, Any]:
    agents: dict[str, Any] = strategy().agents_json()
    agents["rsi-analyzer"] |= {"tools": [rsi_tool], "prompt": f"You read. {rsi_mark}"}
    return agents


def _write_rules(home: Path) -> None:
    on_kraken = {"exchange": "kraken", "trading_pair": "BTC/USD"}
    write_strategy(home, "decides", **on_kraken)
    write_strategy(home, "waits", exchange="coinbase", trading_pair="BTC/USD")
    write_strategy(home, "contradicts", rules={"buy": "close > 0", "sell": "close > 0"})
    write_strategy(home, "lacks", **on_kraken, rules=TOO_YOUNG)
    write_strategy(home, "unknown", exchange="kraken", trading_pair="NOPE/USD", max_failures=2)
    write_strategy(home, "hangs", exchange="binance", timeout_s=5, max_failures=100)
    write_strategy(home, "impatient", misfire={"grace_s": 0})
    write_strategy(home, "sleeps")


def _write_claude(home: Path) -> None:
    asks: dict[str, Any] = {"model": "claude-sonnet-4-5", "misfire": {"grace_s": 3600}, "max_failures": 100}
    on_kraken = {**asks, "exchange": "kraken", "trading_pair": "BTC/USD"}
    decides = {"rules": {"indicators": ["sma(800)"], **RULES}}
    write_strategy(home, "open", _agents(), **asks, **decides, wake="close > 0", record=True)
    write_strategy(home, "closed", _agents(), **asks, **decides, wake="close < 0")
    write_strategy(home, "undefined", _agents(), **on_kraken, **decides, wake="sma_800 > 0")
    write_strategy(home, "invents", _agents(rsi_mark=INVENTS), **asks)
    write_strategy(home, "poor", _agents(), **asks, budget={"usd_per_run": 0.5, "usd_per_day": 0.1})
    write_strategy(home, "toolless", _agents(rsi_tool="get_moon"), **asks)
    write_strategy(home, "early", _agents(), **asks | {"exchange": "coinbase", "trading_pair": "BTC/USD"})


@pytest.fixture(scope="module")
def ran(kept_in: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    home = tmp_path_factory.mktemp("outcomes") / "home"
    home.mkdir()
    clock = FastClock(SPEED)
    with ExitStack() as leaving:
        kraken = leaving.enter_context(TickingExchange(clock))
        kraken.listed_ms = kraken.clock_ms - 3_600_000  # too young for an average of 800
        coinbase = leaving.enter_context(TickingExchange(clock, delay_s=PUBLISHED_S))
        binance = leaving.enter_context(TickingExchange(clock))
        binance.faults.latency_s = 60
        api = leaving.enter_context(ScriptedMessagesApi({INVENTS: [say("The RSI is surely 28.")], **script()}))
        urls = {"kraken": kraken.url, "coinbase": coinbase.url, "binance": binance.url}
        environment = {
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": KEY,
            "TRADER_EXCHANGE_URLS": json.dumps(urls),
            "TRADER_MAX_CLAUDE_RUNS": "2",
        }
        _write_rules(home)
        up = leaving.enter_context(
            RunningUp(home, speed=SPEED, epoch_s=clock.epoch_s, environment=environment, warm_server=True)
        )
        up.until(lambda: any(_waited(row) for row in up.rows("waits")))
        coinbase.stop()
        _write_claude(home)
        up.until(lambda: _was_late(up))
        left = dict(ENDS)
        up.until(lambda: _all_ended(up, left))
        up.says("strategy unknown is paused")
        up.signal(signal.SIGSTOP)
        time.sleep(ASLEEP_S)
        up.signal(signal.SIGCONT)
        up.until(lambda: "missed" in _statuses(up, "sleeps"))
        assert up.stop() == 0, up.log
        rows = up.rows(ended=False)
        yield Ran({name: [row for row in rows if row["strategy"] == name] for name in _names(home)}, up.log, home)


def _all_ended(up: RunningUp, left: dict[str, str]) -> bool:
    """Stop what has come to its end and take it out of what is left; True where nothing is."""
    for row in up.rows():
        if left.get(row["strategy"]) == row["status"]:
            edit(up.home, row["strategy"], status="stopped")
            del left[row["strategy"]]
    return not left


def _was_late(up: RunningUp) -> bool:
    """Stop the program for a moment, in which a slot may come; true once one began too late by that."""
    up.signal(signal.SIGSTOP)
    time.sleep(LATE_S)
    up.signal(signal.SIGCONT)
    return "skipped_stale" in _statuses(up, "impatient")


def _statuses(up: RunningUp, name: str) -> set[str]:
    return {row["status"] for row in up.rows(name)}


def _waited(row: Mapping[str, Any]) -> bool:
    """True where a run began before its candle was there, and decided."""
    early = row["started_at"] < row["scheduled_at"] + timedelta(seconds=PUBLISHED_S)
    return bool(row["status"] == "success" and early)


def _names(home: Path) -> list[str]:
    return [folder.name for folder in (home / "strategies").iterdir()]


def test_rules_decide_on_the_candle_that_closed_at_the_slot_however_late_they_start(ran: Ran) -> None:
    for name in ("decides", "waits", "sleeps", "hangs"):
        for row in ran.rows[name]:
            assert row["as_of"] == row["scheduled_at"]
            if row["status"] == "success":
                opened = datetime.fromisoformat(json.loads(row["trace"])["open_time"])
                assert opened == row["scheduled_at"].replace(tzinfo=UTC) - MINUTE
                assert row["signal"] in {"BUY", "SELL"}
    assert ran.of("decides", "success")


def test_a_candle_that_the_exchange_publishes_late_is_waited_for(ran: Ran) -> None:
    waited = next(row for row in ran.of("waits", "success") if _waited(row))
    assert waited["completed_at"] > waited["scheduled_at"] + timedelta(seconds=PUBLISHED_S)


ABSTAINED = {
    "waits": "coinbase has no 1m candle of",
    "contradicts": "buy and sell",
    "lacks": "has no value",
    "undefined": "The wake condition could not be decided, so Claude was not asked.",
    "invents": "rsi-analyzer",
    "early": "The exchange has not published the 1m candle of",
}


@pytest.mark.parametrize(("name", "why"), ABSTAINED.items(), ids=ABSTAINED)
def test_what_cannot_be_decided_is_abstained_with_its_reason(ran: Ran, name: str, why: str) -> None:
    for row in ran.of(name, "abstained"):
        assert why in row["error_message"]
        assert row["signal"] is None


def test_claude_is_asked_as_of_the_slot(ran: Ran) -> None:
    (row,) = ran.of("open", "success")[:1]
    assert (row["engine"], row["signal"], row["as_of"]) == ("claude", "BUY", row["scheduled_at"])
    assert row["cost_usd"] > 0
    calls = [call for agent in json.loads(row["trace"])["sub_agents"] for call in agent["calls"]]
    said = [json.loads(call["result"]) for call in calls]
    assert len(said) == 2
    assert {datetime.fromisoformat(each["as_of"]).replace(tzinfo=None) for each in said} == {row["scheduled_at"]}


def test_a_recorded_slot_leaves_what_was_said_on_a_cassette_and_is_judged_as_any_other(ran: Ran) -> None:
    row = ran.of("open", "success")[0]
    requests = json.loads(row["trace"])["requests"]
    assert (requests["asked"], requests["from_cassette"]) == (6, 0)
    cassette = ran.home / requests["cassette"]
    assert cassette.parent == ran.home / "cassettes" / "open" / row["decision_version"]
    assert len([file for file in cassette.iterdir() if not file.name.startswith(".")]) == 6
    assert (row["recorded_usd"], row["contaminated"]) == (row["cost_usd"], None)
    unrecorded = ran.of("invents", "abstained")[0]
    assert (unrecorded["recorded_usd"], unrecorded["contaminated"]) == (None, None)
    assert [folder.name for folder in (ran.home / "cassettes").iterdir()] == ["open"]


def test_the_twin_of_a_slot_decides_on_the_candle_that_closed_at_it(ran: Ran) -> None:
    rows = ran.of("open", "success")
    twins = [(row, twin) for row in rows if (twin := json.loads(row["data"])["twin"])["signal"] in ("BUY", "SELL")]
    assert twins, [row["data"] for row in rows]
    for row, twin in twins:
        assert datetime.fromisoformat(twin["open_time"]) == row["scheduled_at"].replace(tzinfo=UTC) - MINUTE


def test_a_closed_gate_is_recorded_with_the_values_it_saw_and_costs_nothing(ran: Ran) -> None:
    row = ran.of("closed", "skipped_gate")[0]
    assert "close is" in row["error_message"]
    (seen,) = json.loads(row["trace"])["conditions"]
    assert (seen["rule"], seen["value"], seen["values"]["close"] > 0) == ("wake", False, True)
    assert row["cost_usd"] == 0


def test_a_budget_without_room_is_recorded_and_costs_nothing(ran: Ran) -> None:
    row = ran.of("poor", "skipped_budget")[0]
    assert "budget.usd_per_day" in row["error_message"]
    assert row["cost_usd"] == 0


ERRORS = {"unknown": "NOPE/USD", "toolless": "get_moon"}


@pytest.mark.parametrize(("name", "why"), ERRORS.items(), ids=ERRORS)
def test_an_error_is_recorded_with_its_reason(ran: Ran, name: str, why: str) -> None:
    row = ran.of(name, "error")[0]
    assert why in row["error_message"]
    assert (row["own_failure"], row["signal"]) == (True, None)


def test_a_run_that_takes_too_long_is_a_timeout_and_the_next_slots_overlap_it(ran: Ran) -> None:
    assert "longer than 5 s" in ran.of("hangs", "timeout")[0]["error_message"]
    assert "still going on" in ran.of("hangs", "skipped_overlap")[0]["error_message"]


def test_a_slot_that_would_begin_too_late_is_stale(ran: Ran) -> None:
    stale = [row["error_message"] for row in ran.of("impatient", "skipped_stale")]
    assert all(" s late" in why for why in stale), stale
    reasons = ("The runner was busy", "too many runs were due at once", "stood still")  # the last on a loaded machine
    assert all(any(reason in why for reason in reasons) for why in stale), stale


def test_slots_of_a_time_asleep_are_missed_and_say_from_when_to_when(ran: Ran) -> None:
    missed = [row for row in ran.of("sleeps", "missed") if "the machine slept" in row["error_message"]]
    assert missed, ran.rows["sleeps"]


def test_every_slot_of_every_strategy_has_one_row(ran: Ran) -> None:
    for name, rows in ran.rows.items():
        for before, after in itertools.pairwise(rows):
            assert after["scheduled_at"] - before["scheduled_at"] == before["slots"] * MINUTE, name


def test_every_outcome_of_the_list_was_among_them(ran: Ran) -> None:
    found = {row["status"] for rows in ran.rows.values() for row in rows}
    assert found == {str(status) for status in Status} - {"running", "drift"}  # the scheduler reruns nothing


def test_a_strategy_that_fails_again_and_again_is_paused(ran: Ran) -> None:
    assert len(ran.of("unknown", "error")) >= 2
    assert "strategy unknown is paused after 2 failures in a row" in ran.log


def test_the_log_has_the_end_of_each_slot_as_fields_with_what_the_journal_has(ran: Ran) -> None:
    ends = [json.loads(line) for line in ran.log.splitlines() if '"slot ended"' in line]
    rows = {row["id"]: row for row in ran.rows["decides"]}
    decided = [end for end in ends if end["execution_id"] in rows]
    assert decided
    for end in decided:
        row = rows[end["execution_id"]]
        assert (end["strategy"], end["cost_usd"]) == ("decides", 0.0)
        assert end["slot"] == f"{row['scheduled_at']:%Y-%m-%dT%H:%M:%SZ}"
        assert end["outcome"] in ("BUY", "SELL", "HOLD") or end["outcome"] == row["status"]
        assert end["late_s"] >= 0
        assert end["duration_s"] > 0
    late = next(end for end in ends if end["outcome"] == "timeout")
    assert (late["strategy"], late["price"]) == ("hangs", None)
    assert "longer than 5 s" in late["error"]


def test_no_secret_is_logged(ran: Ran) -> None:
    assert KEY not in ran.log
