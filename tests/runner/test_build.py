"""`claude-trader build` from end to end: real SDK, agent CLI, tool server and terminal, a scripted model."""

import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import psutil
import pytest
from claude_agent_sdk import ResultMessage
from rich.console import Console

import runner.build
from mcp_server.app import tool_files
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import NOTHING, StrategyFolders
from runner.build import outcome
from runner.claude import builder
from runner.claude.build_prompt import instructions
from runner.claude.builder import BuildTask
from runner.claude.building import Building
from runner.claude.cli_folder import cli_folder
from runner.cli.show_build import designed
from tests.acceptance.test_http import serving
from tests.rigs.processes import left
from tests.rigs.scripted_messages_api import (
    ORCHESTRATOR,
    Fail,
    Hang,
    Reply,
    Request,
    ScriptedMessagesApi,
    Step,
    say,
    use,
)
from tests.rigs.terminal import CTRL_C, Terminal
from tests.rigs.warm import forked_by
from tests.runner.claude_runs import KEY
from tests.runner.conftest import Command

IDEA = "buy BTC when the 4h RSI turns up"
WRITE, BACKTEST = "mcp__trader__write_strategy", "mcp__trader__backtest_strategy"
ASK = use("mcp__person__ask_user", {"question": "Which market?", "choices": ["BTC/USD", "BTC/USDT"]})
CONFIG: dict[str, Any] = {
    "description": "Buys when the RSI turns up",
    "trading_pair": "BTC/USDT",
    "exchange": "simulated",
    "interval": "4h",
    "rules": {
        "indicators": ["rsi(14)"],
        "buy": "crosses_above(rsi_14, 35)",
        "sell": "crosses_below(rsi_14, 65)",
    },
}
BROKEN = {**CONFIG, "rules": {**CONFIG["rules"], "buy": "crosses_above(rsi_15, 35)"}}


def write(config: dict[str, Any], *, dry_run: bool = False) -> Reply:
    return use(WRITE, {"strategy_name": "rsi-turn", "config": config, "dry_run": dry_run})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """One tool server for the tests of this file, and its home."""
    folder = tmp_path_factory.mktemp("build") / "home"
    folder.mkdir()
    with serving(folder, TRADER_EXCHANGE="simulated") as running:
        yield folder, running.url


