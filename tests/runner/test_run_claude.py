"""`claude-trader run` of a claude strategy from end to end: real runner, tool server, SDK and CLI, a scripted model."""

import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.entries import Entry
from mcp_server.storage.journal.runs import Journal
from runner.claude import engine, twin
from runner.claude.engine import ClaudeTask
from runner.cli.context import Context
from runner.execute import Runner
from runner.tool_server.server import Address, tool_server
from tests.rigs.processes import left
from tests.rigs.recording_proxy import recording_proxy
from tests.rigs.scripted_messages_api import Fail, Hang, Reply, ScriptedMessagesApi, Step, answer, say, start, use
from tests.rigs.warm import Warm, forked_by
from tests.runner.claude_runs import GOOD_ANSWER, KEY, script, strategy
from tests.runner.conftest import Command, Done

AS_OF = "2026-03-01T12:00Z"


@pytest.fixture
def journal(home: Path) -> Journal:
    return Journal(Database(Home(home).database, prepare=Home(home).prepare), Home(home))


@pytest.fixture(autouse=True)
def _strategy(home: Path) -> None:
    """The strategy `dip`: two sub-agents on the simulated exchange."""
    write(home)


def write(home: Path, **config: Any) -> None:
    what = strategy(**{"exchange": "simulated", "model": "claude-sonnet-4-5", **config})
    folder = home / "strategies" / "dip"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(what.config_json()))
    (folder / "agents.json").write_text(json.dumps(what.agents_json()))


def run(trader: Command, steps: dict[str, Sequence[Step]], **environment: str) -> Done:
    with ScriptedMessagesApi(steps) as api:
        done = trader(
            "run", "dip", "--as-of", AS_OF, "--json", ANTHROPIC_BASE_URL=api.url, ANTHROPIC_API_KEY=KEY, **environment
        )
    assert KEY not in done.out + done.err
    return done


def only_entry(journal: Journal) -> Entry:
    (entry,) = journal.entries(outcomes="all")
    return entry


