"""The check of a strategy through its tool: what is found, what is written, what it is said to cost."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from tests.rigs.sampled import sampled
from tests.rigs.stand_in_exchange import StandInExchange
from tests.storage.test_database import held_by_a_shell
from tests.tools.conftest import NOW, Ask, Told, answer_of

CONFIG: dict[str, Any] = {
    "trading_pair": "BTC/USDT",
    "interval": "4h",
    "rules": {"indicators": ["rsi(14)"], "buy": "crosses_above(rsi_14, 35)", "sell": "crosses_below(rsi_14, 65)"},
}
AGENTS = {"watcher": {"description": "Watches", "prompt": "Use get_price.", "tools": ["get_price"]}}


def _strategies(home: Path) -> list[str]:
    folder = Home(home).strategies
    return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []


async def test_a_dry_run_checks_and_writes_nothing(ask: Ask, home: Path) -> None:
    answer = await ask("write_strategy", strategy_name="mine", config=CONFIG, dry_run=True)
    assert (answer["valid"], answer["written"], answer["findings"]) == (True, False, [])
    assert answer["held"].endswith(" of 500 4h candles")
    assert (answer["usd_per_day"], answer["usd_per_month"]) == (0, 0), "rules are known to be free"
    assert _strategies(home) == []
    written = await ask("write_strategy", strategy_name="mine", config=CONFIG)
    assert written["written"]
    assert (
        written["note"]
        == "Try it: run_strategy, or `claude-trader run mine`. Is it any good? `claude-trader backtest mine`."
    )
    assert "mine" in _strategies(home)


async def test_a_dry_run_of_what_is_broken_lists_all_and_is_no_failure_of_the_call(ask: Ask, home: Path) -> None:
    config = {**CONFIG, "interval": "7m", "model": "gpt", "rules": {"indicators": ["rsy(14)"], "buy": "close >"}}
    agents = {"a": {"prompt": "p", "tools": ["get_prise", "write_strategy"]}}
    answer = await ask("write_strategy", strategy_name="mine", config=config, agents=agents, dry_run=True)
    assert (answer["valid"], answer["written"], answer["usd_per_day"]) == (False, False, None)
    places = {row[1] for row in answer["findings"]}
    assert places == {
        "config.json interval",
        "config.json model",
        "config.json rules.indicators[0]",
        "config.json rules.buy",
        "agents.json a.description",
        "agents.json a.tools",
    }
    assert all(row[0] == "error" and row[2] and row[3] for row in answer["findings"])
    with pytest.raises(Told, match="Strategy 'mine' is not valid"):
        await ask("write_strategy", strategy_name="mine", config=config, agents=agents)
    assert _strategies(home) == []


async def test_what_is_wrong_with_market_tools_rules_and_budget_is_told_at_once(ask: Ask) -> None:
    rules = {"indicators": ["rsi(14)"], "buy": "rsi_15 < 30"}
    budget = {"usd_per_run": 2, "usd_per_day": 1}
    config = {**CONFIG, "engine": "claude", "trading_pair": "BTC", "rules": rules, "budget": budget}
    agents = {"watcher": {**AGENTS["watcher"], "tools": ["get_prise"]}}
    answer = await ask("write_strategy", strategy_name="mine", config=config, agents=agents, dry_run=True)
    assert {row[1] for row in answer["findings"]} == {
        "agents.json watcher.tools",
        "config.json rules.buy",
        "config.json trading_pair",
        "config.json budget.usd_per_day",
    }


async def test_a_record_that_would_record_nothing_is_told(ask: Ask) -> None:
    by_rules = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "record": True}, dry_run=True)
    assert [row[:2] for row in by_rules["findings"]] == [["warning", "config.json record"]]
    config = {**CONFIG, "engine": "claude", "record": True}
    by_claude = await ask("write_strategy", strategy_name="mine", config=config, agents=AGENTS, dry_run=True)
    assert by_claude["findings"] == []
    typed = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "record": "yes"}, dry_run=True)
    assert [row[:2] for row in typed["findings"]] == [["error", "config.json record"]]


async def test_a_stop_whose_limit_would_be_infinite_is_refused(ask: Ask) -> None:
    config = {**CONFIG, "stop": {"no_skill": 1e-320}}
    answer = await ask("write_strategy", strategy_name="mine", config=config, agents=AGENTS, dry_run=True)
    assert [row[1] for row in answer["findings"] if row[0] == "error"] == ["config.json stop.no_skill"]


async def test_a_key_that_is_wrong_hides_nothing_of_what_else_is(ask: Ask) -> None:
    """Each of these was told only once the key before it was mended."""
    config: dict[str, Any] = {
        **CONFIG,
        "intervall": "4h",
        "model": "gpt",
        "timeout_s": 10_000,
        "trading_pair": "BTC",
        "wake": "close <",
        "horizon": "3h",
        "budget": {"usd_per_run": 2, "usd_per_day": 1},
        "rules": {"indicators": ["rsy(14)"], "bye": "x", "sell": "close >"},
    }
    agents = {"watcher": {"description": "", "tools": ["get_prise"], "model": "gpt"}}
    answer = await ask("write_strategy", strategy_name="mine", config=config, agents=agents, dry_run=True)
    assert {row[1] for row in answer["findings"]} == {
        "agents.json watcher.description",
        "agents.json watcher.prompt",
        "agents.json watcher.model",
        "agents.json watcher.tools",
        "config.json budget.usd_per_day",
        "config.json horizon",
        "config.json intervall",
        "config.json model",
        "config.json rules.bye",
        "config.json rules.indicators[0]",
        "config.json rules.sell",
        "config.json timeout_s",
        "config.json trading_pair",
        "config.json wake",
    }


@pytest.mark.parametrize(
    ("wrong", "places"),
    [
        ({"interval": "7m"}, {"config.json interval"}),
        ({"interval": None}, {"config.json"}),
        ({"cron": "0 * * * *"}, {"config.json"}),
        ({"interval": None, "cron": "0 0 * * *"}, {"config.json"}),
        ({"budget": {"usd_per_day": 0}}, {"config.json budget.usd_per_day"}),
        ({"engine": "magic"}, {"config.json engine"}),
    ],
    ids=str,
)
async def test_costs_are_not_told_of_a_schedule_that_is_wrong(
    ask: Ask, wrong: dict[str, Any], places: set[str]
) -> None:
    config = {**CONFIG, **wrong, "trading_pair": "BTC"}
    answer = await ask("write_strategy", strategy_name="mine", config=config, agents=AGENTS, dry_run=True)
    assert {row[1] for row in answer["findings"]} == places | {"config.json trading_pair"}
    assert (answer["usd_per_day"], answer.get("basis")) == (None, None)


async def test_of_a_great_many_findings_the_first_are_told_and_how_many_more_there_are(ask: Ask) -> None:
    config = {**CONFIG, **{f"key{number}": 1 for number in range(2_000)}}
    answer = await ask("write_strategy", strategy_name="mine", config=config, dry_run=True)
    assert len(answer["findings"]) == 41
    assert answer["findings"][-1][2] == "And 1960 more like these."
    assert len(json.dumps(answer)) < 20_000


async def test_errors_are_told_before_warnings(ask: Ask) -> None:
    agents = {"watcher": {**AGENTS["watcher"], "model": "claude-sonnet-4@20250514"}}
    config = {**CONFIG, "trading_pair": "BTC"}
    answer = await ask("write_strategy", strategy_name="mine", config=config, agents=agents, dry_run=True)
    assert [row[0] for row in answer["findings"]] == ["error", "warning"]


async def test_a_number_of_thousands_of_digits_is_refused_by_the_tool(ask: Ask) -> None:
    answer = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "max_turns": 10**5000}, dry_run=True)
    assert not answer["valid"]


async def test_what_nests_deeper_than_any_strategy_is_refused_by_the_tool(ask: Ask) -> None:
    inner: Any = 1
    for _ in range(100):
        inner = [inner]
    answer = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": inner}, dry_run=True)
    assert [row[:3] for row in answer["findings"]] == [["error", "config.json", "It nests too deeply."]]


async def test_a_pair_is_not_looked_up_on_another_exchange_than_the_one_that_was_meant(ask: Ask) -> None:
    config = {**CONFIG, "exchange": "Coin Base", "trading_pair": "BTC"}
    answer = await ask("write_strategy", strategy_name="mine", config=config, dry_run=True)
    assert {row[1] for row in answer["findings"]} == {"config.json exchange"}


async def test_sub_agents_that_are_broken_do_not_make_it_a_strategy_that_costs_nothing(ask: Ask) -> None:
    agents = {"a": {"description": "d"}}
    answer = await ask("write_strategy", strategy_name="mine", config=CONFIG, agents=agents, dry_run=True)
    assert answer["usd_per_day"] is None


async def test_a_rule_that_never_or_always_held_lately_is_written_with_a_warning(ask: Ask) -> None:
    rules = {"buy": "close < 0", "sell": "close > 0"}
    answer = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": rules})
    assert answer["written"]
    assert [(row[0], row[1], row[2]) for row in answer["findings"]] == [
        ("warning", "config.json rules.buy", "It held on none of the last 500 4h candles."),
        ("warning", "config.json rules.sell", "It held on all of the last 500 4h candles."),
    ]
    assert answer["held"] == "buy 0, sell 500, undecided 0 of 500 4h candles"


@pytest.mark.parametrize(("confidence", "warned"), [(0.85, True), (0, False), (1, False), (85, False)])
async def test_a_confidence_that_looks_like_a_fraction_is_written_with_a_warning(
    ask: Ask, confidence: float, warned: bool
) -> None:
    rules = {**CONFIG["rules"], "confidence": confidence}
    answer = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": rules})
    assert answer["written"]
    assert answer["held"], "the rules are looked at all the same"
    warnings = [row for row in answer["findings"] if row[1] == "config.json rules.confidence"]
    assert [(row[0], row[2]) for row in warnings] == (
        [("warning", "0.85 means less than one per cent.")] if warned else []
    )


@pytest.mark.parametrize(
    ("tools", "config", "warned"),
    [
        (["get_price", "evaluate_strategy"], CONFIG, True),
        (["get_price"], CONFIG, False),
        (["evaluate_strategy"], {**CONFIG, "engine": "rules"}, False),
        (["evaluate_strategy"], {"trading_pair": "BTC/USDT", "interval": "4h"}, False),
    ],
    ids=["it sees its twin", "it does not", "the rules decide", "there is no twin"],
)
async def test_a_sub_agent_that_could_see_what_the_rules_say_is_written_with_a_warning(
    ask: Ask, tools: list[str], config: dict[str, Any], warned: bool
) -> None:
    agents = {"watcher": {**AGENTS["watcher"], "tools": tools}}
    answer = await ask("write_strategy", strategy_name="mine", config=config, agents=agents)
    assert answer["written"]
    warnings = [row for row in answer["findings"] if row[1] == "agents.json watcher.tools"]
    assert [row[0] for row in warnings] == (["warning"] if warned else [])
    assert all("'evaluate_strategy'" in row[2] for row in warnings)


async def test_how_often_a_rule_held_is_how_often_its_indicators_say_so(ask: Ask) -> None:
    rules = {"indicators": ["rsi(14)"], "buy": "rsi_14 < 35", "sell": "rsi_14 > 65"}
    answer = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": rules})
    asked = {"symbol": "BTC/USDT", "indicators": ["rsi(14)"], "timeframe": "4h", "last": 500}
    table = await ask("calculate_indicators", **asked)
    values = [row[table["columns"].index("rsi_14")] for row in table["rows"]]
    low, high = sum(value < 35 for value in values), sum(value > 65 for value in values)
    assert low > 0
    assert answer["held"] == f"buy {low}, sell {high}, undecided 0 of 500 4h candles"


async def test_the_warm_up_of_a_young_market_is_not_undecided(ask: Ask) -> None:
    rules = {**CONFIG["rules"], "timeframe": "1w", "indicators": ["rsi(14)"]}
    answer = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": rules}, dry_run=True)
    assert answer["held"].endswith(" undecided 0 of 474 1w candles"), answer
    assert not [row for row in answer["findings"] if row[1] == "config.json rules"]
    never = {"indicators": ["rsi(14)"], "timeframe": "1w", "buy": "sqrt(0 - close) > 1", "sell": "rsi_14 > 65"}
    answer = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": never}, dry_run=True)
    assert "undecided 489 of 489" in answer["held"], "a value that never is there is no warm-up"


async def test_a_condition_that_looks_far_back_is_given_the_candles_that_it_looks_at(ask: Ask) -> None:
    rules = {"buy": "close > prev(prev(prev(close, 900), 900), 900)", "sell": "close < prev(close, 1000)"}
    answer = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": rules}, dry_run=True)
    assert answer["held"].endswith(" undecided 0 of 500 4h candles")


async def test_a_wake_condition_spares_runs_and_so_their_cost(ask: Ask, home: Path) -> None:
    record(home, "0.10", "0.10")
    asked = {"strategy_name": "mine", "agents": AGENTS, "dry_run": True}
    often = await ask("write_strategy", config=CLAUDE, **asked)
    assert (often["usd_per_day"], len(often["findings"])) == (2, 1)
    assert "that is 2.40 USD a day" in often["basis"]
    rarely = await ask("write_strategy", config={**CLAUDE, "wake": "close > prev(close, 1) * 1.004"}, **asked)
    (share,) = re.findall(r"wake held on ([0-9.]+) % of the last 500 candles", rarely["basis"])
    assert 1 < float(share) < 60
    assert rarely["usd_per_day"] == pytest.approx(2.4 * float(share) / 100, rel=0.01)
    assert rarely["findings"] == []


@pytest.mark.parametrize("much", [1e300, 10_001])
async def test_a_budget_beyond_all_measure_is_a_typo(ask: Ask, much: float) -> None:
    config = {**CLAUDE, "budget": {"usd_per_run": much, "usd_per_day": much}}
    answer = await ask("write_strategy", strategy_name="mine", config=config, agents=AGENTS, dry_run=True)
    assert [row[1] for row in answer["findings"]] == [
        "config.json budget.usd_per_run",
        "config.json budget.usd_per_day",
    ]


async def test_a_market_that_the_exchange_lacks_is_an_error(home: Path) -> None:
    with StandInExchange() as rig:
        settings = ServerSettings(home=home, exchange="coinbase", exchange_urls={"coinbase": rig.url})
        async with Client(build_server(settings)) as client:
            asked = {"strategy_name": "mine", "config": {**CONFIG, "trading_pair": "BTC/USF"}, "dry_run": True}
            answer = answer_of(await client.call_tool("write_strategy", asked))
            other = {**asked, "config": {**CONFIG, "exchange": "coinbse"}}
            typo = answer_of(await client.call_tool("write_strategy", other))
    assert [row[:2] for row in answer["findings"]] == [["error", "config.json trading_pair"]]
    assert "BTC/USD" in " ".join(answer["findings"][0])
    assert [row[:2] for row in typo["findings"]] == [["error", "config.json exchange"]]
    assert "Did you mean 'coinbase'" in " ".join(typo["findings"][0])


async def test_a_market_of_a_sub_agent_that_the_exchange_lacks_is_a_warning(home: Path) -> None:
    watcher = {**AGENTS["watcher"], "markets": ["BTC/USD", "BTC/USF"]}
    config = {"trading_pair": "BTC/USD", "interval": "1h"}
    with StandInExchange() as rig:
        settings = ServerSettings(home=home, exchange="coinbase", exchange_urls={"coinbase": rig.url})
        async with Client(build_server(settings)) as client:
            asked = {"strategy_name": "mine", "config": config, "agents": {"watcher": watcher}}
            answer = answer_of(await client.call_tool("write_strategy", asked))
    assert answer["written"]
    (row,) = [row for row in answer["findings"] if row[1] == "agents.json watcher.markets"]
    assert (row[0], "'BTC/USF'" in row[2]) == ("warning", True)


async def test_an_exchange_that_cannot_be_asked_is_a_warning_and_stops_no_write(home: Path) -> None:
    with StandInExchange() as rig:
        rig.faults.status = 451
        settings = ServerSettings(home=home, exchange="binance", exchange_urls={"binance": rig.url})
        async with Client(build_server(settings)) as client:
            asked = {"strategy_name": "mine", "config": CONFIG}
            answer = answer_of(await client.call_tool("write_strategy", asked))
    assert answer["written"]
    assert [row[:2] for row in answer["findings"]] == [["warning", "config.json trading_pair"]]
    assert answer["findings"][0][2].startswith("It could not be looked up.")
    assert "held" not in answer


def record(home: Path, *costs: str | None) -> None:
    """Record runs of `mine` by claude with these costs; None is an unknown one."""
    journal = Journal(Database(Home(home).database, prepare=Home(home).prepare), Home(home))
    strategy = parse_strategy("mine", {"trading_pair": "BTC/USDT", "interval": "1h"}, AGENTS)
    for cost in costs:
        claimed = journal.claim(Run(strategy, "manual", NOW, "claude", NOW))
        usd = None if cost is None else Decimal(cost)
        journal.finish(claimed, Outcome(Status.SUCCESS, Signal("HOLD", None, "so"), cost_usd=usd), NOW)


CLAUDE: dict[str, Any] = {"trading_pair": "BTC/USDT", "interval": "1h", "budget": {"usd_per_day": 2}}


async def test_costs_are_estimated_from_recorded_runs_of_which_they_are_known(ask: Ask, home: Path) -> None:
    record(home, "0.10", "0.20", None)
    answer = await ask("write_strategy", strategy_name="mine", config=CLAUDE, agents=AGENTS, dry_run=True)
    assert (answer["usd_per_day"], answer["usd_per_month"]) == (2, 60), "its budget of a day ends it there"
    assert "the mean of 2 of 3 recorded runs; that is 3.60 USD a day, and its budget ends it at 2.00" in answer["basis"]
    (row,) = answer["findings"]
    assert row[:2] == ["warning", "config.json budget.usd_per_day"]
    assert "24 runs a day: 3.60 USD a day at the 0.15 USD that runs cost" in row[2]
    enough = {**CLAUDE, "budget": {"usd_per_day": 20}}
    answer = await ask("write_strategy", strategy_name="mine", config=enough, agents=AGENTS, dry_run=True)
    assert (answer["usd_per_day"], answer["usd_per_month"]) == (pytest.approx(3.6), pytest.approx(108))
    assert answer["basis"].endswith("the mean of 2 of 3 recorded runs")


async def test_a_cost_without_recorded_runs_is_unknown_and_never_0(ask: Ask, home: Path) -> None:
    config = {**CLAUDE, "budget": {"usd_per_day": 20}}
    for _ in range(2):
        answer = await ask("write_strategy", strategy_name="mine", config=config, agents=AGENTS, dry_run=True)
        assert (answer["usd_per_day"], answer["usd_per_month"], answer["findings"]) == (None, None, [])
        assert "unknown, as no run with a known cost is recorded" in answer["basis"]
        record(home, None)


async def test_a_run_that_asked_no_model_says_nothing_of_what_runs_cost(ask: Ask, home: Path) -> None:
    record(home, "0.10")
    journal = Journal(Database(Home(home).database, prepare=Home(home).prepare), Home(home))
    strategy = parse_strategy("mine", {"trading_pair": "BTC/USDT", "interval": "1h"}, AGENTS)
    claimed = journal.claim(Run(strategy, "manual", NOW, "claude", NOW))
    journal.finish(claimed, Outcome(Status.ERROR, error="no server", tokens_used=0, cost_usd=Decimal(0)), NOW)
    answer = await ask("write_strategy", strategy_name="mine", config=CLAUDE, agents=AGENTS, dry_run=True)
    assert "at the 0.10 USD that runs cost" in answer["findings"][0][2]


async def test_a_schedule_that_is_often_due_is_told_in_whole_numbers(ask: Ask) -> None:
    config = {**CLAUDE, "interval": "1m", "budget": {"usd_per_day": 20}}
    answer = await ask("write_strategy", strategy_name="mine", config=config, agents=AGENTS, dry_run=True)
    assert answer["basis"].startswith("1,440 runs a day; ")
    assert answer["basis"].endswith("the budget allows 20.00 USD a day at most")
    assert "1,440 runs a day: 720.00 USD a day at the 0.50 USD that a run may cost" in answer["findings"][0][2]


@pytest.mark.parametrize(
    ("cron", "basis"),
    sampled(
        [
            ("0 8 * * *", "1 run a day; "),
            ("0 8,20 * * *", "2 runs a day; "),
            ("0 8 * * mon", "a run every 7 days; "),
            ("0 8 * * mon-fri", "a run every 1.4 days; "),
            ("0 0 1 1 *", "a run every 365 days; "),
            ("0 0 1 * *", "a run every 30 days; "),
            ("*/5 * * * *", "288 runs a day; "),
        ],
        3,
    ),
)
async def test_how_often_it_runs_is_told_as_people_say_it(ask: Ask, cron: str, basis: str) -> None:
    config = {"trading_pair": "BTC/USDT", "cron": cron}
    answer = await ask("write_strategy", strategy_name="mine", config=config, agents=AGENTS, dry_run=True)
    assert answer["basis"].startswith(basis)


@pytest.mark.parametrize(
    ("rules", "problem", "remedy"),
    [
        ({"buy": "close > 0", "sell": "close > 0"}, "on 500 both held", "exclude each other"),
        ({"buy": "close / (volume - volume) > 1", "sell": "close < open"}, "on 500 one had no value", "IS NOT NULL"),
    ],
)
async def test_why_rules_could_not_decide_is_told_with_what_helps(
    ask: Ask, rules: dict[str, str], problem: str, remedy: str
) -> None:
    answer = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": rules}, dry_run=True)
    (row,) = [row for row in answer["findings"] if row[1] == "config.json rules"]
    assert f"4h candles: {problem}" in row[2]
    assert remedy in row[3]


async def test_a_journal_that_another_program_holds_leaves_costs_unknown(ask: Ask, home: Path) -> None:
    record(home, "0.1")
    with held_by_a_shell(Home(home).database), anyio.fail_after(8):  # for costs nobody waits as long as for a write
        answer = await ask("write_strategy", strategy_name="mine", config=CLAUDE, agents=AGENTS, dry_run=True)
    assert (answer["valid"], answer["usd_per_day"]) == (True, None)
    assert "the journal could not be read" in answer["basis"]


async def test_an_earlier_version_is_read_with_what_changed_since(ask: Ask, home: Path) -> None:
    first = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "description": "one"})
    assert "earlier" not in await ask("read_strategy", strategy_name="mine")
    rules = {**CONFIG["rules"], "buy": "rsi_14 < 30"}
    second = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": rules, "horizon": "1d"})
    assert second["replaced"] == first["version"]
    (file,) = Home(home).strategies.glob("mine/config.json")
    by_hand = {**json.loads(file.read_text()), "description": "by hand"}
    file.write_text(json.dumps(by_hand))
    third = await ask("write_strategy", strategy_name="mine", config={**CONFIG, "rules": rules})
    now = await ask("read_strategy", strategy_name="mine")
    assert {row[0] for row in now["earlier"]} == {first["version"], third["replaced"]}
    old = await ask("read_strategy", strategy_name="mine", version=first["version"])
    assert (old["origin"], old["config"]["description"]) == ("replaced", "one")
    assert old["changed_since"] == [
        'config.json description: "one" → -',
        'config.json rules.buy: "crosses_above(rsi_14, 35)" → "rsi_14 < 30"',
    ]
    same = await ask("read_strategy", strategy_name="mine", version=now["version"])
    assert (same["changed_since"], same["config"]) == ([], now["config"])
    with pytest.raises(Told, match=r"no earlier version '000000000000'\. "):
        await ask("read_strategy", strategy_name="mine", version="000000000000")


async def test_a_write_that_says_what_it_replaces_replaces_nothing_else(ask: Ask) -> None:
    asked = {"strategy_name": "mine", "config": CONFIG}
    with pytest.raises(Told, match="There is no strategy 'mine'"):
        await ask("write_strategy", **asked, replaces="0" * 12)
    first = await ask("write_strategy", **asked, replaces="none")
    for name, what in (("mine", "a strategy"), ("rsi-reversion", "an example")):
        with pytest.raises(Told, match=f"There is {what} '{name}' already, version "):
            await ask("write_strategy", strategy_name=name, config=CONFIG, replaces="none")
    changed = {**CONFIG, "horizon": "1d"}
    second = await ask("write_strategy", strategy_name="mine", config=changed, replaces=first["version"])
    assert second["replaced"] == first["version"]
    answer = await ask("write_strategy", **asked, replaces=first["version"], dry_run=True)
    ((severity, place, problem, remedy),) = answer["findings"]
    assert (severity, place) == ("error", "replaces")
    assert second["version"] in problem
    assert first["version"] in problem
    assert "Read it again" in remedy


async def test_a_write_that_would_make_a_paused_strategy_active_says_so(ask: Ask) -> None:
    asked = {"strategy_name": "mine", "config": CONFIG}
    await ask("write_strategy", **asked)
    assert (await ask("write_strategy", **asked, dry_run=True))["findings"] == []
    await ask("set_strategy_status", strategy_name="mine", status="paused")
    expected = ["warning", "config.json status", "It is paused now, and active again once this is written."]
    answer = await ask("write_strategy", **asked, dry_run=True)
    assert [row[:3] for row in answer["findings"]] == [expected]
    for status in ("paused", "active"):
        config = {**CONFIG, "status": status}
        assert (await ask("write_strategy", strategy_name="mine", config=config, dry_run=True))["findings"] == []
    assert [row[:3] for row in (await ask("write_strategy", **asked))["findings"]] == [expected]


@pytest.mark.parametrize("version", ["../../mine", "/etc", "..", ".", "a/b"])
async def test_a_version_that_is_a_path_reads_nothing(ask: Ask, version: str) -> None:
    await ask("write_strategy", strategy_name="mine", config=CONFIG)
    with pytest.raises(Told, match="has no earlier version"):
        await ask("read_strategy", strategy_name="mine", version=version)


async def test_a_status_is_set_and_nothing_else_changes(ask: Ask) -> None:
    written = await ask("write_strategy", strategy_name="mine", config=CONFIG, agents=AGENTS)
    paused = await ask("set_strategy_status", strategy_name="mine", status="paused")
    assert (paused["was"], paused["status"]) == ("active", "paused")
    read = await ask("read_strategy", strategy_name="mine", version=written["version"])
    assert read["changed_since"] == ['config.json status: - → "paused"']
    again = await ask("set_strategy_status", strategy_name="mine", status="paused")
    assert (again["was"], again["version"]) == ("paused", paused["version"])
    with pytest.raises(Told, match=r"'rsi-reversion' is an example.*`claude-trader strategies add"):
        await ask("set_strategy_status", strategy_name="rsi-reversion", status="stopped")
    with pytest.raises(Told, match=r"status: .*Input should be 'active', 'paused' or 'stopped'"):
        await ask("set_strategy_status", strategy_name="mine", status="gone")
