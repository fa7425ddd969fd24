"""Parts are computed for many cuts at once, and columns shared by many proofs: each proof is what it is alone."""

from collections.abc import Callable, Sequence
from itertools import count

import pytest

from mcp_server.domain.backtest import look_ahead
from mcp_server.domain.backtest.futures import TAIL, Futures
from mcp_server.domain.backtest.look_ahead import Proof, cuts, prove
from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.spec import Spec
from mcp_server.domain.rules import compiled
from mcp_server.domain.rules.compiled import CompiledRules, compile_rules
from mcp_server.domain.strategy.format import Rules
from tests.backtest.leaks import proved_one_by_one, shifted
from tests.domain.test_indicator_values import made_candles
from tests.rigs.sampled import sampled

FEW = 24
INDICATORS = ("rsi(14)", "ema(9)", "macd(12,26,9)")
RULES = (
    ("rsi_14 < 40", "rsi_14 > 60"),
    ("crosses_above(ema_9, close)", "close < prev(lowest(low, 5), 2) OR macd_12_26_9_hist < 0"),
    ("highest(prev(close, 3) - ema_9, 40) > 1", "macd_12_26_9 / (rsi_14 - 50) > prev(close, 60)"),
    ("volume > highest(volume, 100)", "close <> close"),
    ("1 < 2", "rsi_14 > 150"),
)
ALL = "UNBOUNDED FOLLOWING"
LEAKS: dict[str, Callable[[str, int, str], str]] = {
    "the next": lambda text, n, over: f"lead({text}, {n}) {over})",
    "further than what is made up": lambda text, n, over: f"lead({text}, {TAIL + n}) {over})",
    "the last of all": lambda text, n, over: f"last_value({text}) {over} ROWS BETWEEN {n} PRECEDING AND {ALL})",
}
"""What may stand in the place of `lag`."""


def made(buy: str, sell: str) -> CompiledRules:
    """Compile rules anew: what is kept of them may be of another test."""
    return compile_rules.__wrapped__(Rules(indicators=INDICATORS, buy=buy, sell=sell), "1h")


def proof_of(rules: CompiledRules, candles: Candles, futures: Futures | None = None) -> Proof:
    return prove(rules, candles, [], futures=futures, clock=count().__next__, limit_s=FEW + 1)


@pytest.fixture(scope="module")
def candles() -> Candles:
    return made_candles(1_600)


@pytest.mark.parametrize("at_once", sampled([1, 5_000, 100_000], 3))
@pytest.mark.parametrize("leak", sampled([None, *LEAKS], 3))
def test_parts_of_many_cuts_at_once_change_where_they_do_cut_by_cut(
    leak: str | None, at_once: int, candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    if leak:
        monkeypatch.setattr("mcp_server.domain.rules.sql._lag", LEAKS[leak])
    monkeypatch.setattr(look_ahead, "ROWS_AT_ONCE", at_once)
    rules = made(*RULES[1])
    proof = proof_of(rules, candles)
    assert proof.checked == FEW
    assert proof.changed == proved_one_by_one(rules, candles, cuts(candles)[:FEW], recent=2 * TAIL)
    changed = {change.column for change in proof.changed}
    assert {"signal", "crosses_above(ema_9, close)"} <= changed if leak else not changed


def leaking(specs: Sequence[Spec], candles: Candles) -> dict[str, Floats]:
    """Compute indicators of which one looks at the next candle."""
    columns = compute(specs, candles)
    return {name: shifted(values, -1) if name == "ema_9" else values for name, values in columns.items()}


@pytest.mark.parametrize("most_bytes", sampled([30_000, 0, 10_000_000, 400_000], 4))
def test_proofs_that_share_columns_are_those_that_each_is_alone(
    most_bytes: int, candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "compute", leaking)
    futures = Futures(candles, most_bytes)
    alone = [proof_of(made(*texts), candles) for texts in RULES]

    assert [proof_of(made(*texts), candles, futures) for texts in (*RULES, *RULES[::-1])] == [*alone, *alone[::-1]]
    assert [bool(proof.changed) for proof in alone] == ["ema_9" in " ".join(texts) for texts in RULES]
    assert futures.kept_bytes <= most_bytes


def test_an_indicator_is_computed_once_after_each_cut_for_all_variants(
    candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []

    def counted(specs: Sequence[Spec], candles: Candles) -> dict[str, Floats]:
        computed.extend(
            len(candles) for _ in specs if len(candles)
        )  # rules are tried over no candles when they are made
        return compute(specs, candles)

    monkeypatch.setattr(compiled, "compute", counted)
    futures, totals = Futures(candles, 10_000_000), list[int]()
    for level in range(30, 34):
        proof_of(made(f"rsi_14 < {level} AND ema_9 > prev(close, 3)", "rsi_14 > 60"), candles, futures)
        totals.append(len(computed))
    whole = 2
    assert totals == [2 * FEW + whole * (1 + variant) for variant in range(4)]
