"""get_performance: whether signals were right, by numbers written out by hand, and never with kinds of runs mixed."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp import Client
from mcp_types import TextContent

from mcp_server.app import build_server
from mcp_server.domain.candles import Candles
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import from_ms, iso, to_ms
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.scoring.journal import CONFIG, MadeRun, database_of, enter_all, enter_runs, store_candles, write_strategy
from tests.storage.test_database import held_by_a_shell
from tests.tools.conftest import NOW, Ask, Told, answer_of

HOUR_MS = 3_600_000
LAST_MS = to_ms(NOW) // HOUR_MS * HOUR_MS
"""The hour that is forming now."""

COUNT = 2_000
HORIZON = 4
SWAP = "BTC/USD:USD"


def at(hours_ago: int) -> int:
    return LAST_MS - hours_ago * HOUR_MS


def market(moves: dict[int, float], missing: tuple[int, ...] = ()) -> Candles:
    """Return hourly candles that open and close at 100, but for the closes that make these moves.

    Args:
        moves: entry, in hours ago → the return from its open to the close four hours later.
        missing: candles that are not there, in hours ago.
    """
    times = LAST_MS - HOUR_MS * np.arange(COUNT, 0, -1, dtype=np.int64)
    close = np.full(COUNT, 100.0)
    for hours_ago, r in moves.items():
        close[COUNT - hours_ago + HORIZON - 1] = 100 * (1 + r)
    opened = np.full(COUNT, 100.0)
    there = ~np.isin(times, [at(hours_ago) for hours_ago in missing])
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return Candles(times[there], *(column[there] for column in (opened, high, low, close, np.ones(COUNT))))


@pytest.fixture
def settings(home: Path) -> ServerSettings:
    return ServerSettings(home=home, exchange="coinbase", exchange_urls={"coinbase": "http://127.0.0.1:9"})


SIX = [
    MadeRun(at(100), "BUY", 70),  # +1.0 %: right, net +0.7 %
    MadeRun(at(90), "BUY", 60),  # +0.2 %: below the costs of 0.3 %, wrong, net -0.1 %
    MadeRun(at(80), "SELL", 80),  # -1.0 %: right, net +0.7 %
    MadeRun(at(70), "HOLD"),  # +0.1 %: quiet
    MadeRun(at(60), "HOLD"),  # +2.0 %: not quiet
    MadeRun(at(50), "BUY", 55),  # the candle of its exit is missing: void
    MadeRun(at(2), "SELL", 65),  # its horizon is still open: pending
    MadeRun(at(40)),
    MadeRun(at(30), status="error"),
]
MOVES = {100: 0.01, 90: 0.002, 80: -0.01, 70: 0.001, 60: 0.02}


@pytest.fixture
def six(home: Path) -> None:
    strategy = write_strategy(home)
    store_candles(home, market(MOVES, missing=(50 - HORIZON + 1,)))
    enter_runs(home, strategy, SIX)


async def performance(ask: Ask, **arguments: Any) -> dict[str, Any]:
    return await ask("get_performance", **arguments)


async def test_six_signals_are_told_as_they_come_out_by_hand(six: None, ask: Ask) -> None:
    told = await performance(ask, strategy_name="mine")
    assert told["signals"] == {"buy": 3, "sell": 2, "hold": 2}
    assert (told["runs"], told["coverage_pct"]) == (9, pytest.approx(100 * 7 / 9, rel=1e-5))
    assert (told["judged"], told["pending"], told["void"], told["right"]) == (3, 1, 1, 2)
    assert told["hit_rate"] == pytest.approx(2 / 3, rel=1e-5)
    assert told["mean_net_pct"] == pytest.approx((0.7 - 0.1 + 0.7) / 3, rel=1e-5)
    assert told["hold_pct"] == pytest.approx((1.0 + 0.2 - 1.0) / 3, rel=1e-5)
    assert told["hold_difference_pct"] == pytest.approx((-0.3 - 0.3 + 1.7) / 3, rel=1e-5)
    assert told["holds"] == {"judged": 2, "quiet": 1}
    assert told["brier"] == pytest.approx((0.3**2 + 0.6**2 + 0.2**2) / 3, rel=1e-5)
    assert told["cost_usd"] == 0
    assert told["kind"] == "live"


async def test_the_curve_stakes_a_fourth_where_four_signals_can_be_open_and_holds_beside_it(
    six: None, ask: Ask
) -> None:
    told = await performance(ask, strategy_name="mine", curve=True)
    assert (told["columns"], told["parts"]) == (["exit_time", "record_pct", "holding_pct"], 4)
    assert told["rows"] == [
        [iso(at(100)), 0, 0],
        [iso(at(96)), pytest.approx(0.7 / 4), pytest.approx(1)],
        [iso(at(86)), pytest.approx(0.6 / 4), pytest.approx(0.2)],
        [iso(at(76)), pytest.approx(1.3 / 4), pytest.approx(-1)],
    ]
    plain = await performance(ask, strategy_name="mine")
    assert {name: value for name, value in told.items() if name not in ("columns", "rows", "parts")} == plain


async def test_an_edit_that_has_not_run_yet_leaves_the_curve_as_it_is(six: None, ask: Ask, home: Path) -> None:
    before = await performance(ask, strategy_name="mine", curve=True)
    folders = StrategyFolders(Home(home), examples_folder())
    folders.write(parse_strategy("mine", {**CONFIG, "interval": "4h"}, None))
    after = await performance(ask, strategy_name="mine", curve=True)
    assert (after["parts"], after["rows"]) == (before["parts"], before["rows"])
    (home / "strategies" / ".versions" / "mine").rename(home / "gone")
    assert (await performance(ask, strategy_name="mine", curve=True))["parts"] == 1, "as many as really were open"


async def test_a_curve_is_of_one_strategy_and_one_kind_of_runs(six: None, ask: Ask) -> None:
    for arguments in ({}, {"strategy_name": "mine", "runs": "all"}):
        with pytest.raises(Told, match="A curve is of one strategy and one kind of runs"):
            await performance(ask, curve=True, **arguments)
    empty = await performance(ask, strategy_name="mine", curve=True, runs="manual")
    assert (empty["rows"], empty["parts"]) == ([], None)


async def test_runs_by_hand_have_no_schedule_so_that_the_capital_has_as_many_parts_as_were_open(
    home: Path, ask: Ask
) -> None:
    store_candles(home, market(MOVES))
    enter_runs(home, write_strategy(home), [MadeRun(at(hours), "BUY", trigger="manual") for hours in (100, 98, 80)])
    assert (await performance(ask, strategy_name="mine", curve=True, runs="manual"))["parts"] == 2


async def test_judged_pending_and_void_are_all_the_buys_and_sells(six: None, ask: Ask) -> None:
    told = await performance(ask, strategy_name="mine")
    assert told["judged"] + told["pending"] + told["void"] == told["signals"]["buy"] + told["signals"]["sell"]


async def test_the_base_rate_is_the_share_of_all_moments_of_its_time(six: None, ask: Ask) -> None:
    """Of the last 1,000 moments up to the last entry, those with a move beyond the costs: by hand, 2 up and 1 down."""
    told = await performance(ask, strategy_name="mine")
    assert told["base_rates"] == {"buy": pytest.approx(1 / 1_000, abs=2e-4), "sell": pytest.approx(1e-3, abs=2e-4)}
    assert told["evidence"] == "too_few"
    assert told["summary"][0].startswith("Only 3 judged signals are too few to say.")
    assert told["sentence"] == "3 judged: too few to say"


async def test_with_few_signals_nothing_is_told_of_calibration_or_intervals(six: None, ask: Ask) -> None:
    told = await performance(ask, strategy_name="mine")
    assert told["calibration"] is None
    assert told["stop"] is None
    assert told["twin"] is None
    assert told["agents"] is None


async def test_kinds_of_runs_are_never_added_up(home: Path, ask: Ask) -> None:
    strategy = write_strategy(home)
    store_candles(home, market(MOVES))
    kinds = [("schedule", "rules"), ("manual", "rules"), ("replay", "rules"), ("manual", "host")]
    for number, (trigger, engine) in enumerate(kinds, 1):
        runs = [MadeRun(at(hours), "BUY", trigger=trigger, engine=engine) for hours in (100, 90, 80, 70)[:number]]
        enter_runs(home, strategy, runs)
    table = await performance(ask, runs="all")
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    assert [(row["kind"], row["signals"], row["judged"]) for row in rows] == [
        ("live", 1, 1),
        ("manual", 2, 2),
        ("host", 4, 4),
        ("replay", 3, 3),
    ]
    for kind, signals in (("live", 1), ("manual", 2), ("replay", 3)):
        one = await performance(ask, strategy_name="mine", runs=kind)
        assert (one["kind"], one["judged"]) == (kind, signals)
        table = await performance(ask, runs=kind)
        kinds_shown = ["manual", "host"] if kind == "manual" else [kind]  # each in a row of its own
        assert (table["kind"], len(table["rows"])) == (kind, len(kinds_shown))
        if "kind" in table["columns"]:
            assert [row[table["columns"].index("kind")] for row in table["rows"]] == kinds_shown
    assert (
        "Kept apart: 2 manual runs, 4 host runs, 3 replay runs; runs='all' (`--runs all`) shows them."
        in (await performance(ask, strategy_name="mine"))["note"]
    )
    since = iso(at(85))
    late = await performance(ask, strategy_name="mine", since=since)
    assert late["note"].startswith(f"No live run of 'mine' as of {since} or later is recorded. Kept apart:")
    since = iso(at(75))
    late = await performance(ask, strategy_name="mine", since=since, runs="replay")
    assert late["note"] == (
        f"No replay run of 'mine' as of {since} or later is recorded. "
        "Kept apart: 1 host run; runs='manual' (`--runs manual`) shows them."
    )
    of_one = await performance(ask, strategy_name="mine", runs="all")
    assert [row[:2] for row in of_one["rows"]] == [["mine", kind] for kind in ("live", "manual", "host", "replay")]


async def test_other_runs_of_a_single_kind_are_named_with_what_shows_every_figure(home: Path, ask: Ask) -> None:
    enter_runs(home, write_strategy(home), [MadeRun(at(2), "BUY", trigger="manual")])
    note = (await performance(ask, strategy_name="mine"))["note"]
    assert note.endswith("Kept apart: 1 manual run; runs='manual' (`--runs manual`) shows them.")


async def test_a_changed_strategy_begins_a_new_record_and_the_old_one_is_told_beside_it(home: Path, ask: Ask) -> None:
    store_candles(home, market(MOVES))
    enter_runs(home, write_strategy(home), [MadeRun(at(100), "BUY"), MadeRun(at(90), "BUY")])
    changed = write_strategy(home, config={"rules": {"timeframe": "1h", "buy": "close > 1"}})
    enter_runs(home, changed, [MadeRun(at(80), "SELL")])
    told = await performance(ask, strategy_name="mine")
    assert (told["runs"], told["judged"], told["right"]) == (1, 1, 1)
    (earlier,) = told["earlier"]
    assert (earlier["runs"], earlier["judged"]) == (2, 2)
    assert told["decision_version"] != earlier["decision_version"]


async def test_slots_of_a_change_that_did_not_run_hide_no_record(home: Path, ask: Ask) -> None:
    store_candles(home, market(MOVES))
    enter_runs(home, write_strategy(home), [MadeRun(at(100), "BUY"), MadeRun(at(95), status="missed")])
    changed = write_strategy(home, config={"rules": {"timeframe": "1h", "buy": "close > 1"}})
    enter_runs(home, changed, [MadeRun(at(80), status="missed"), MadeRun(at(79), status="skipped_stale")])
    told = await performance(ask, strategy_name="mine")
    assert (told["runs"], told["judged"], told["missed"], told["earlier"]) == (1, 1, 3, [])


async def test_a_pause_or_a_new_budget_begins_no_new_record(home: Path, ask: Ask) -> None:
    store_candles(home, market(MOVES))
    enter_runs(home, write_strategy(home), [MadeRun(at(100), "BUY")])
    enter_runs(home, write_strategy(home, config={"status": "paused", "max_failures": 9}), [MadeRun(at(80), "SELL")])
    told = await performance(ask, strategy_name="mine")
    assert (told["judged"], told["earlier"]) == (2, [])


async def test_since_counts_only_runs_from_then_on(six: None, ask: Ask) -> None:
    told = await performance(ask, strategy_name="mine", since=iso(at(85)))
    assert (told["runs"], told["judged"], told["right"]) == (7, 1, 1)
    with pytest.raises(Told, match="is not before the moment asked for"):
        await performance(ask, since="2099-01-01")
    with pytest.raises(Told, match="since"):
        await performance(ask, since="last week")


async def test_a_proof_that_was_picked_out_is_told_to_be_worth_less(home: Path, ask: Ask) -> None:
    """One strategy knows the next four hours. Its proof is one; the best of two, or of a chosen time, is less."""
    rng = np.random.default_rng(3)
    moves = {hours: float(rng.choice([-0.01, 0.01])) for hours in range(4, COUNT)}
    store_candles(home, market(moves))
    hours = range(900, 8, -5)
    knows = [MadeRun(at(ago), "BUY" if moves[ago] > 0 else "SELL") for ago in hours]
    enter_runs(home, write_strategy(home), knows)
    told = await performance(ask, strategy_name="mine")
    assert (told["evidence"], "note" in told) == ("skill", False)
    assert told["e_value"] > 20
    chosen = await performance(ask, strategy_name="mine", since=iso(at(899)))
    assert chosen["note"] == "Evidence since a time counts only if that time was chosen before looking."
    enter_runs(home, write_strategy(home, "blind"), [MadeRun(at(ago), "BUY") for ago in hours])
    assert "these are 2: only 40 is proof for the best of them" in (await performance(ask))["note"]


async def test_what_is_due_is_settled_once_and_stays(six: None, ask: Ask, home: Path) -> None:
    first = await performance(ask, strategy_name="mine")
    rows = "SELECT execution_id, state, r FROM outcomes ORDER BY execution_id"
    kept = database_of(home).read(lambda connection: connection.execute(rows).fetchall())
    assert [(id_, state) for id_, state, _ in kept] == [(number, "judged") for number in range(1, 6)] + [(6, "void")]
    assert await performance(ask, strategy_name="mine") == first
    assert database_of(home).read(lambda connection: connection.execute(rows).fetchall()) == kept


async def test_where_the_home_cannot_be_written_it_answers_all_the_same_and_says_what_is_not_kept(
    six: None, client: Client, ask: Ask, home: Path
) -> None:
    lock = home / "claude_trader.duckdb.lock"
    await ask("list_signals")
    lock.unlink()
    lock.mkdir()  # whoever would write cannot take turns
    for name in ("mine", None):
        told = await performance(ask, strategy_name=name)
        judged = told["judged"] if name else told["rows"][0][told["columns"].index("judged")]
        assert judged == 3
        assert "What was judged now could not be kept: The home cannot be written" in told["note"]
    assert "note" not in await performance(ask, strategy_name="mine", as_of=iso(at(70))), "nothing was to be kept"
    lock.rmdir()
    assert "note" not in await performance(ask, strategy_name="mine")
    count = "SELECT count(*) FROM outcomes"
    assert database_of(home).read(lambda connection: connection.execute(count).fetchone()) == (6,)


async def test_while_another_program_holds_the_file_it_answers_from_what_can_be_read(
    six: None, home: Path, settings: ServerSettings
) -> None:
    database = Database(Home(home).database, patience_s=0.2)
    server = build_server(settings, clock=lambda: NOW, database=database)
    async with Client(server, raise_exceptions=True) as client:
        with held_by_a_shell(database.path, read_only=True):  # which others may read, too, and nobody may write
            told = answer_of(await client.call_tool("get_performance", {"strategy_name": "mine"}))
    assert told["judged"] == 3
    assert "What was judged now could not be kept: The database" in told["note"]


async def test_of_a_strategy_that_is_named_only_its_own_signals_are_settled(six: None, ask: Ask, home: Path) -> None:
    """Else who asks for it would wait for the exchange of another."""
    (of_other,) = enter_runs(home, write_strategy(home, "other"), [MadeRun(at(100), "BUY")])
    settled = f"SELECT count(*) FROM outcomes WHERE execution_id = {of_other}"
    counts = []
    for name in ("mine", "other"):
        await performance(ask, strategy_name=name)
        counts.append(database_of(home).read(lambda connection: connection.execute(settled).fetchall()))
    assert counts == [[(0,)], [(1,)]]


async def test_under_a_past_as_of_nothing_later_counts_and_nothing_is_written(six: None, ask: Ask, home: Path) -> None:
    """The second signal's exit, 86 hours ago, is known ten minutes later."""
    for as_of, judged in ((iso(at(86)), 1), (iso(at(86) + 599_000), 1), (iso(at(86) + 600_000), 2)):
        told = await performance(ask, strategy_name="mine", as_of=as_of)
        assert (told["runs"], told["judged"], told["pending"]) == (2, judged, 2 - judged)
    count = "SELECT count(*) FROM outcomes"
    assert database_of(home).read(lambda connection: connection.execute(count).fetchone()) == (0,)
    past = await performance(ask, strategy_name="mine", as_of=iso(at(70)))
    await performance(ask)  # settles all
    assert await performance(ask, strategy_name="mine", as_of=iso(at(70))) == past


