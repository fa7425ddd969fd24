from typing import Any

import pytest
from mcp import Client
from mcp.server import MCPServer

from mcp_server.answers import Answer
from mcp_server.storage.home import Home
from mcp_server.strict_tool import StrictTool
from mcp_server.toolkit import Call, tool
from tests.tools.conftest import Ask, Told, answer_of

RULES = {"indicators": ["rsi(14)"], "buy": "rsi_14 < 100", "sell": "rsi_14 > 100", "confidence": 60}
CONFIG: dict[str, Any] = {"trading_pair": "BTC/USDT", "interval": "1h", "rules": RULES}
AGENTS = {"watcher": {"description": "Watches", "prompt": "Use get_price.", "tools": ["mcp__market__get_price"]}}


async def test_a_strategy_is_written_read_and_listed(ask: Ask) -> None:
    written = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "engine": "claude"}, agents=AGENTS)
    assert (written["replaced"], written["engine"]) == (None, "claude")
    read = await ask("read_strategy", strategy_name="mine")
    assert (read["version"], read["origin"]) == (written["version"], "home")
    assert read["agents"]["watcher"]["tools"] == ["get_price"]
    rows = {row[0]: row for row in (await ask("list_strategies"))["rows"]}
    assert rows["mine"][1:6] == ["home", "claude", "BTC/USDT", "1h", "active"]
    assert (rows["rsi-reversion"][1], rows["rsi-reversion"][5]) == ("example", None), "an example is never scheduled"


async def test_an_argument_of_a_tool_without_arguments_is_to_be_left_out() -> None:
    @tool(title="Bare")
    async def bare(call: Call) -> Answer:
        """Answer."""
        return Answer()

    server: MCPServer[object] = MCPServer("bare", tools=[StrictTool.of(bare, kit=None)])  # type: ignore[arg-type]
    async with Client(server) as client:
        with pytest.raises(Told, match=r"symbl: .* Leave it out"):
            answer_of(await client.call_tool("bare", {"symbl": "BTC/USDT"}))


async def test_what_is_read_can_be_written_back(ask: Ask) -> None:
    read = await ask("read_strategy", strategy_name="btc-two-analysts")
    config = {**read["config"], "exchange": "simulated"}
    written = await ask("write_strategy", strategy_name="btc-two-analysts", config=config, agents=read["agents"])
    again = await ask("read_strategy", strategy_name="btc-two-analysts")
    assert (again["version"], again["config"], again["agents"]) == (written["version"], config, read["agents"])


async def test_every_problem_is_listed_at_once_and_nothing_is_written(ask: Ask) -> None:
    agents = {"a": {"description": "d", "prompt": "p", "tools": ["get_prise", "write_strategy"]}, "b": {"prompt": "p"}}
    config = {"trading_pair": "BTC/USDT", "interval": "7m", "rules": {"indicators": ["rsy(14)"], "bye": "x"}}
    with pytest.raises(Told) as caught:
        await ask("write_strategy", strategy_name="mine", config=config, agents=agents)
    for said in (
        "interval: '7m' does not fit. Input should be '1m'",
        "rules.bye: not a known key. Did you mean 'buy'",
        "b.description:",
    ):
        assert said in str(caught.value)
    config = {**CONFIG, "rules": {"indicators": ["rsy(14)"], "buy": "close > 1"}}
    with pytest.raises(Told) as caught:
        await ask("write_strategy", strategy_name="mine", config=config, agents={"a": agents["a"]})
    for said in ("Did you mean 'get_price'", "'write_strategy' changes things", "Unknown indicator 'rsy'"):
        assert said in str(caught.value)
    with pytest.raises(Told, match="Unknown strategy 'mine'"):
        await ask("read_strategy", strategy_name="mine")


async def test_an_evaluation_says_which_condition_decided_and_what_it_saw(ask: Ask) -> None:
    await ask("write_strategy", strategy_name="mine", config=CONFIG)
    said = await ask("evaluate_strategy", strategy_name="mine")
    rsi = await ask("calculate_rsi", symbol="BTC/USDT")
    assert (said["signal"], said["confidence"], said["price"]) == ("BUY", 60, rsi["close"])
    assert said["conditions"][0]["text"] == "rsi_14 < 100"
    assert said["conditions"][0]["values"]["rsi_14"] == pytest.approx(rsi["rsi"], rel=1e-9)
    assert (said["open_time"], said["simulated"]) == ("2026-05-20T11:00Z", True)
    assert "rsi_14 < 100" in said["reasoning"]


