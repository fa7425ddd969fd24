"""What replays were worth: one by itself, or all of a strategy with each moment once, judged as live runs are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import iso
from mcp_server.settings import ServerSettings
from tests.scoring.journal import MadeRun, enter_runs, open_replay, store_candles, write_strategy
from tests.tools.conftest import Ask, Told
from tests.tools.test_get_performance import at, market

MOVES = {hours: 0.02 if hours % 3 else -0.02 for hours in range(10, 900, 10)}
AGENTS = {name: {"description": "d", "prompt": "p", "tools": ["get_price"]} for name in ("trend", "volume")}
DATA = {"twin": {"signal": "SELL"}, "sub_agent_results": {"trend": {"leans": "BUY"}}}
CLEAN: dict[str, Any] = {"contaminated": False, "cutoff": "2025-01"}


@pytest.fixture
def settings(home: Path) -> ServerSettings:
    return ServerSettings(home=home, exchange="coinbase", exchange_urls={"coinbase": "http://127.0.0.1:9"})


@pytest.fixture
def strategy(home: Path) -> Strategy:
    store_candles(home, market(MOVES))
    return write(home)


def write(home: Path, name: str = "mine", **config: Any) -> Strategy:
    content = {"engine": "claude", "synthesis_logic": "Think.", "stop": {}, **config}
    return write_strategy(home, name, content, agents=AGENTS)


def runs(hours: range, signal: str | None = "BUY", **others: Any) -> list[MadeRun]:
    """Runs by a model whose moments were judged clean."""
    values = {"trigger": "replay", "engine": "claude", "cost_usd": 0.5, "data": DATA, **CLEAN, **others}
    return [MadeRun(at(hour), signal, 60 + hour % 30, **values) for hour in hours]


def replayed(home: Path, strategy: Strategy, hours: range, signal: str | None = "BUY", **others: Any) -> str:
    """Enter a replay of these moments, and return its id."""
    terms = {name: others.pop(name) for name in ("rerun", "without", "every") if name in others}
    id_ = open_replay(home, strategy, at(hours[-1]), at(hours[0]), **terms)
    enter_runs(home, strategy, runs(hours, signal, replay=id_, **others))
    return id_


async def rows_of(ask: Ask, **arguments: Any) -> list[dict[str, Any]]:
    table = await ask("get_performance", **arguments)
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


async def test_a_replay_is_judged_as_the_same_runs_on_schedule_are(home: Path, strategy: Strategy, ask: Ask) -> None:
    id_ = replayed(home, strategy, range(10, 600, 10))
    replayed(home, strategy, range(600, 900, 10), "SELL")
    other = write(home, "other")
    enter_runs(home, other, [replace(run, trigger="schedule") for run in runs(range(10, 600, 10))])
    one = await ask("get_performance", replay=id_)
    live = await ask("get_performance", strategy_name="other")
    apart = {
        "strategy_name",
        "kind",
        "summary",
        "note",
        "parts",
        "rows",
        "signals_needed",
        "days_needed",
        "window_shows",
    }
    of_replay = {"replay", "since", "until", "every", "without", "rerun"}
    assert {key: value for key, value in one.items() if key not in apart | of_replay} == {
        key: value for key, value in live.items() if key not in apart
    }
    assert (one["kind"], one["judged"], one["strategy_name"]) == ("replay", 59, "mine")
    assert None not in (one["e_value"], one["base_rate"], one["twin"], one["agents"], one["calibration"], one["stop"])
    assert one["days_needed"] is not None
    curve = (await ask("get_performance", replay=id_, curve=True))["rows"]
    assert len(curve) == 60
    assert curve[-1][2] == (await ask("get_performance", strategy_name="other", curve=True))["rows"][-1][2]


async def test_the_answer_names_the_replay_and_what_its_window_can_show(
    home: Path, strategy: Strategy, ask: Ask
) -> None:
    id_ = replayed(home, strategy, range(15, 415, 10), every="4h", without=("volume",))
    told = await ask("get_performance", replay=id_, strategy_name="mine", runs="replay")
    assert {key: told[key] for key in ("replay", "since", "until", "every", "without", "rerun")} == {
        "replay": id_, "since": iso(at(405)), "until": iso(at(15)), "every": "4h", "without": ["volume"],
        "rerun": False,
    }  # fmt: skip
    shows = told["window_shows"]
    assert shows.startswith("40 signals whose horizons do not overlap can show")
    assert told["summary"][0].endswith(shows)
    live = await ask("get_performance", strategy_name="mine")
    assert live["window_shows"] is None


async def test_signals_whose_horizons_overlap_are_one_in_what_a_window_can_show(
    home: Path, strategy: Strategy, ask: Ask
) -> None:
    told = await ask("get_performance", replay=replayed(home, strategy, range(10, 50)))
    assert (told["judged"], told["window_shows"][:10]) == (40, "10 signals")


async def test_a_moment_of_two_replays_counts_once_by_its_first_run(home: Path, strategy: Strategy, ask: Ask) -> None:
    first = replayed(home, strategy, range(100, 300, 10))
    second = replayed(home, strategy, range(50, 200, 10), "SELL")
    enter_runs(home, strategy, runs(range(50, 60, 10), "BUY"))  # as the demo makes them, of no replay
    both = await ask("get_performance", strategy_name="mine", runs="replay")
    assert (both["runs"], both["signals"]) == (25, {"buy": 20, "sell": 5, "hold": 0})
    assert f"{second} (mine, " in both["note"]
    assert f"{first} (mine, " in both["note"]
    alone = await ask("get_performance", replay=second)
    assert (alone["runs"], alone["signals"]["sell"]) == (15, 15)
    (row,) = await rows_of(ask, runs="replay")
    assert (row["runs"], row["judged"]) == (25, both["judged"])


async def test_a_first_run_that_decided_nothing_gives_way_to_one_that_did(
    home: Path, strategy: Strategy, ask: Ask
) -> None:
    for hours, others in (
        (range(100, 110, 10), {"status": "error"}),
        (range(110, 120, 10), {"status": "timeout"}),
        (range(120, 130, 10), {"status": "skipped_gate"}),
        (range(130, 140, 10), {"status": "abstained"}),
        (range(140, 150, 10), {"status": "success", "contaminated": True}),
    ):
        replayed(home, strategy, hours, "SELL" if "contaminated" in others else None, **{"cutoff": None, **others})
    replayed(home, strategy, range(100, 160, 10))
    told = await ask("get_performance", strategy_name="mine", runs="replay")
    assert (told["runs"], told["signals"]["buy"], told["missed"], told["left_out"]) == (6, 5, 0, None)


async def test_reruns_and_replays_without_some_sub_agents_never_count_beside_what_they_repeat(
    home: Path, strategy: Strategy, ask: Ask
) -> None:
    replayed(home, strategy, range(100, 300, 10))
    rerun = replayed(home, strategy, range(100, 400, 10), "SELL", rerun=True)
    fewer = write(home, synthesis_logic="Think without them.")
    ablation = replayed(home, fewer, range(100, 500, 10), "SELL", without=("trend",))
    write(home)
    told = await ask("get_performance", strategy_name="mine", runs="replay")
    assert (told["runs"], told["signals"]["sell"], told["earlier"]) == (20, 0, [])
    repeated = await ask("get_performance", replay=rerun)
    assert (repeated["runs"], repeated["rerun"]) == (30, True)
    assert "adds no evidence" in repeated["note"]
    one = await ask("get_performance", replay=ablation)
    assert (one["runs"], one["without"]) == (40, ["trend"])


async def test_a_contaminated_replay_says_so_and_gives_no_figure(home: Path, strategy: Strategy, ask: Ask) -> None:
    id_ = replayed(home, strategy, range(20, 140, 10), contaminated=True, cutoff="2026-06")
    told = await ask("get_performance", replay=id_, curve=True)
    nothing = (
        "hit_rate",
        "base_rate",
        "e_value",
        "mean_net_pct",
        "brier",
        "calibration",
        "twin",
        "agents",
        "window_shows",
    )
    assert [told[name] for name in nothing] == [None] * len(nothing)
    assert (told["evidence"], told["judged"], told["rows"]) == ("contaminated", 0, [])
    assert told["summary"] == [
        "This shows no skill, whatever came of it: all of its 12 runs are left out, as the model may know what came "
        "next (knowledge cutoff June 2026; first clean moment 2026-07-31)."
    ]


async def test_the_clean_moments_of_a_replay_count_beside_its_contaminated_ones(
    home: Path, strategy: Strategy, ask: Ask
) -> None:
    id_ = replayed(home, strategy, range(300, 500, 10), "SELL", contaminated=True, cutoff="2026-03")
    enter_runs(home, strategy, runs(range(100, 300, 10), replay=id_))
    told = await ask("get_performance", replay=id_)
    assert (told["runs"], told["signals"]["sell"], told["left_out"]["runs"]) == (20, 0, 20)
    assert told["window_shows"].startswith("20 signals ")


async def test_only_the_time_asked_for_and_what_was_known_then_counts(home: Path, strategy: Strategy, ask: Ask) -> None:
    id_ = replayed(home, strategy, range(100, 300, 10))
    late = await ask("get_performance", replay=id_, since=iso(at(200)))
    assert (late["runs"], late["judged"]) == (11, 11)
    then = await ask("get_performance", replay=id_, as_of=iso(at(197)))
    assert (then["runs"], then["judged"], then["pending"]) == (10, 9, 1)


async def test_an_unknown_replay_is_answered_with_the_nearest_or_those_there_are(
    home: Path, strategy: Strategy, ask: Ask
) -> None:
    with pytest.raises(Told, match=r"There is no replay 'abc'.*claude-trader replay NAME. makes one"):
        await ask("get_performance", replay="abc")
    id_ = replayed(home, strategy, range(100, 120, 10))
    with pytest.raises(Told, match=f"Did you mean '{id_}'"):
        await ask("get_performance", replay=id_[:-1] + ("0" if id_[-1] != "0" else "1"))
    with pytest.raises(Told, match=rf"The latest are {id_} \(mine, 2026-"):
        await ask("get_performance", replay="-")
    for hours in (130, 140, 150, 160):
        open_replay(home, strategy, at(hours), at(100))
    with pytest.raises(Told, match="and 1 more"):
        await ask("get_performance", replay="-")


async def test_a_replay_is_of_one_strategy_and_one_kind(home: Path, strategy: Strategy, ask: Ask) -> None:
    id_ = replayed(home, strategy, range(100, 120, 10))
    write(home, "other")
    with pytest.raises(Told, match=f"Replay {id_} is of 'mine'"):
        await ask("get_performance", replay=id_, strategy_name="other")
    for kind in ("live", "manual", "all"):
        with pytest.raises(Told, match=f"A replay has no runs of the kind '{kind}'"):
            await ask("get_performance", replay=id_, runs=kind)


async def test_a_replay_without_a_run_says_how_it_goes_on(home: Path, strategy: Strategy, ask: Ask) -> None:
    id_ = open_replay(home, strategy, at(300), at(100))
    told = await ask("get_performance", replay=id_)
    assert (told["runs"], told["evidence"], told["kind"]) == (0, "too_few", "replay")
    assert "The same `claude-trader replay` goes on with it" in told["note"]


async def test_a_clean_moment_at_which_no_model_was_asked_is_a_run_like_others(
    home: Path, strategy: Strategy, ask: Ask
) -> None:
    """`wake` could not be decided there, so nobody had a cutoff to read."""
    id_ = replayed(home, strategy, range(100, 120, 10))
    nobody: dict[str, Any] = {"contaminated": None, "cutoff": None, "after_ms": 90 * 86_400_000, "replay": id_}
    enter_runs(home, strategy, runs(range(120, 130, 10), None, **nobody))
    told = await ask("get_performance", replay=id_)
    assert (told["runs"], told["left_out"]) == (3, None)
    assert told["coverage_pct"] == pytest.approx(200 / 3, rel=1e-5)


async def test_two_replays_are_compared_at_the_moments_that_both_decided(
    home: Path, strategy: Strategy, ask: Ask
) -> None:
    """By hand: at each moment both earn from the same return less 0.3 % for a BUY or SELL, and 0 for a HOLD."""
    first = replayed(home, strategy, range(100, 500, 10))
    fewer = write(home, synthesis_logic="Think without them.")
    second = open_replay(home, fewer, at(700), at(100), without=("trend",))
    said = ["BUY", "SELL", "HOLD", None]
    others = [
        run for number, hour in enumerate(range(120, 700, 10)) for run in runs(range(hour, hour + 1), said[number % 4])
    ]
    enter_runs(home, fewer, [replace(run, replay=second) for run in others])
    told = await ask("get_performance", replay=f"{first}, {second}")
    brought = []
    for number, hour in enumerate(range(120, 500, 10)):
        if said[number % 4] is None:
            continue
        r = MOVES[hour]
        own = r - 0.003
        brought.append(own - {"BUY": own, "SELL": -r - 0.003, "HOLD": 0.0}[str(said[number % 4])])
    other = told["beside"]
    assert (told["replay"], told["judged"]) == (first, 40)
    assert (other["moments"], other["judged"]) == (len(brought), 20)
    assert other["difference_pct"] == pytest.approx(100 * sum(brought) / len(brought), rel=1e-4)
    low, high = other["difference_ci95"]
    assert low < other["difference_pct"] < high
    assert f"Only {len(brought)} moments at which either replay said BUY or SELL are judged" in " ".join(
        told["summary"]
    )
    alone = await ask("get_performance", replay=first)
    assert alone["beside"] is None
    assert {key: value for key, value in told.items() if key not in ("beside", "summary")} == {
        key: value for key, value in alone.items() if key not in ("beside", "summary")
    }, "the other one changes nothing else"


async def test_whether_a_difference_of_two_replays_may_be_chance_is_told_from_30_moments_on(
    home: Path, strategy: Strategy, ask: Ask
) -> None:
    first = replayed(home, strategy, range(10, 900, 10))
    second = replayed(home, strategy, range(10, 900, 20), "SELL", rerun=True)
    enter_runs(home, strategy, runs(range(20, 900, 20), replay=second))
    told = await ask("get_performance", replay=f"{first},{second}")
    sentence = next(text for text in told["summary"] if "the other one" in text)
    assert sentence.startswith("Over 89 moments this replay brought ")
    assert sentence.endswith("more on average than the other one, a difference that is more than chance.")
    assert told["beside"]["difference_ci95"][0] > 0


async def test_what_may_be_memory_is_compared_with_nothing(home: Path, strategy: Strategy, ask: Ask) -> None:
    clean = replayed(home, strategy, range(100, 500, 10))
    known = replayed(home, strategy, range(90, 500, 10), "SELL", contaminated=True, cutoff="2026-06")
    one, other = [await ask("get_performance", replay=pair) for pair in (f"{clean},{known}", f"{known},{clean}")]
    assert (one["beside"], one["judged"]) == (None, 40)
    assert f"Replay {known} decided at none of the moments of {clean} that are judged" in one["note"]
    assert (other["beside"], other["evidence"]) == (None, "contaminated")


async def test_replays_of_other_markets_and_unknown_ones_are_not_compared(
    home: Path, strategy: Strategy, ask: Ask
) -> None:
    first = replayed(home, strategy, range(100, 200, 10))
    elsewhere = replayed(home, write(home, "other", trading_pair="ETH/USD"), range(100, 200, 10))
    with pytest.raises(Told, match=f"Replay {elsewhere} is of another market"):
        await ask("get_performance", replay=f"{first},{elsewhere}")
    for wrong in (f"{first},no", f",{first}", f"{first},{elsewhere},{first}"):
        with pytest.raises(Told, match="There is no replay"):
            await ask("get_performance", replay=wrong)