@pytest.mark.parametrize(
    "moments",
    [
        [at(404) + 599_999],
        pytest.param([at(700), at(404) + 599_999, at(404) + 600_000, at(61) + 1_234_567], marks=pytest.mark.long),
    ],
    ids=len,
)
async def test_a_past_as_of_answers_as_a_home_that_was_cut_off_at_that_moment(
    home: Path, tmp_path: Path, settings: ServerSettings, moments: list[int]
) -> None:
    """Two hundred signals with late answers, gaps, a twin and agents; asked at moments on, before and after closes."""
    rng = np.random.default_rng(5)
    candles = market({hours: float(rng.normal(0, 0.01)) for hours in range(4, 1_000)}, missing=(333, 250, 120))
    runs = [
        MadeRun(
            at(hours), str(rng.choice(["BUY", "SELL", "HOLD"])), float(rng.uniform(20, 80)), engine="claude",
            late_ms=int(rng.choice([2_000, 600_000, 5_000_000])), cost_usd=None if rng.random() < 0.2 else 0.1,
            data=_data(str(rng.choice(["BUY", "SELL"])), str(rng.choice(["BUY", "SELL", "HOLD"]))),
        )
        for hours in range(950, 50, -4)
    ]  # fmt: skip
    config = {"engine": "claude", "stop": {}}
    agents = {"whales": {"description": "d", "prompt": "p", "tools": ["get_price"]}}
    enter_runs(home, write_strategy(home, config=config, agents=agents), runs)
    store_candles(home, candles)
    async with Client(build_server(settings, clock=lambda: NOW), raise_exceptions=True) as client:
        assert answer_of(await client.call_tool("get_performance", {}))["rows"]  # settles all there is
        for number, moment_ms in enumerate(moments):
            cut = tmp_path / f"cut-{number}"
            cut.mkdir()
            known = [run for run in runs if run.decided_ms + run.late_ms <= moment_ms]
            enter_runs(cut, write_strategy(cut, config=config, agents=agents), known)
            store_candles(cut, candles.between(0, moment_ms // HOUR_MS * HOUR_MS))
            asked = {"strategy_name": "mine", "curve": True}
            past = answer_of(await client.call_tool("get_performance", {**asked, "as_of": iso(moment_ms)}))
            there = ServerSettings(home=cut, exchange="coinbase", exchange_urls=settings.exchange_urls)
            async with Client(build_server(there, clock=partial(from_ms, moment_ms)), raise_exceptions=True) as then:
                assert past == answer_of(await then.call_tool("get_performance", asked))
            assert past["judged"] > 30
            assert past["rows"][-1][0] <= iso(moment_ms - 600_000)
            assert past["e_value"] is not None or moment_ms == at(700)


async def test_a_strategy_that_never_ran_says_what_to_do_next(home: Path, ask: Ask) -> None:
    write_strategy(home)
    told = await performance(ask, strategy_name="mine")
    assert (told["runs"], told["judged"], told["evidence"]) == (0, 0, "too_few")
    assert told["note"] == (
        "No live run of 'mine' is recorded yet. `claude-trader up` runs active strategies on schedule; "
        "`claude-trader run mine` records a manual run."
    )
    assert told["summary"][0] == "There is no BUY or SELL signal to judge yet."
    table = await performance(ask)
    assert table["rows"] == []
    assert "`claude-trader run NAME` records a manual run. Runs of other kinds" in table["note"]
    assert "Runs of other kinds are kept apart" in table["note"]
    with pytest.raises(Told, match="Unknown strategy 'mein'"):
        await performance(ask, strategy_name="mein")


async def test_an_invented_market_is_called_simulated(home: Path, ask: Ask) -> None:
    store_candles(home, market(MOVES))
    enter_runs(home, write_strategy(home), [MadeRun(at(100), "BUY")])
    assert "simulated" not in await performance(ask, strategy_name="mine")
    invented = write_strategy(home, "invented", {"exchange": "simulated", "trading_pair": "BTC/USDT"})
    enter_runs(home, invented, [MadeRun(at(100), "BUY")])
    told = await performance(ask, strategy_name="invented")
    assert (told["simulated"], told["judged"]) == (True, 1)
    assert (await performance(ask))["note"] == "1 of 2 records are of the simulated market, which is invented."


async def test_a_record_outlives_its_folder(six: None, ask: Ask, home: Path) -> None:
    (home / "strategies" / "mine" / "config.json").unlink()
    (home / "strategies" / "mine").rmdir()
    assert (await performance(ask, strategy_name="mine"))["judged"] == 3
    assert (await performance(ask, strategy_name="mine", runs="manual"))["runs"] == 0
    with pytest.raises(Told, match=r"Unknown strategy 'mien'\. Did you mean 'mine'\?"):
        await performance(ask, strategy_name="mien")
    with pytest.raises(Told, match=r"Unknown strategy 'mien'\. Known: (?!.*mine)"):
        await performance(ask, strategy_name="mien", as_of=iso(at(200)))  # it had no run by then


async def test_the_twin_and_the_agents_are_judged_by_the_same_returns(home: Path, ask: Ask) -> None:
    """The model: BUY +0.7, BUY -0.1, SELL +0.7, HOLD 0. Its twin: BUY +0.7, SELL -0.5, HOLD 0, BUY +1.7, and none."""
    agents = {"whales": {"description": "d", "prompt": "p", "tools": ["get_price"]}}
    strategy = write_strategy(home, config={"engine": "claude"}, agents=agents)
    store_candles(home, market({**MOVES, 60: 0.02}))
    said = [(100, "BUY", "BUY"), (90, "BUY", "SELL"), (80, "SELL", "HOLD"), (60, "HOLD", "BUY"), (55, "HOLD", None)]
    runs = [
        MadeRun(at(hours), signal, engine="claude", data=_data(twin, "BUY" if hours > 70 else None))
        for hours, signal, twin in said
    ]
    enter_runs(home, strategy, runs)
    told = await performance(ask, strategy_name="mine")
    assert told["twin"]["judged"] == 3
    assert told["twin"]["hit_rate"] == pytest.approx(2 / 3, rel=1e-5)
    mine, rules = (0.7 - 0.1 + 0.7 + 0), (0.7 - 0.5 + 0 + 1.7)
    assert told["twin"]["difference_pct"] == pytest.approx((mine - rules) / 4, rel=1e-5)
    assert told["agents"] == {"whales": {"judged": 3, "agrees": None, "correlation": None}}


async def test_a_sub_agent_that_leaned_only_before_an_edit_or_later_is_no_part_of_a_record(
    home: Path, ask: Ask
) -> None:
    store_candles(home, market(MOVES))
    agents = {name: {"description": "d", "prompt": "p", "tools": ["get_price"]} for name in ("before", "now", "later")}
    for logic, hours, name in (("old", 100, "before"), ("new", 90, "now"), ("new", 80, "later")):
        strategy = write_strategy(home, config={"engine": "claude", "synthesis_logic": logic}, agents=agents)
        data = {"sub_agent_results": {name: {"leans": "BUY"}}}
        enter_runs(home, strategy, [MadeRun(at(hours), "BUY", engine="claude", data=data)])
    assert set((await performance(ask, strategy_name="mine"))["agents"]) == {"now", "later"}
    assert set((await performance(ask, strategy_name="mine", as_of=iso(at(80))))["agents"]) == {"now"}


def _data(twin: str | None, leans: str | None) -> dict[str, Any]:
    report = {"summary": "s", **({"leans": leans} if leans else {})}
    return {"twin": {"signal": twin}, "sub_agent_results": {"whales": report}}


async def test_an_unknown_cost_is_never_nought(home: Path, ask: Ask) -> None:
    store_candles(home, market(MOVES))
    strategy = write_strategy(home)
    enter_runs(home, strategy, [MadeRun(at(100), "BUY", cost_usd=0.3), MadeRun(at(90), "BUY", cost_usd=0.1)])
    told = await performance(ask, strategy_name="mine")
    assert (told["cost_usd"], told["cost_unknown"]) == (pytest.approx(0.4), 0)
    assert told["usd_per_right_signal"] == pytest.approx(0.4)
    assert told["usd_per_net_pct"] == pytest.approx(0.4 / 0.6, rel=1e-5)
    enter_runs(home, strategy, [MadeRun(at(80), "SELL", cost_usd=None)])
    told = await performance(ask, strategy_name="mine")
    assert (told["cost_usd"], told["cost_unknown"]) == (pytest.approx(0.4), 1)
    assert (told["usd_per_right_signal"], told["usd_per_net_pct"]) == (None, None)


async def test_a_market_that_cannot_be_asked_leaves_signals_pending_and_says_why(home: Path, ask: Ask) -> None:
    enter_runs(home, write_strategy(home), [MadeRun(at(100), "BUY")])
    told = await performance(ask, strategy_name="mine")
    assert (told["judged"], told["pending"], told["void"]) == (0, 1, 0)
    assert "cannot be judged yet" in told["note"]


async def test_the_stop_of_a_strategy_is_told_with_what_it_saw(home: Path, ask: Ask) -> None:
    store_candles(home, market({}))
    strategy = write_strategy(home, config={"stop": {"no_skill": 0.05, "minimum_edge_pct": 0.1}})
    enter_runs(home, strategy, [MadeRun(at(1000 - 5 * number), "BUY") for number in range(150)])
    told = await performance(ask, strategy_name="mine")
    stop = told["stop"]
    assert (stop["limit"], stop["minimum_edge_pct"]) == (20, 0.1)
    assert 0 < stop["judged"] < 130  # the first 20 show how far returns deviate; what came after its limit is not told
    assert stop["mean_net_pct"] == pytest.approx(-0.3, rel=1e-5)
    assert stop["reached"] is (stop["highest"] >= 20)
    assert stop["reached"] is True
    assert told["evidence"] == "no_skill"
    assert told["sentence"].endswith("its `stop` has ruled out its edge")


class TestBytes:
    """However much there is to tell, one strategy takes less than 3,000 bytes, and 50 take less than 8,000."""

    @pytest.fixture
    async def client(self, home: Path, settings: ServerSettings) -> AsyncIterator[Client]:
        async with Client(build_server(settings, clock=lambda: NOW), raise_exceptions=True) as client:
            yield client

    async def test_a_strategy_with_long_names_and_many_agents(self, home: Path, client: Client) -> None:
        name = "a" * 64
        names = [f"{number:02}{'b' * 62}" for number in range(20)]
        agents = {agent: {"description": "d", "prompt": "p", "tools": ["get_price"]} for agent in names}
        for number in range(5):
            earlier = write_strategy(home, name, {"engine": "claude", "synthesis_logic": "x" * number}, agents)
            enter_runs(home, earlier, [MadeRun(at(990), "BUY", engine="claude")])
        strategy = write_strategy(home, name, {"engine": "claude", "stop": {}}, agents)
        rng = np.random.default_rng(1)
        moves = {hours: float(rng.normal(0, 0.0123456)) for hours in range(4, 1000)}
        store_candles(home, market(moves))
        said = rng.choice(["BUY", "SELL", "HOLD"], 190)
        runs = [
            MadeRun(
                at(980 - 5 * number), signal, float(rng.uniform(1, 99)), engine="claude", cost_usd=0.123456,
                data={"twin": {"signal": "SELL"}, "sub_agent_results": {agent: {"leans": "BUY"} for agent in names}},
            )
            for number, signal in enumerate(said)
        ]  # fmt: skip
        enter_runs(home, strategy, runs)
        told = await _sized(client, 3_000, strategy_name=name)
        assert len(told["calibration"]["bins"]) == 10
        assert 0 < len(told["agents"]) < 20
        assert told["agents_left_out"] == 20 - len(told["agents"])

    @pytest.mark.long
    async def test_fifty_strategies(self, home: Path, client: Client) -> None:
        rng = np.random.default_rng(1)
        moves = {hours: float(rng.normal(0, 0.0123456)) for hours in range(4, 1000)}
        store_candles(home, market(moves))
        entered = []
        for number in range(50):
            strategy = write_strategy(home, f"my-own-strategy-no-{number:02}")
            said = rng.choice(["BUY", "SELL", "HOLD"], 40)
            runs = [MadeRun(at(980 - 23 * place), signal, 60, cost_usd=0.123456) for place, signal in enumerate(said)]
            entered.append((strategy, runs))
        enter_all(home, entered)
        told = await _sized(client, 8_000)
        assert len(told["rows"]) == 50
        assert "note" not in told


async def _sized(client: Client, most: int, **arguments: Any) -> dict[str, Any]:
    """Ask, and check the bytes of both forms, and that no number is NaN."""
    result = await client.call_tool("get_performance", arguments)
    answer = answer_of(result)
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert len(json.dumps(answer, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()) < most
    assert len(json.dumps(block.text, ensure_ascii=False).encode()) < most
    return answer


async def test_a_call_tells_how_far_it_is(six: None, client: Client) -> None:
    heard: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    await client.call_tool("get_performance", {"strategy_name": "mine"}, progress_callback=note)
    assert heard == ["Settling what is due", "Reading the records", "Scoring 1 record"]


async def test_the_servers_own_moment_bounds_the_question(home: Path, six: None) -> None:
    settings = ServerSettings(
        home=home,
        exchange="coinbase",
        as_of=NOW - timedelta(hours=86),
        exchange_urls={"coinbase": "http://127.0.0.1:9"},
    )
    write_strategy(home, config={"stop": {}})
    later = {"strategy_name": "mine", "since": iso(at(50))}
    async with Client(build_server(settings, clock=lambda: NOW), raise_exceptions=True) as client:
        told = answer_of(await client.call_tool("get_performance", {"strategy_name": "mine"}))
        none_yet = answer_of(await client.call_tool("get_performance", later))
        with pytest.raises(Told, match="is not before the moment asked for"):
            answer_of(await client.call_tool("get_performance", {**later, "as_of": iso(at(60))}))
    assert (told["runs"], told["judged"]) == (2, 2)
    assert (none_yet["runs"], none_yet["judged"], none_yet["stop"]["reached"]) == (0, 0, False)
    assert none_yet["note"].startswith(f"No live run of 'mine' as of {iso(at(50))} or later is recorded.")
    count = "SELECT count(*) FROM outcomes"
    assert database_of(home).read(lambda connection: connection.execute(count).fetchone()) == (0,)
