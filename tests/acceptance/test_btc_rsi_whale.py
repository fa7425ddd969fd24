"""The example with three sub-agents runs as it stands: stand-ins for the exchange, the chain and the model."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.outcome import Status
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.entries import Entry
from mcp_server.storage.journal.runs import Journal
from tests.rigs.esplora import StandInEsplora
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Reply, ScriptedMessagesApi, Step, answer, say, start, use
from tests.rigs.stand_in_exchange import StandInExchange
from tests.runner.conftest import Command

EXCHANGE_WALLET = "bc1qgdjqv0av3q56jvd82tkdjpy7gdp9ut8tlqmgrpmv24sq90ecnvqqjwvw97"
SOMEBODY = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
ROLES = {
    "price-monitor": "You are the price monitor",
    "rsi-analyzer": "You are the RSI analyzer",
    "whale-tracker": "You are the whale tracker",
}
SAID: Mapping[str, Any] = {
    "signal": "SELL",
    "confidence": 61,
    "reasoning": "Coins go to exchanges.",
    "sub_agent_results": {"whale-tracker": {"net_flow_usd": 1}},
}


@dataclass
class World:
    """The stand-ins for what the tools ask."""

    exchange: StandInExchange
    bitcoin: StandInEsplora

    def environment(self) -> dict[str, str]:
        return {
            "TRADER_EXCHANGE_URLS": json.dumps({"coinbase": self.exchange.url}),
            "TRADER_CHAIN_URLS": json.dumps({"bitcoin": self.bitcoin.url}),
        }


@pytest.fixture
def world() -> Iterator[World]:
    with StandInExchange() as exchange, StandInEsplora(now_s=int(time.time()) - 7_200) as bitcoin:
        for height in range(12):
            paid = [bitcoin.tx([(SOMEBODY, 300)], [(EXCHANGE_WALLET, 100), (SOMEBODY, 199.9)])]
            bitcoin.block(paid if height == 9 else [])
        yield World(exchange, bitcoin)


def only_entry(home: Path) -> Entry:
    journal = Journal(Database(Home(home).database, prepare=Home(home).prepare), Home(home))
    (entry,) = journal.entries(outcomes="all")
    return entry


def script() -> dict[str, Sequence[Step]]:
    symbol = {"symbol": "BTC/USD"}
    whales = {"asset": "BTC", "min_usd": 1_000_000, "lookback_minutes": 60}
    return {
        ORCHESTRATOR: [Reply(calls=[start(name, "BTC/USD") for name in ROLES]), answer(SAID)],
        ROLES["price-monitor"]: [use("mcp__trader__get_price", symbol), say("It costs what it costs.")],
        ROLES["rsi-analyzer"]: [use("mcp__trader__calculate_rsi", symbol), say("The RSI is what it is.")],
        ROLES["whale-tracker"]: [use("mcp__trader__get_whale_activity", whales), say("They sell.")],
    }


@pytest.mark.long
def test_three_sub_agents_report_and_the_signal_rests_on_them(trader: Command, home: Path, world: World) -> None:
    """In `make test`, `tests/runner/test_run_claude.py` has such a run, and the rules of this example run."""
    with ScriptedMessagesApi(script()) as api:
        model = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "dummy"}
        done = trader("run", "btc-rsi-whale", "--json", **world.environment(), **model)
        heard = " ".join(request.text for request in api.of(ROLES["whale-tracker"]))
    assert (done.code, done.json["signal"], done.json["confidence"]) == (0, "SELL", 61), done
    entry = only_entry(home)
    assert (entry.status, entry.engine, entry.signal) == (Status.SUCCESS, "claude", "SELL")
    assert entry.price == pytest.approx(world.exchange.last("BTC", "USD"), rel=0.2)
    assert "net_flow_usd" in heard
    assert "Bitfinex" in heard or "bitfinex" in heard
    assert world.bitcoin.requests >= 7, "seven blocks of the last hour, and what was paid in one of them"
    assert world.exchange.requests


def test_its_rules_run_without_a_model(trader: Command, home: Path, world: World) -> None:
    done = trader("run", "btc-rsi-whale", "--engine", "rules", "--json", **world.environment())
    assert (done.code, done.json["status"]) == (0, "success"), done
    assert done.json["signal"] in ("BUY", "SELL", "HOLD")
    assert (only_entry(home).engine, done.json["cost_usd"]) == ("rules", 0)


@pytest.mark.long
def test_a_chain_that_cannot_be_reached_ends_without_a_signal_and_never_as_hold(
    trader: Command, home: Path, world: World
) -> None:
    """In `make test`, `tests/runner/test_claude.py` has sub-agents whose tools fail."""
    world.bitcoin.status = 503
    with ScriptedMessagesApi(script()) as api:
        model = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "dummy"}
        done = trader("run", "btc-rsi-whale", "--json", **world.environment(), **model)
    assert (done.code, done.json["status"], done.json["signal"]) == (1, "abstained", None), done
    assert "whale-tracker" in done.json["error"]
