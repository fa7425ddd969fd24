"""What a signal is judged by is written when its run is claimed, and nothing that is edited later moves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.scoring.terms import Terms, terms_of
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Retryable
from mcp_server.storage.journal.rows import TERMS, Run
from mcp_server.storage.journal.slot_rows import StoredSchedule
from mcp_server.storage.journal.slots import Change, SlotStore
from runner.cli.context import Context
from runner.execute import Runner
from runner.tool_server.server import Address
from tests.rigs.journal_databases import ON_A_FILE
from tests.rigs.sampled import sampled
from tests.scheduler.slot_homes import HELD, Machine, at, claim, hourly, missed

pytestmark = pytest.mark.usefixtures("kept_in")

QUIET = timedelta(seconds=7)


@pytest.fixture
def machine(home: Path) -> Machine:
    machine = Machine(home)
    machine.slot_store = SlotStore(machine.database, machine.home, "kraken")
    machine.slot_store.open()
    return machine


def stored(machine: Machine) -> list[tuple[str, Terms]]:
    rows = machine.ask(f"SELECT status, {', '.join(TERMS)} FROM executions ORDER BY id")
    return [(status, Terms(*terms)) for status, *terms in rows]


def test_every_row_of_slots_has_its_terms_also_one_that_did_not_run(machine: Machine) -> None:
    what = hourly(horizon="4h", costs={"slippage_bps": 0})
    machine.slot_store.claim([claim(what, "08:00", "12:00", missed("09:00", "10:00", 2), missed("11:00"))], at("12:00"))
    machine.slot_store.claim([claim(what, "12:00", "13:00")], at("13:00"))
    mine = Terms("kraken", "BTC/USD", "1h", 14_400, 20.0, "1", what.decision_version("kraken"))
    assert stored(machine) == [(status, mine) for status in ("missed", "missed", "running", "skipped_overlap")]


def test_slots_that_a_change_of_schedule_accounts_for_have_their_terms(machine: Machine) -> None:
    what = hourly(exchange="binance")
    schedule = StoredSchedule(what.config_json(), at("08:00"), at("10:00"), what.version)
    machine.slot_store.change([Change("s", what, schedule, (missed("09:00"), missed("10:00")))], at("10:00"))
    assert stored(machine) == [("missed", terms_of(what, "rules", "kraken"))] * 2
    assert {terms.exchange for _, terms in stored(machine)} == {"binance"}


def test_a_run_has_the_terms_of_the_engine_that_really_ran(machine: Machine) -> None:
    what = hourly(horizon="2h")
    machine.journal.claim(Run(what, "manual", at("12:00"), "claude", at("12:00"), "bitstamp"))
    machine.journal.claim(Run(what, "replay", at("12:00"), "rules", at("12:00"), "bitstamp"))
    claimed, replayed = (terms for _, terms in stored(machine))
    assert (claimed.exchange, claimed.horizon_s) == ("bitstamp", 7_200)
    assert claimed.decision_version == what.decision_version("bitstamp", "claude")
    assert replayed.decision_version == what.decision_version("bitstamp") != claimed.decision_version


def test_a_later_edit_moves_no_terms_of_what_has_run(machine: Machine) -> None:
    before = hourly(horizon="4h")
    (claimed,) = machine.slot_store.claim([claim(before, "11:00", "12:00")], at("12:00")).started
    machine.journal.finish(claimed, HELD, at("12:00") + QUIET)
    after = hourly(horizon="9h", exchange="coinbase", costs={"fee_bps": 1})
    machine.folders.write(after)
    machine.slot_store.claim([claim(after, "12:00", "13:00")], at("13:00"))
    machine.journal.settle()
    assert [terms for _, terms in stored(machine)] == [terms_of(what, "rules", "kraken") for what in (before, after)]


SAME: dict[str, dict[str, Any]] = {
    "a pause and a resume": {"status": "paused"},
    "a new budget": {"budget": {"usd_per_day": 3}},
    "another description": {"description": "Buys what is cheap."},
    "another horizon and other costs": {"horizon": "3h", "costs": {"fee_bps": 2}},
    "when it stops": {"stop": {"no_skill": 0.1}},
}
OTHER: dict[str, dict[str, Any]] = {
    "another rule": {"rules": {"timeframe": "1h", "buy": "close > 2"}},
    "another exchange": {"exchange": "binance"},
    "another model": {"model": "opus"},
}


@pytest.mark.parametrize("keys", sampled([*SAME.values(), *OTHER.values()], 3), ids=[*SAME, *OTHER])
def test_only_what_decides_begins_a_new_record(machine: Machine, keys: dict[str, Any]) -> None:
    machine.slot_store.claim([claim(hourly(), "11:00", None, missed("12:00"))], at("12:00"))
    machine.slot_store.claim([claim(hourly(**keys), "12:00", None, missed("13:00"))], at("13:00"))
    machine.slot_store.claim([claim(hourly(), "13:00", None, missed("14:00"))], at("14:00"))
    first, changed, back = (terms.decision_version for _, terms in stored(machine))
    assert first == back
    assert (first == changed) == (keys in SAME.values())


@pytest.mark.usefixtures("home")
def test_the_scheduler_freezes_the_exchange_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADER_EXCHANGE", "bitstamp")
    assert Context().slot_store.default_exchange == "bitstamp"


@asynccontextmanager
async def no_server() -> AsyncIterator[Address]:
    raise Retryable("There is none.", "Start one.")
    yield Address("", None)


@ON_A_FILE
async def test_a_run_by_hand_freezes_the_exchange_of_the_settings(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADER_EXCHANGE", "bitstamp")
    context = Context()
    what: Strategy = hourly()
    await Runner(context.settings, context.journal, context.database, no_server).run(what, engine="rules")
    assert stored(machine) == [("error", terms_of(what, "rules", "bitstamp"))]
