"""What `backtest --vary` shows in a terminal: what all variants came to, and not only the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from mcp_server.domain.text import counted
from runner.cli.show import plain
from runner.cli.show_backtest import costs, market, written

MOST_ROWS = 60
COLUMNS = (
    ("return", "return_pct", "±%", 10),
    ("deepest", "max_drawdown_pct", "%", 9),
    ("trades", "trades", "n", 8),
    ("Sharpe", "sharpe", "", 8),
    ("deflated", "sharpe_deflated", "p", 10),
)
"""Heading, key, unit and width. `deepest` is the deepest drawdown."""


def grid(console: Console, answer: Mapping[str, Any]) -> None:
    """Show the answer of a sweep."""
    console.print(market(answer))
    console.print(costs(answer))
    console.print()
    for sentence in answer["summary"]:
        console.print(plain(sentence))
    console.print(Text(f"\n{''.join(f'{name:>{width}}' for name, _, _, width in COLUMNS)}  variant", "bold"))
    shown = _shown(answer["variants"])
    for row in shown:
        console.print(_line(row), soft_wrap=True)
    if left_out := len(answer["variants"]) - len(shown):
        console.print(plain(f"{left_out:,} more with a lower Sharpe ratio: --json has all.", "dim"))
    console.print(
        plain(
            f"deflated: the probability that it is more than luck, counting {counted(answer['trials'], 'variant')} "
            "that were ever tried of this strategy on this market; 95 % is the usual bar.",
            "dim",
        )
    )
    if walk := answer["walk_forward"]:
        _walk_forward(console, walk)


def _shown(variants: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return all variants in their order; of very many the best, which says nothing of the others."""
    if len(variants) <= MOST_ROWS:
        return variants
    best = sorted(variants, key=lambda row: float("-inf") if row["sharpe"] is None else row["sharpe"], reverse=True)
    return best[:MOST_ROWS]


def _line(row: Mapping[str, Any]) -> Text:
    if row["error"]:
        return plain(f"{'failed':>{COLUMNS[0][3]}}  {row['variant']}: {row['error']}", "yellow")
    return plain(
        f"{''.join(f'{written(row[key], unit):>{width}}' for _, key, unit, width in COLUMNS)}  {row['variant']}"
    )


def _walk_forward(console: Console, walk: Mapping[str, Any]) -> None:
    console.print(Text(f"\nChoosing anew by what was known: {written(walk['return_pct'], '±%')} in all", "bold"))
    for fold in walk["folds"]:
        own, held = (written(fold[key], "±%") for key in ("return_pct", "buy_and_hold_pct"))
        days = f"{fold['start'][:10]} to {fold['end'][:10]}"
        chosen = fold["variant"] or "none, as none had traded"
        console.print(plain(f"  {days}  {own:>9} (holding {held:>8})  {chosen}"), soft_wrap=True)
