"""What a backtest of the command line is taken to ask for."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.backtest.period import LATEST
from mcp_server.domain.timeframes import from_ms, timeframe_ms, to_ms
from mcp_server.errors import BadInput
from mcp_server.storage.candles.import_file import import_candle_file
from mcp_server.storage.candles.store import CandleStore, Series
from runner.backtest.request import Options, Request, requested
from runner.backtest.stored import load
from runner.cli.context import Context
from tests.rigs.hourly_candles import FIRST_MS, candle_lines
from tests.rigs.random_walk import random_walk

NOW = datetime(2026, 5, 20, 12, 5, tzinfo=UTC)
HOUR_MS = 3_600_000
JANUARY, FEBRUARY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
CONFIG = {"trading_pair": "BTC/USD", "exchange": "kraken", "interval": "1h"}
RULES = {"indicators": ["rsi(14)"], "buy": "rsi_14 < 30", "sell": "rsi_14 > 70"}


def asked(home: Path, options: dict[str, Any], **keys: Any) -> Request:
    folder = home / "strategies" / "mine"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "rules": RULES, **keys}))
    return requested(Context(), Options(name="mine", **options), NOW)


def times(request: Request) -> tuple[str, str]:
    return from_ms(request.start_ms).isoformat(" ", "hours"), from_ms(request.end_ms).isoformat(" ", "hours")


def test_without_a_time_it_is_the_latest_candles_that_no_exchange_changes_any_more(home: Path) -> None:
    """At 12:05, the candle that closed at 12:00 may still be corrected."""
    request = asked(home, {})
    assert times(request)[1] == "2026-05-20 11+00:00"
    assert request.end_ms - request.start_ms == LATEST * HOUR_MS
    assert times(asked(home, {}, exchange="simulated"))[1] == "2026-05-20 12+00:00"


def test_without_a_time_it_is_all_that_is_stored_after_the_warm_up(home: Path) -> None:
    count = LATEST + 2_000
    walk = random_walk(count)
    candles = replace(walk, open_time_ms=walk.open_time_ms - 20_000 * HOUR_MS)
    first_ms = int(candles.open_time_ms[0])
    context = Context()
    known = (first_ms, first_ms + count * HOUR_MS)
    CandleStore(context.database).add([(Series("kraken", "BTC/USD", "1h"), candles, known)])
    request = asked(home, {})
    assert (request.start_ms, request.end_ms) == (first_ms + request.warm_up * HOUR_MS, known[1])
    assert request.candles == known, "nothing else has to be fetched"


def test_imported_candles_are_enough_for_longer_ones_that_are_built_of_them(home: Path, tmp_path: Path) -> None:
    """Candles of three days or a week begin at other times than hours, and 10,000 of them are more than any history."""
    store, file = CandleStore(Context().database), tmp_path / "hours.csv"
    file.write_text("".join(candle_lines(3_000)))
    import_candle_file(store, file, Series("kraken", "BTC/USD", "1h"), NOW)
    end_ms = FIRST_MS + 3_000 * HOUR_MS
    for timeframe in ("1d", "3d", "1w"):
        request = asked(home, {}, interval="1d", rules={**RULES, "timeframe": timeframe})
        assert load(store, request.series, request.candles).missing == []
        assert 0 <= end_ms - request.end_ms < timeframe_ms(timeframe)


def test_the_warm_up_is_what_the_most_demanding_variant_needs(home: Path) -> None:
    plain = asked(home, {"start": JANUARY, "end": FEBRUARY})
    assert plain.candles == (plain.start_ms - plain.warm_up * HOUR_MS, to_ms(FEBRUARY))
    varied = asked(home, {"start": JANUARY, "end": FEBRUARY, "vary": ("rsi(14)=rsi(90)",)})
    assert [variant.label for variant in varied.variants] == ["as it is", "rsi(14) → rsi(90)"]
    assert varied.warm_up > plain.warm_up >= 14


def test_the_as_of_of_the_settings_limits_the_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADER_AS_OF", "2026-01-20T00:30Z")
    assert times(asked(home, {"start": JANUARY, "end": FEBRUARY}))[1] == "2026-01-20 00+00:00"
    assert times(asked(home, {}))[1] == "2026-01-20 00+00:00"
    with pytest.raises(BadInput, match=r"--from 2026-02-01T00:00Z is not before TRADER_AS_OF.*change TRADER_AS_OF"):
        asked(home, {"start": FEBRUARY})


def test_costs_are_those_of_the_command_else_of_the_strategy_else_the_usual_ones(home: Path) -> None:
    span = {"start": JANUARY, "end": FEBRUARY}
    usual = asked(home, span).assumptions
    assert (usual.fee_bps, usual.slippage_bps, usual.stake_pct, usual.side) == (10, 5, None, "long")
    costs = {"fee_bps": 2.5, "slippage_bps": 1.0}
    own = asked(home, span, costs=costs).assumptions
    assert (own.fee_bps, own.slippage_bps) == (2.5, 1)
    free = asked(home, {**span, "fee_bps": 0.0, "stake_pct": 20.0, "side": "both"}, costs=costs).assumptions
    assert (free.fee_bps, free.slippage_bps, free.stake_pct, free.side) == (0, 1, 20, "both")


def test_the_default_exchange_is_that_of_the_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADER_EXCHANGE", "bitstamp")
    request = asked(home, {"start": JANUARY, "end": FEBRUARY}, exchange=None)
    assert request.series == Series("bitstamp", "BTC/USD", "1h")