@pytest.mark.long
@pytest.mark.usefixtures("forked_servers")
async def test_a_run_as_of_now_goes_through_no_proxy_and_starts_one_tool_server_for_its_twin_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its market may be named otherwise by the exchange.

    In `make test`, `test_claude.py` has such a run, and `test_execute.py` its server, its twin and its market's names.
    """
    for name in ("recording", "cassette.cassettes", "proxy.answering"):
        monkeypatch.setitem(sys.modules, f"runner.claude.{name}", None)  # an import of it fails
    write(home, rules={"sell": "close > 0"}, trading_pair="XBT-USDT")
    monkeypatch.setattr(twin, "AFTER_S", 120)
    started: list[str] = []
    with recording_proxy() as proxy, ScriptedMessagesApi(script()) as api:
        for name, value in proxy.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("CLAUDE_CODE_USE_VERTEX", "1")
        parts = Context()

        @asynccontextmanager
        async def serving() -> AsyncIterator[Address]:
            async with tool_server(parts.settings) as address:
                started.append(address.url)
                yield address

        runner = Runner(parts.settings, parts.journal, parts.database, serving)
        ended = await runner.run(parts.strategies.read("dip"))
    assert proxy.seen == [], "nor through one that the operator has set"
    assert ended.outcome.signal is not None, ended.outcome.error
    assert (ended.outcome.knowledge_cutoff, ended.outcome.contaminated, ended.outcome.recorded_usd) == (
        None,
        None,
        None,
    )
    assert "requests" not in (ended.outcome.trace or {})
    assert ended.outcome.signal.price is not None
    assert ended.outcome.signal.data["twin"]["signal"] == "SELL"
    assert len(started) == 1


ROW = "SELECT status, cost_usd, recorded_usd, knowledge_cutoff, contaminated FROM executions ORDER BY id"


def is_in_the_journal(done: Done, journal: Journal, home: Path) -> None:
    """Check that a signal of two sub-agents is there, with all that it rests on."""
    assert (done.code, done.json["signal"], done.json["confidence"]) == (0, "BUY", 72), done
    entry = only_entry(journal)
    assert (entry.status, entry.signal, entry.engine, entry.why) == (
        Status.SUCCESS,
        "BUY",
        "claude",
        "The RSI is 28.5.",
    )
    assert entry.price is not None
    assert entry.price == done.json["price"]
    assert entry.cost_usd is not None
    assert float(entry.cost_usd) == pytest.approx(done.json["cost_usd"], abs=1e-6)
    trace = journal.trace(entry.execution_id)
    assert trace is not None
    calls = {agent["name"]: agent["calls"] for agent in trace["sub_agents"]}
    (price,), (rsi,) = calls["price-monitor"], calls["rsi-analyzer"]
    assert (price["tool"], rsi["tool"]) == ("get_price", "calculate_rsi")
    assert json.loads(price["result"])["price"] == entry.price, "the tools were asked as of the run's moment"
    assert json.loads(rsi["result"])["as_of"] == "2026-03-01T12:00Z"
    row = Database(Home(home).database).read(
        lambda c: c.execute(
            "SELECT e.tokens_used, e.model, a.data, a.execution_time_ms FROM executions e "
            "JOIN analysis_results a ON a.execution_id = e.id"
        ).fetchone()
    )
    assert row is not None
    assert (row[0], row[1]) == (720, "claude-opus-5-5")
    assert json.loads(row[2])["sub_agent_results"] == GOOD_ANSWER["sub_agent_results"]
    assert row[3] > 0


@pytest.mark.long
def test_a_run_as_of_the_past_is_in_the_journal_tells_its_model_no_later_date_and_says_what_the_model_may_know(
    trader: Command, journal: Journal, home: Path
) -> None:
    """What is on the cassette is not asked again.

    In `make test`, `test_recorded_requests.py` has what the model is told and repeated, `test_recorder.py` which runs
    are recorded, `test_execute.py` a spent budget, and `tests/replay/test_documentation.py` the row of such a run.
    """
    write(home, model="opus", record=True)
    with ScriptedMessagesApi(script()) as api:
        names = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY}
        done = trader("run", "dip", "--as-of", AS_OF, "--json", **names)
        assert KEY not in done.out + done.err
        is_in_the_journal(done, journal, home)
        for request in api.requests:
            assert set(re.findall(r"Today's date is ([0-9-]+)", request.text)) == {"2026-03-01"}
            assert f"{datetime.now(UTC):%Y-%m-%d}" not in request.text
        assert len(api.requests) == 6
        for_a_person = trader("run", "dip", "--as-of", AS_OF, **names)
        assert len(api.requests) == 6, "what is on the cassette is not asked again"
        assert "Contaminated: a model of this run knows what happened until 2026-06" in for_a_person.out
        kept_in = f"recorded in {done.json['cassette']} of the home"
        assert kept_in in for_a_person.out.replace("\n", " ")
        assert "no cost, from the cassette for $0.0048" in for_a_person.out
        spent = trader("run", "dip", "--as-of", "2026-03-01T13:00Z", TRADER_BUDGET_USD_PER_DAY="0.49", **names)
        assert len(api.requests) == 6
    first = done.json
    assert (first["signal"], first["contaminated"], first["knowledge_cutoff"]) == ("BUY", True, "2026-06")
    assert first["cost_usd"] == first["recorded_usd"] > 0
    assert len([file for file in (home / first["cassette"]).iterdir() if not file.name.startswith(".")]) == 6
    assert "skipped_budget" in spent.out
    rows = Database(Home(home).database).read(lambda c: c.execute(ROW).fetchall())
    cost = Decimal(str(first["cost_usd"]))
    assert rows == [
        ("success", cost, cost, "2026-06", True),
        ("success", Decimal(0), cost, "2026-06", True),
        ("skipped_budget", Decimal(0), None, None, None),
    ]


def test_a_run_through_a_cloud_is_refused_where_it_needs_the_proxy(trader: Command, home: Path) -> None:
    with ScriptedMessagesApi({}) as api:
        names = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY}
        done = trader("run", "dip", "--as-of", AS_OF, "--json", CLAUDE_CODE_USE_BEDROCK="1", **names)
    assert (done.code, done.json["status"], done.json["cost_usd"]) == (1, "error", 0)
    assert "CLAUDE_CODE_USE_BEDROCK is set" in done.json["error"]
    assert "Unset CLAUDE_CODE_USE_BEDROCK" in done.json["error"]
    assert api.requests == []


START_ONE = Reply(calls=[start("price-monitor", "BTC/USDT")])

FAILURES: dict[str, tuple[dict[str, Sequence[Step]], Status, str]] = {
    "a sub-agent that never reports": (
        script(orchestrator=[START_ONE, answer(GOOD_ANSWER)], rsi=()),
        Status.ABSTAINED,
        "rsi-analyzer",
    ),
    "an overloaded API": (script(orchestrator=[Fail(529)]), Status.ERROR, "529"),
}


@pytest.mark.long
@pytest.mark.parametrize(("steps", "status", "said"), FAILURES.values(), ids=FAILURES.keys())
def test_what_goes_wrong_ends_in_its_own_outcome_and_never_as_hold(
    trader: Command, journal: Journal, steps: dict[str, Sequence[Step]], status: Status, said: str
) -> None:
    """In `make test` a run of `test_claude.py` ends so, and `test_execute.py` enters one."""
    done = run(trader, steps)
    assert (done.code, done.json["status"], done.json["signal"]) == (1, str(status), None)
    entry = only_entry(journal)
    assert (entry.status, entry.signal) == (status, None)
    assert said in (entry.why or "")
    assert entry.why == done.json["error"]
    assert journal.trace(entry.execution_id) is not None


@pytest.mark.long
def test_evidence_of_another_market_or_of_none_is_no_signal(trader: Command, journal: Journal, home: Path) -> None:
    """With the real server too, as in `test_claude_evidence.py`, and through the command."""
    file = home / "strategies" / "dip" / "agents.json"
    agents = json.loads(file.read_text())
    agents["rsi-analyzer"]["tools"].append("find_indicators")
    file.write_text(json.dumps(agents))
    price = [use("mcp__trader__get_price", {"symbol": "ETH/USDT"}), say("It costs 42.5.")]
    rsi = [use("mcp__trader__find_indicators", {"query": "rsi"}), say("The RSI is 28.5.")]
    done = run(trader, script(price=price, rsi=rsi))
    assert (done.code, done.json["status"], done.json["signal"]) == (1, "abstained", None)
    assert "'price-monitor' looked only at ETH/USDT on simulated" in done.json["error"]
    assert "'rsi-analyzer' looked only at find_indicators" in done.json["error"]


def test_a_tool_server_that_is_not_reachable_is_an_error(trader: Command, journal: Journal) -> None:
    done = run(trader, script(), TRADER_SERVER_URL="http://127.0.0.1:9/mcp")
    assert (done.code, done.json["status"]) == (1, "error")
    assert "tool server cannot be reached" in (only_entry(journal).why or "")


@dataclass(frozen=True)
class Hanging:
    """A run that goes on, what it has started, and the file of its standard output."""

    runner: Warm
    children: list[psutil.Process]
    out: Path


@pytest.fixture
def hanging(home: Path, tmp_path: Path) -> Iterator[Hanging]:
    """A run whose model does not answer, with the agent CLI and a tool server under way."""
    out = tmp_path / "out"
    with ScriptedMessagesApi(script(orchestrator=[Hang()])) as api, out.open("wb") as output, open(os.devnull) as no:
        names = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY, "TRADER_HOME": str(home)}
        streams = (no.fileno(), output.fileno(), 2)
        arguments = ["run", "dip", "--as-of", AS_OF, "--json"]
        runner = Warm("runner", arguments, {**os.environ, **names}, Path.cwd(), streams, forks_servers=True)
        try:
            assert api.arrived.wait(60), "the CLI never asked"
            (server,) = forked_by(runner.pid)
            yield Hanging(runner, [server, *psutil.Process(runner.pid).children(recursive=True)], out)
        finally:
            runner.kill()
            runner.wait(10)


@pytest.mark.long
def test_a_run_that_takes_too_long_is_a_timeout_and_leaves_no_process(
    trader: Command, journal: Journal, home: Path
) -> None:
    """In `make test`, `test_verdict.py` has the outcome, and a run that is stopped leaves no process."""
    write(home, timeout_s=3)
    with ScriptedMessagesApi(script(orchestrator=[Hang()])) as api:
        done = trader("run", "dip", "--as-of", AS_OF, "--json", ANTHROPIC_BASE_URL=api.url, ANTHROPIC_API_KEY=KEY)
    assert (done.code, done.json["status"]) == (1, "timeout")
    assert only_entry(journal).status == Status.TIMEOUT
    assert [p for p in psutil.process_iter() if str(home) in _environment(p)] == []


def test_a_run_killed_outright_leaves_no_cli_and_no_server_and_is_recorded_as_interrupted(
    trader: Command, journal: Journal, hanging: Hanging
) -> None:
    assert any("_bundled/claude" in " ".join(child.cmdline()) for child in hanging.children)
    hanging.runner.kill()
    assert left(hanging.children, within_s=2) == []
    assert "interrupted" in trader("signals", "--all").out
    assert only_entry(journal).status == Status.ERROR


@pytest.mark.long
def test_ctrl_c_ends_a_run_as_interrupted_and_leaves_no_process(journal: Journal, hanging: Hanging) -> None:
    """In `make test`, the next test has the run, and `tests/replay/test_stopped.py` the processes of an agent."""
    hanging.runner.send_signal(2)
    assert hanging.runner.wait(15) == 130
    assert "interrupted" in json.loads(hanging.out.read_text())["error"]
    assert left(hanging.children, within_s=2) == []
    entry = only_entry(journal)
    assert (entry.status, entry.signal) == (Status.ERROR, None)
    assert "interrupted" in (entry.why or "")


def test_ctrl_c_while_a_model_is_asked_ends_the_run_as_interrupted_and_never_as_hold(
    trader: Command, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the agent is real; the signal comes while it would be at work."""

    async def pressed(_: ClaudeTask) -> Outcome:
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(engine, "run_claude", pressed)
    done = trader("run", "dip", "--json", ANTHROPIC_API_KEY=KEY)
    assert done.code == 130
    assert "interrupted: the run was stopped" in done.json["error"]
    entry = only_entry(journal)
    assert (entry.status, entry.signal) == (Status.ERROR, None)
    assert "interrupted" in (entry.why or "")


def _environment(process: psutil.Process) -> str:
    try:
        return process.environ().get("TRADER_HOME", "") + process.environ().get("CLAUDE_CONFIG_DIR", "")
    except psutil.Error:
        return ""