@pytest.fixture
def home(server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of that server, without the strategies of other tests."""
    folder, url = server
    shutil.rmtree(Home(folder).strategies, ignore_errors=True)
    monkeypatch.setenv("TRADER_HOME", str(folder))
    monkeypatch.setenv("TRADER_SERVER_URL", url)
    return folder


def environment(home: Path, api: ScriptedMessagesApi) -> dict[str, str]:
    own = {"TRADER_HOME": str(home), "TRADER_EXCHANGE": "simulated", "COLUMNS": "120", "TERM": "dumb"}
    return {**os.environ, **own, "ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY}


def terminal(home: Path, api: ScriptedMessagesApi, *options: str) -> Terminal:
    return Terminal(["build", IDEA, *options], environment(home, api), home)


def written(home: Path) -> list[str]:
    """List what is in the home: its strategies, and what a write that was cut off would leave."""
    folder = Home(home).strategies
    entries = [entry.name for entry in folder.iterdir()] if folder.exists() else []
    return [name for name in entries if name not in (".lock", ".versions")]


def answers(request: Request) -> list[str]:
    """Give what tools answered by then, as the model sees it."""
    blocks = [
        block for message in request.body["messages"] if message["role"] == "user" for block in message["content"]
    ]
    results = [block["content"] for block in blocks if isinstance(block, dict) and block["type"] == "tool_result"]
    return ["".join(part["text"] for part in result) if isinstance(result, list) else result for result in results]


EVIL = "\x1b[2J\x1b]0;mine\x07\u202e"


@dataclass(frozen=True)
class Conversation:
    """A design that asked a person several times and mended a finding, and what was seen of it."""

    code: int
    shown: str
    api: ScriptedMessagesApi
    written: list[str]
    strategy: Strategy


@pytest.fixture(scope="module")
def conversation(server: tuple[Path, str]) -> Conversation:
    """One design whose model asks four times, once after keys were pressed, and writes what would steer a terminal."""
    folder, url = server
    look = use("mcp__trader__get_price", {"symbol": f"BTC\nWritten  fake  version 1{EVIL}"})
    steps = [
        ASK,
        use("mcp__person__ask_user", {"question": "How often?"}),
        ASK,
        Reply(f"Hello{EVIL}", look.calls),
        use("mcp__person__ask_user", {"question": f"Which?{EVIL}", "choices": [f"a{EVIL}", "b"]}),
        use("mcp__trader__get_price", {"symbol": "BTC/USDT"}),
        write(BROKEN, dry_run=True),
        write(CONFIG, dry_run=True),
        use(BACKTEST, {"config": CONFIG, "start": "2026-01-01", "end": "2026-01-08"}),
        write({**CONFIG, "description": f"Buys{EVIL}"}),
        say("It buys when the RSI turns up. I assumed four hours."),
    ]
    variables = {"TRADER_SERVER_URL": url}
    with (
        ScriptedMessagesApi({ORCHESTRATOR: steps}) as api,
        Terminal(["build", IDEA], {**environment(folder, api), **variables}, folder) as seen,
    ):
        seen.until("Ctrl-C stops it")
        seen.type("\n\n\n")
        seen.until("Type 1 to 2 (Enter: 1), or an answer of your own.")
        assert "Which market?\n  1  BTC/USD\n  2  BTC/USDT\n" in seen.shown
        seen.type("2\n")
        seen.until("How often?\nType an answer.\n")
        seen.type("hourly\n")
        seen.until("answer of your own.", times=2)
        seen.type("etwas Eigenes: ETH/USD, bitte\n")
        seen.until("answer of your own.", times=3)
        seen.type("2\n")
        code = seen.end()
    strategy = StrategyFolders(Home(folder), examples_folder()).read("rsi-turn")
    return Conversation(code, seen.shown, api, written(folder), strategy)


def test_it_asks_hits_a_finding_mends_it_and_writes(conversation: Conversation) -> None:
    shown, api, strategy = conversation.shown, conversation.api, conversation.strategy
    assert conversation.code == 0, shown
    assert conversation.written == ["rsi-turn"]
    assert strategy.config.rules is not None
    assert strategy.config.rules.buy == "crosses_above(rsi_14, 35)"
    in_order = (
        "· get_price(BTC/USDT)",
        "· check rsi-turn",
        "error config.json rules.buy: unknown column 'rsi_15'. Did you mean 'rsi_14'",
        "· check rsi-turn\n  nothing to mend",
        "· backtest before writing",
        "· write rsi-turn\n  nothing to mend",
        "I assumed four hours.",
        f"Written  rsi-turn  version {strategy.version}",
        "buy: crosses_above(rsi_14, 35)",
        "Its rules held lately: buy ",
        "rules cost nothing",
        "Findings: none",
        "The design: $0.",
        "Run it: claude-trader run rsi-turn",
        "Is it any good? claude-trader backtest rsi-turn",
    )
    positions = [shown.find(text) for text in in_order]
    assert -1 not in positions, (in_order[positions.index(-1)], shown)
    assert positions == sorted(positions)
    assert KEY not in shown
    first = api.requests[0]
    looks = {name for name, file in tool_files().items() if file.looks}
    offered = looks | {"backtest_strategy", "write_strategy"}  # and not what only tells of runs that were made
    assert first.tools == {f"mcp__trader__{name}" for name in offered} | {"mcp__person__ask_user"}
    assert IDEA in first.text
    assert "ask_user" in json.dumps(first.body["system"])
    checked, tried = answers(api.requests[-1])[7:9]
    assert "First backtest_strategy with this config." in checked
    assert '"random_percentile"' in tried, "the model sees the controls"
    assert "No look-ahead was found" in tried
    assert "do not tune on what you have seen" in first.text.lower()


def test_what_was_typed_before_a_question_is_no_answer_to_it(conversation: Conversation) -> None:
    assert answers(conversation.api.requests[-1])[:2] == ["BTC/USDT", "hourly"], "the second choice"


def test_an_answer_of_ones_own_reaches_the_model_as_typed(conversation: Conversation) -> None:
    assert answers(conversation.api.requests[-1])[2] == "etwas Eigenes: ETH/USD, bitte"


def test_what_the_model_writes_cannot_steer_the_terminal_nor_look_like_the_end(conversation: Conversation) -> None:
    assert conversation.code == 0, conversation.shown
    assert "Which?" in conversation.shown
    assert "Buys" in conversation.shown
    assert not set(conversation.shown) & {"\x1b", "\x07", "\u202e"}
    assert "\nWritten  fake" not in conversation.shown


def build(trader: Command, home: Path, steps: Sequence[Step], *options: str) -> tuple[Any, ScriptedMessagesApi]:
    with ScriptedMessagesApi({ORCHESTRATOR: steps}) as api:
        done = trader(
            "build",
            IDEA,
            "--yes",
            *options,
            ANTHROPIC_BASE_URL=api.url,
            ANTHROPIC_API_KEY=KEY,
            TRADER_EXCHANGE="simulated",
        )
    return done, api


@pytest.mark.long
def test_what_is_invalid_to_the_end_is_not_written(trader: Command, home: Path) -> None:
    steps = [write(BROKEN), write(BROKEN, dry_run=True), write(BROKEN), say("I cannot mend this: no such column.")]
    done, _ = build(trader, home, steps)
    assert done.code == 1
    assert "Nothing was written  The agent ended without writing a strategy." in done.out
    assert "The last check found:\n  error config.json rules.buy: unknown column 'rsi_15'." in done.out
    assert "I cannot mend this" in done.err
    assert written(home) == []


def test_what_was_only_found_invalid_is_told_with_its_findings(home: Path) -> None:
    building = Building()
    building.called("1", "write_strategy", {"strategy_name": "rsi-turn", "config": BROKEN})
    building.checked("1", "It is not valid.\n- config.json rules.buy: unknown column 'rsi_15'.")
    building.ended("success", "", 0.01, Decimal("0.5"))
    result = outcome(building, StrategyFolders(Home(home), examples_folder()))
    assert (result["status"], result["why"]) == ("nothing_written", "The agent ended without writing a strategy.")
    shown = as_shown(result)
    assert "Nothing was written  The agent ended without writing a strategy." in shown
    assert "The last check found:\n  error config.json rules.buy: unknown column 'rsi_15'." in shown


def as_shown(result: dict[str, Any]) -> str:
    with io.StringIO() as shown:
        designed(Console(file=shown, width=120), result)
        return shown.getvalue()


def named(name: str, *, written: dict[str, Any] = CONFIG, **other: Any) -> Reply:
    return use(WRITE, {"strategy_name": name, "config": written, **other})


COSTLY = {"input_tokens": 400_000, "output_tokens": 50_000}


@pytest.mark.long
def test_with_yes_nobody_is_asked_and_it_writes_one_strategy_and_never_over_one_that_it_has_not_written(
    trader: Command, home: Path
) -> None:
    """It writes that one several times; what was written before the budget was spent stays.

    In `make test`, the next tests have what is admitted and what is said at the end.
    """
    folders = StrategyFolders(Home(home), examples_folder())
    mine = parse_strategy("mine", {**CONFIG, "description": "by hand"}, None)
    folders.write(mine)
    steps = [
        named("mine", dry_run=True),
        named("mine"),
        named("mine", replaces=mine.version),
        named("rsi-reversion"),
        Reply(calls=[*named("one").calls, *named("two", dry_run="false").calls]),
        named("one", written=BROKEN),
        named("one", written={**CONFIG, "horizon": "1d"}),
        named("three", dry_run="false"),
        named("three", written=BROKEN, dry_run=True),
        Reply("I assumed: four hours.", named("one", dry_run=True).calls, COSTLY),
        *[Reply(calls=named("one", dry_run=True).calls, usage=COSTLY)] * 3,
    ]
    done, api = build(trader, home, steps, "--budget", "0.5", "--json")
    assert done.code == 0, done
    result = done.json
    assert (result["status"], result["name"]) == ("written", "one")
    assert result["why"] == "The budget of 0.5 USD was spent. Give more with --budget."
    assert result["cost_usd"] > 0.5
    assert len(api.requests) < len(steps)
    assert result["findings"] == [], "those of what was written, not of what was checked after it"
    assert result["replaced"] is not None
    assert (result["run"], result["backtest"]) == ("claude-trader run one", "claude-trader backtest one")
    shown = as_shown(result)
    assert f", in place of version {result['replaced']}" in shown
    assert "Note: The budget of 0.5 USD was spent." in shown
    assert "I assumed: four hours." in done.err
    assert "mcp__person__ask_user" not in api.requests[0].tools
    assert "what you assumed" in json.dumps(api.requests[0].body["system"])
    assert done.err.count("error replaces: There is a strategy 'mine' already") == 3
    assert "There is an example 'rsi-reversion' already" in answers(api.requests[-1])[3]
    assert folders.read("mine") == mine
    assert sorted(written(home)) == ["mine", "one"]
    assert "This design writes 'one', and a design writes one strategy." in done.err
    run = trader("run", "one", "--json")
    assert run.code == 0, run


def test_it_writes_one_strategy_and_never_over_one_that_it_has_not_written() -> None:
    building = Building()

    def admitted(name: str, **more: Any) -> Any:
        return building.admit(name, {"strategy_name": name, "config": CONFIG, **more})

    def replaces(name: str, **more: Any) -> str:
        version: str = admitted(name, **more)["replaces"]
        return version

    assert replaces("mine", dry_run=True) == replaces("mine", replaces="abc", dry_run=True) == NOTHING
    assert replaces("one", replaces="abc") == NOTHING, "the server then writes over nothing"
    assert admitted("two", dry_run="false") == (
        "This design writes 'one', and a design writes one strategy. Write 'one' again, or end."
    )
    building.called("one", "write_strategy", {"strategy_name": "one"})
    building.checked("one", json.dumps({"written": True, "name": "one", "version": "v1", "findings": []}))
    assert replaces("one") == "v1"
    assert replaces("three", dry_run=True) == NOTHING
    assert "writes one strategy" in admitted("three")


def test_a_write_that_was_refused_is_none_and_another_name_may_be_taken() -> None:
    building = Building()
    building.admit("a", {"strategy_name": "mine"})
    building.called("a", "write_strategy", {"strategy_name": "mine"})
    building.checked("a", "There is a strategy 'mine' already.")
    assert isinstance(building.admit("b", {"strategy_name": "other"}), dict)


def test_what_was_written_before_the_budget_was_spent_stays_with_its_own_findings(home: Path) -> None:
    folders, building = StrategyFolders(Home(home), examples_folder()), Building()
    folders.write(strategy := parse_strategy("one", CONFIG, None))
    for call, answer in (
        ("written", {"written": True, "name": "one", "version": strategy.version, "replaced": "v0", "findings": []}),
        ("checked", {"written": False, "findings": [["error", "rules.buy", "unknown column", "Mend it."]]}),
    ):
        building.called(call, "write_strategy", {"strategy_name": "one"})
        building.checked(call, json.dumps({"engine": "rules", "schedule": "4h", **answer}))
    building.ended("error_max_budget_usd", "", 0.6, Decimal("0.5"))
    result = outcome(building, folders)
    assert (result["status"], result["name"], result["findings"]) == ("written", "one", [])
    assert result["why"] == "The budget of 0.5 USD was spent. Give more with --budget."
    assert (result["run"], result["backtest"]) == ("claude-trader run one", "claude-trader backtest one")
    shown = as_shown(result)
    assert ", in place of version v0" in shown
    assert "Note: The budget of 0.5 USD was spent." in shown


def test_with_yes_no_person_can_be_asked_and_the_budget_is_the_clis() -> None:
    own = BuildTask(
        IDEA, "http://127.0.0.1:9", None, "simulated", {"get_price": True, "write_strategy": False}, {},
        Decimal("0.37"), None, None, lambda _, __: None,
    )  # fmt: skip
    with cli_folder() as folder:
        options = builder._options(own, Building(), folder, cast(anyio.CancelScope, None), [])
    assert options.max_budget_usd == 0.37
    assert [*cast(dict[str, Any], options.mcp_servers)] == ["trader"]
    assert options.allowed_tools == ["mcp__trader__get_price", "mcp__trader__write_strategy"]
    (guard,) = (options.hooks or {})["PreToolUse"]
    assert guard.matcher == "mcp__trader__write_strategy"
    assert "what you assumed" in str(options.system_prompt)


@pytest.mark.long
def test_a_spent_budget_ends_it_and_says_so(trader: Command, home: Path) -> None:
    look = use("mcp__trader__get_price", {"symbol": "BTC/USDT"})
    costly = Reply(calls=look.calls, usage=COSTLY)
    done, api = build(trader, home, [costly] * 20, "--budget", "0.5", "--json")
    assert (done.code, done.json["status"]) == (1, "nothing_written")
    assert done.json["why"] == "The budget of 0.5 USD was spent. Give more with --budget."
    assert done.json["cost_usd"] > 0.5
    assert len(api.requests) < 20
    assert written(home) == []


@pytest.mark.long
def test_what_was_written_before_the_budget_was_spent_stays_with_its_warning_and_all_is_said(
    trader: Command, home: Path
) -> None:
    rare = write({**CONFIG, "rules": {"buy": "close < 0", "sell": "close > prev(close, 1)"}})
    costly = Reply(calls=write(CONFIG, dry_run=True).calls, usage=COSTLY)
    done, _ = build(trader, home, [rare, costly, costly], "--budget", "0.5")
    assert done.code == 0
    assert "Findings:\n  warning config.json rules.buy: It held on none of the last 500 4h candles." in done.out
    assert "The budget of 0.5 USD was spent." in done.out
    assert written(home) == ["rsi-turn"]


def test_a_write_whose_answer_never_came_is_not_denied(home: Path) -> None:
    folders = StrategyFolders(Home(home), examples_folder())
    building = Building()
    for name, dry_run in (("rsi-turn", False), ("only-checked", True), ("not-written", False)):
        building.called(name, "write_strategy", {"strategy_name": name, "config": CONFIG, "dry_run": dry_run})
    folders.write(parse_strategy("rsi-turn", CONFIG, None))
    folders.write(parse_strategy("only-checked", CONFIG, None))
    said = outcome(building, folders)
    assert (said["status"], said["name"], said["engine"]) == ("written", "rsi-turn", "rules")


@pytest.mark.parametrize("here", [None, {**CONFIG, "description": "another"}], ids=["nothing", "another"])
def test_of_what_was_written_into_another_home_nothing_is_said_that_lies_here(home: Path, here: Any) -> None:
    folders = StrategyFolders(Home(home), examples_folder())
    if here:
        folders.write(parse_strategy("rsi-turn", here, None))
    there = parse_strategy("rsi-turn", CONFIG, None)
    building = Building(written={"name": "rsi-turn", "version": there.version, "engine": "rules", "schedule": "4h"})
    said = outcome(building, folders)
    assert (said["status"], said["description"], said["run"]) == ("written", None, None)
    assert said["why"] == "It lies in the home of the tool server, which is not the one here."
    with open(os.devnull, "w") as nowhere:
        designed(Console(file=nowhere), said)


def test_an_api_that_refuses_is_told_whatever_the_agent_cli_calls_it(home: Path) -> None:
    facts: dict[str, Any] = {"duration_ms": 1, "duration_api_ms": 1, "num_turns": 1, "session_id": "x"}
    refusal = ResultMessage(subtype="success", is_error=True, result="API Error: 401", total_cost_usd=0.0, **facts)
    building = Building()
    builder._ended(refusal, cast(BuildTask, SimpleNamespace(budget_usd=Decimal("0.5"))), building)
    result = outcome(building, StrategyFolders(Home(home), examples_folder()))
    assert (result["status"], result["cost_usd"]) == ("nothing_written", None)
    assert result["why"] == "Claude's API could not be used: API Error: 401"


@pytest.mark.long
def test_an_api_that_refuses_is_told(trader: Command, home: Path) -> None:
    done, _ = build(trader, home, [Fail(401)], "--json")
    assert (done.code, done.json["status"]) == (1, "nothing_written")
    assert done.json["why"].startswith("Claude's API could not be used: ")
    assert KEY not in done.out + done.err


@pytest.mark.long
@pytest.mark.parametrize("before", ["after it has written", "while it asks", "by SIGTERM"])
def test_ctrl_c_ends_it_at_once_and_leaves_no_process_and_nothing_half_written(
    home: Path, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In `make test`, `tests/replay/test_stopped.py` stops an agent so; the next test has what is said of a design."""
    scripts: dict[str, list[Step]] = {
        "while it asks": [ASK],
        "by SIGTERM": [Hang()],
        "after it has written": [write(CONFIG), Hang()],
    }
    steps = scripts[before]
    monkeypatch.delenv("TRADER_SERVER_URL")  # it starts a server of its own, which must not be left either
    options = ["--json"] if before == "by SIGTERM" else []
    with ScriptedMessagesApi({ORCHESTRATOR: steps}) as api, terminal(home, api, *options) as seen:
        if before == "while it asks":
            seen.until("answer of your own.")
        elif before == "after it has written":
            seen.until("nothing to mend")
        else:
            assert api.arrived.wait(60), seen.shown
        children = psutil.Process(seen.process.pid).children(recursive=True)
        assert any("_bundled/claude" in " ".join(child.cmdline()) for child in children)
        servers = forked_by(seen.process.pid)
        assert len(servers) == 1
        if before == "by SIGTERM":
            seen.process.terminate()
        else:
            seen.type(CTRL_C)
        code = seen.end()
    assert code == 130, seen.shown
    assert "Fatal error" not in seen.shown
    assert left([*children, *servers], within_s=5) == []
    assert "Traceback" not in seen.shown
    if before == "after it has written":
        assert "stopped; 'rsi-turn' was written before, and stays; what it cost is not known" in seen.shown
        assert written(home) == ["rsi-turn"]
        StrategyFolders(Home(home), examples_folder()).read("rsi-turn")
        return
    assert written(home) == []
    if before == "by SIGTERM":
        said = json.loads(seen.shown.splitlines()[-1])
        assert (said["status"], said["cost_usd"]) == ("nothing_written", None)
        assert said["why"] == "It was stopped, so what it cost is not known."
    else:
        assert "stopped; nothing was written; what it cost is not known" in seen.shown


def test_a_design_that_is_stopped_says_what_was_written_before(
    trader: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = parse_strategy("rsi-turn", CONFIG, None)

    async def stopped(_: Any, __: str, building: Building, **___: Any) -> None:
        StrategyFolders(Home(home), examples_folder()).write(strategy)
        building.written = {"name": "rsi-turn", "version": strategy.version}
        raise KeyboardInterrupt

    monkeypatch.setattr(runner.build, "build", stopped)
    done = trader("build", IDEA, "--yes", ANTHROPIC_API_KEY=KEY)
    assert (done.code, written(home)) == (130, ["rsi-turn"])
    assert "stopped; 'rsi-turn' was written before, and stays; what it cost is not known" in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        (["build", IDEA], {"ANTHROPIC_API_KEY": KEY}, 2, "There is no terminal to ask you at. Add --yes"),
        (["build", "  ", "--yes"], {"ANTHROPIC_API_KEY": KEY}, 2, "idea is empty"),
        (["build", IDEA, "--yes", "--budget", "0"], {"ANTHROPIC_API_KEY": KEY}, 2, "budget"),
        (["build", IDEA, "--yes", "--model", "sonet"], {"ANTHROPIC_API_KEY": KEY}, 2, "Did you mean 'sonnet'"),
        (["build"], {}, 2, "Missing argument"),
        (["build", IDEA, "--yes"], {}, 1, "No credential for Claude. Set ANTHROPIC_API_KEY"),
        (
            ["build", IDEA, "--yes"],
            {"ANTHROPIC_API_KEY": KEY, "TRADER_SERVER_URL": "http://127.0.0.1:9/mcp"},
            1,
            "The tool server cannot be reached",
        ),
    ],
)
def test_what_keeps_it_from_beginning_is_said(
    trader: Command, arguments: list[str], environment: dict[str, str], code: int, said: str
) -> None:
    done = trader(*arguments, **environment)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("asking", [True, False])
def test_the_builder_names_replay_for_the_claude_engine_and_never_as_proof_of_what_the_model_remembers(
    *, asking: bool
) -> None:
    words = " ".join(instructions(asking=asking).split())
    assert "claude-trader replay" in words
    assert "after any backtest of its rules" in words
    assert "before the model's knowledge ends prove nothing" in words
