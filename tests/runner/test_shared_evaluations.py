"""Rules of strategies that wait for one market are asked for together, and each is answered as it is alone."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from pydantic import SecretStr

from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.errors import Retryable, TraderError, UpstreamRejected
from mcp_server.evaluation_batch import Batch
from mcp_server.settings import ServerSettings
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.cli.context import Context
from runner.evaluations import MOST_TOGETHER, SharedEvaluations, ask_alone
from runner.tool_server.client import Tools, connected
from runner.tool_server.server import Address
from runner.up import Up
from tests.http.conftest import TOKENS, WRITES, Guarded, guarded
from tests.rigs.hand_clock import HandClock
from tests.scheduler.slot_homes import Machine

NOW = datetime(2026, 5, 20, 12, 17, 33, tzinfo=UTC)
AS_OF = "2026-05-20T12:00:00+00:00"

KINDS: dict[str, dict[str, Any]] = {
    "buys": {"indicators": ["rsi(14)"], "buy": "rsi_14 < 100", "confidence": 60},
    "sells": {"indicators": ["ema(20)"], "buy": "close < 1", "sell": "ema_20 > 1"},
    "holds": {"buy": "close < 1", "sell": "close < 2"},
    "both": {"buy": "close > 1", "sell": "close > 2"},
    "undefined": {"buy": "close / (close - close) > 1"},
    "looks-back": {"indicators": ["rsi(9)"], "buy": "close > prev(highest(high, 20), 1) OR crosses_above(rsi_9, 50)"},
    "many": {"indicators": ["macd(12,26,9)", "kama(9)"], "buy": "macd_12_26_9 > 0 OR close > kama_9"},
    "total": {"indicators": ["obv"], "buy": "obv > 1000"},
    "long": {"indicators": ["ema(150)"], "buy": "close > ema_150"},
    "four-hours": {"timeframe": "4h", "buy": "close > open"},
}  # fmt: skip
AGENTS = {"watcher": {"description": "Watches", "prompt": "Watch.", "tools": ["get_price"]}}

LEFT = {"long"}
"""What needs more candles than usual is left to be asked for alone."""


def config(rules: Mapping[str, Any] | None, **more: Any) -> dict[str, Any]:
    return {"trading_pair": "BTC/USDT", "interval": "1h", **({} if rules is None else {"rules": rules}), **more}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = Home(tmp_path_factory.mktemp("home"))
    home.prepare()
    folders = StrategyFolders(home, examples_folder())
    for name, rules in KINDS.items():
        folders.write(parse_strategy(name, config(rules), None))
    folders.write(parse_strategy("nowhere", config(KINDS["holds"], trading_pair="BTC/BTC"), None))
    folders.write(parse_strategy("no-rules", config(None), AGENTS))
    settings = ServerSettings(home=home.root, exchange="simulated", tokens=TOKENS, runner_token=SecretStr("runs"))
    with guarded(settings, clock=lambda: NOW) as guard:
        yield guard


@asynccontextmanager
async def tools_of(server: Guarded, token: str = "runs") -> AsyncIterator[Tools]:  # noqa: S107
    async with connected(Address(server.url, SecretStr(token))) as tools:
        yield tools


def folders_of(server: Guarded) -> StrategyFolders:
    return StrategyFolders(Home(server.home), examples_folder())


def asked(name: str, version: str, as_of: str = AS_OF) -> dict[str, str]:
    return {"strategy_name": name, "version": version, "as_of": as_of}


async def alone(tools: Tools, arguments: Mapping[str, str]) -> Any:
    try:
        return await tools.call("evaluate_strategy", dict(arguments))
    except TraderError as error:
        return type(error), error.problem, error.remedy


def told(answer: Any) -> Any:
    return (type(answer), answer.problem, answer.remedy) if isinstance(answer, TraderError) else answer


async def test_each_strategy_is_answered_as_alone_to_the_last_digit_whatever_is_wrong_with_others(
    server: Guarded,
) -> None:
    folders = folders_of(server)
    versions = {name: folders.read(name).version for name in (*KINDS, "nowhere", "no-rules")}
    kept = versions["holds"]
    folders.write(parse_strategy("holds", config(KINDS["buys"]), None))
    questions = [
        *(asked(name, version) for name, version in versions.items()),
        asked("holds", kept),
        asked("holds", folders.read("holds").version),
        asked("buys", "0" * 12),
        asked("unknown", "0" * 12),
        asked("buys", versions["buys"], "no moment"),
        asked("buys", versions["buys"], "2026-03-01T00:00:00+00:00"),
        asked("buys", versions["buys"], "2027-01-01T00:00:00+00:00"),
    ]
    async with tools_of(server) as tools:
        markets = {name: [q for q in questions if q["strategy_name"] == name] for name in ("nowhere", "four-hours")}
        others = [q for q in questions if q["strategy_name"] not in markets]
        for together in (others, *markets.values()):
            answers = await tools.evaluate_together(together)
            for question, answer in zip(together, answers, strict=True):
                if question["strategy_name"] in LEFT:
                    assert answer is None
                else:
                    assert told(answer) == await alone(tools, question), question
    assert {a["signal"] for a in answers if isinstance(a, dict)} <= {"BUY", "HOLD"}


async def test_only_the_runner_that_started_the_server_may_ask_for_many(server: Guarded) -> None:
    version = folders_of(server).read("buys").version
    async with tools_of(server, WRITES) as tools:
        assert await tools.evaluate_together([asked("buys", version)] * 2) == [None, None]
        assert not tools.evaluates_together, "it is not tried again"


async def test_a_server_that_no_runner_started_is_asked_one_by_one(home: Path) -> None:
    with guarded(ServerSettings(home=home, exchange="simulated")) as guard:
        async with connected(Address(guard.url, None)) as tools:
            assert not tools.evaluates_together


@dataclass(eq=False)
class CountedTools:
    """Answers with the name of the strategy; notes how it was asked. `failing` is raised instead of shared answers."""

    evaluates_together: bool = True
    of_this_program: bool = False
    shared: list[list[str]] = field(default_factory=list)
    single: list[str] = field(default_factory=list)
    failing: Exception | None = None
    left: Sequence[str] = ()
    wrong: Sequence[str] = ()
    open: anyio.Event = field(default_factory=anyio.Event)

    async def evaluate_together(self, asked: Sequence[Mapping[str, str]]) -> list[Any]:
        names = [one["strategy_name"] for one in asked]
        self.shared.append(names)
        await self.open.wait()
        if self.failing is not None:
            raise self.failing
        return [self._answer(name) for name in names]

    def _answer(self, name: str) -> Any:
        if name in self.wrong:
            return UpstreamRejected(f"{name} is wrong.")
        return None if name in self.left else {"said": name}

    async def call(self, tool: str, arguments: Mapping[str, str]) -> dict[str, str]:
        assert tool == "evaluate_strategy"
        self.single.append(arguments["strategy_name"])
        return {"said": arguments["strategy_name"]}


class Crowd:
    """Strategies that ask at one moment, each for its market, the letter that its name begins with."""

    def __init__(self, tools: CountedTools) -> None:
        self.tools, self.shared = tools, SharedEvaluations()
        self.answers: dict[str, Any] = {}
        self.scopes: dict[str, anyio.CancelScope] = {}

    async def ask(self, name: str) -> None:
        with anyio.CancelScope() as self.scopes[name]:
            try:
                answer = await self.shared.ask(cast(Tools, self.tools), name[0], asked(name, "v"))
                self.answers[name] = answer["said"]
            except Exception as error:
                self.answers[name] = error


@asynccontextmanager
async def crowd_of(tools: CountedTools, *names: str) -> AsyncIterator[Crowd]:
    """Give a crowd that has asked; at the end of the block all answers are there."""
    crowd = Crowd(tools)
    async with anyio.create_task_group() as keeping:
        keeping.start_soon(crowd.shared.keep)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as asking:
            for name in names:
                asking.start_soon(crowd.ask, name)
            await anyio.wait_all_tasks_blocked()
            yield crowd
            tools.open.set()
        keeping.cancel_scope.cancel()


def numbered(market: str, count: int) -> list[str]:
    return [f"{market}{number}" for number in range(count)]


async def test_one_request_asks_for_all_who_wait_for_a_market_and_markets_do_not_wait_for_each_other() -> None:
    tools, names = CountedTools(), [*numbered("a", 40), *numbered("b", 3), "c0"]
    async with crowd_of(tools, *names) as crowd:
        assert tools.shared == [numbered("a", MOST_TOGETHER), numbered("b", 3)], "the one of market c asks alone"
        assert crowd.answers == {"c0": "c0"}
    assert crowd.answers == {name: name for name in names}
    assert [len(names) for names in tools.shared] == [MOST_TOGETHER, 3, 8]
    assert tools.single == ["c0"]


async def test_one_that_is_stopped_while_all_are_asked_for_leaves_the_others_their_answers() -> None:
    tools, names = CountedTools(), numbered("a", MOST_TOGETHER + 4)
    async with crowd_of(tools, *names) as crowd:
        for stopped in ("a0", "a2", f"a{MOST_TOGETHER}"):
            crowd.scopes[stopped].cancel()
        await anyio.wait_all_tasks_blocked()
        assert crowd.answers == {}
    assert {*names} - crowd.answers.keys() == {"a0", "a2", f"a{MOST_TOGETHER}"}
    assert all(crowd.answers[name] == name for name in crowd.answers)
    assert len(tools.shared[1]) == 3, "who was stopped before it was asked for is not asked for"


async def test_what_a_shared_request_leaves_open_is_asked_for_alone_and_an_error_is_only_its_own() -> None:
    tools = CountedTools(left=["a1"], wrong=["a2"])
    async with crowd_of(tools, *numbered("a", 4)) as crowd:
        pass
    assert isinstance(crowd.answers["a2"], UpstreamRejected)
    assert {name: crowd.answers[name] for name in ("a0", "a1", "a3")} == {"a0": "a0", "a1": "a1", "a3": "a3"}
    assert tools.single == ["a1"]


async def test_where_the_server_is_lost_each_run_tells_of_it_and_the_next_are_asked_for_again() -> None:
    tools = CountedTools(failing=Retryable("It is gone."))
    async with crowd_of(tools, *numbered("a", 3), *numbered("b", 2)) as crowd:
        tools.open.set()
        await anyio.wait_all_tasks_blocked()
        assert [str(crowd.answers[name]) for name in ("a0", "a2", "b1")] == ["It is gone."] * 3
        tools.failing = None
        await crowd.ask("a9")
        assert crowd.answers["a9"] == "a9"


async def test_an_older_server_is_asked_for_each_strategy_as_before() -> None:
    tools = CountedTools(evaluates_together=False)
    async with crowd_of(tools, *numbered("a", 3)) as crowd:
        pass
    assert (tools.shared, tools.single, crowd.answers["a2"]) == ([], numbered("a", 3), "a2")


async def test_a_request_that_takes_too_long_is_given_up_and_each_is_asked_for_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runner.evaluations.TOGETHER_S", 0.0)
    tools, crowd = CountedTools(), Crowd(CountedTools())
    crowd.tools = tools
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.shared.keep)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as asking:
            for name in numbered("a", 2):
                asking.start_soon(crowd.ask, name)
        tasks.cancel_scope.cancel()
    assert (sorted(tools.single), crowd.answers) == (["a0", "a1"], {"a0": "a0", "a1": "a1"})


async def test_who_waits_behind_a_request_that_hangs_waits_for_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.evaluations.TOGETHER_S", 0.01)
    tools, names = CountedTools(), numbered("a", MOST_TOGETHER + 8)
    async with crowd_of(tools, *names) as crowd:
        while len(tools.single) < len(names):
            await anyio.lowlevel.checkpoint()
        assert tools.shared == [names[:MOST_TOGETHER]]
    assert crowd.answers == {name: name for name in names}


async def test_a_request_that_fails_once_leaves_each_to_be_asked_for_alone_and_is_sent_again(
    server: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = asked("buys", folders_of(server).read("buys").version)

    async def fails(_: Batch) -> None:
        raise Retryable("It took too long.", "Try again.")

    async with tools_of(server) as tools:
        with monkeypatch.context() as once:
            once.setattr(Batch, "evaluate", fails)
            assert await tools.evaluate_together([question] * 2) == [None, None]
        assert tools.evaluates_together
        assert await tools.evaluate_together([question] * 2) == [await alone(tools, question)] * 2


@pytest.mark.parametrize("started", [True, False])
async def test_a_run_asks_for_a_tool_only_where_its_own_server_leaves_that_to_it(started: bool) -> None:
    tools = CountedTools(of_this_program=started, left=["a1"], wrong=["a2"])
    tools.open.set()
    answered = {}
    for name in numbered("a", 3):
        try:
            answered[name] = (await ask_alone(cast(Tools, tools), asked(name, "v")))["said"]
        except UpstreamRejected as error:
            answered[name] = str(error)
    assert tools.shared == ([["a0"], ["a1"], ["a2"]] if started else [])
    assert tools.single == (["a1"] if started else numbered("a", 3))
    assert answered == {"a0": "a0", "a1": "a1", "a2": "a2 is wrong." if started else "a2"}


async def test_the_server_that_a_run_has_started_answers_as_its_tool_does(server: Guarded) -> None:
    folders = folders_of(server)
    async with connected(Address(server.url, SecretStr("runs"), of_this_program=True)) as tools:
        assert tools.of_this_program
        for name in ("sells", "undefined", "long"):
            question = asked(name, folders.read(name).version)
            assert await ask_alone(tools, question) == await alone(tools, question)


async def test_hosts_are_listed_nothing_of_it(server: Guarded) -> None:
    async with tools_of(server) as tools:
        assert "evaluate_strategy" in await tools.offered()
        assert not any("evaluations" in json.dumps(name) for name in await tools.offered())


DONE = "SELECT id FROM executions WHERE status = 'abstained'"


async def test_what_is_due_at_once_is_asked_for_together_by_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, machine, names = HandClock(NOW.replace(minute=59)), Machine(home), numbered("a", 12)
    folders, sizes, stop = StrategyFolders(machine.home, examples_folder()), list[int](), anyio.Event()
    for name in names:
        folders.write(parse_strategy(name, config(KINDS["undefined"], offset_s=0), None))  # nothing is reported
    evaluate = Batch.evaluate

    async def counted(batch: Batch) -> None:
        sizes.append(len(batch._asked))
        await evaluate(batch)

    monkeypatch.setattr(Batch, "evaluate", counted)
    settings = ServerSettings(home=home, exchange="simulated", runner_token=SecretStr("runs"))
    with guarded(settings, clock=clock.now) as guard:
        where = {"HOME": str(home), "SERVER_URL": guard.url, "TOKEN": "runs", "EXCHANGE": "simulated"}
        for name, value in where.items():
            monkeypatch.setenv(f"TRADER_{name}", value)
        async with anyio.create_task_group() as tasks:
            up = Up(Context(), clock=clock, grace_s=0.0)
            tasks.start_soon(up.serve, stop)
            with anyio.fail_after(60):
                while up._scheduler is None or len(up._scheduler.schedules.by_name) < len(names):  # noqa: ASYNC110 (nor of a start)
                    await anyio.sleep(0.05)
                clock.set(NOW.replace(hour=13, minute=0, second=0))
                while len(machine.ask(DONE)) < len(names):
                    clock.pass_by(1)
                    await anyio.sleep(0.05)
            stop.set()
    assert max(sizes, default=1) > len(names) / 2, sizes