async def test_an_evaluation_is_not_recorded_and_knows_nothing_later_than_its_moment(ask: Ask) -> None:
    await ask("write_strategy", strategy_name="mine", config=CONFIG)
    then = await ask("evaluate_strategy", strategy_name="mine", as_of="2026-03-01T12:30Z")
    rsi = await ask("calculate_rsi", symbol="BTC/USDT", as_of="2026-03-01T12:30Z")
    assert (then["open_time"], then["price"]) == ("2026-03-01T11:00Z", rsi["close"])
    assert (await ask("list_signals", outcomes="all"))["rows"] == []


async def test_rules_that_cannot_decide_give_no_signal_and_no_confidence(ask: Ask) -> None:
    await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": {**RULES, "sell": "rsi_14 > 0"}})
    said = await ask("evaluate_strategy", strategy_name="mine")
    assert (said["signal"], said["confidence"]) == (None, None)
    assert "both" in said["reasoning"]
    said = await ask("evaluate_strategy", strategy_name="mine", as_of="2017-01-01T05:00Z")
    assert said["signal"] is None
    assert "rsi_14" in said["reasoning"]


async def test_a_decision_on_a_short_history_says_so(ask: Ask) -> None:
    rules = {"indicators": ["ema(200)"], "buy": "close > 0 AND ema_200 > 0"}
    await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": {**rules, "timeframe": "1d"}})
    said = await ask("evaluate_strategy", strategy_name="mine", as_of="2017-08-01T00:00Z")
    assert said["signal"] == "BUY"
    assert "Only 212 of the 3125 candles" in said["reasoning"]
    assert said["note"].startswith("212 of 3125 candles")


async def test_a_wake_rule_is_checked_as_the_others_are(ask: Ask) -> None:
    with pytest.raises(Told, match=r"config\.json wake: unknown column 'rsi_15'\. Did you mean 'rsi_14'"):
        await ask("write_strategy", strategy_name="mine", config={**CONFIG, "wake": "rsi_15 < 30"})


@pytest.mark.parametrize("cron", ["r * * * *", "H * * * *", "0 0 30 2 *", "* * * * * *", "61 * * * *", "@daily"])
async def test_a_cron_that_is_random_or_never_due_is_refused(ask: Ask, cron: str) -> None:
    config = {"trading_pair": "BTC/USDT", "cron": cron, "rules": {"timeframe": "1h", "buy": "close > 1"}}
    with pytest.raises(Told, match=r"config\.json cron: "):
        await ask("write_strategy", strategy_name="mine", config=config)


async def test_a_strategy_without_rules_says_so(ask: Ask) -> None:
    config = {"trading_pair": "BTC/USDT", "interval": "1h"}
    await ask("write_strategy", strategy_name="mine", config=config, agents=AGENTS)
    with pytest.raises(Told, match=r"has no rules\. Add 'rules'"):
        await ask("evaluate_strategy", strategy_name="mine")


async def test_a_broken_file_is_told_by_every_tool_that_meets_it(ask: Ask, home: Any) -> None:
    folder = Home(home).strategies / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{")
    for reader in ("read_strategy", "evaluate_strategy"):
        with pytest.raises(Told, match=r"mine/config\.json' is not JSON at line 1, column 2"):
            await ask(reader, strategy_name="mine")
    rows = {row[0]: row for row in (await ask("list_strategies"))["rows"]}
    assert "is not JSON" in rows["mine"][6]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", ".versions", "A B"])
async def test_a_name_that_is_a_path_reaches_no_file(ask: Ask, name: str) -> None:
    for reader in ("read_strategy", "evaluate_strategy"):
        with pytest.raises(Told, match=r"strategy_name: .* does not fit"):
            await ask(reader, strategy_name=name)
    with pytest.raises(Told, match=r"strategy_name: .* does not fit"):
        await ask("write_strategy", strategy_name=name, config=CONFIG)
