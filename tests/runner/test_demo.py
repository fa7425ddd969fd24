"""`claude-trader demo`: what a person sees first."""

import re
from pathlib import Path

from tests.runner.conftest import Command


def test_the_demo_shows_signals_with_reasons_the_journal_and_what_to_try_next(trader: Command, home: Path) -> None:
    done = trader("demo")
    assert (done.code, done.err) == (0, "")
    told = re.findall(r"^2026-0\d-\d\d \d\d:00  (BUY|SELL|HOLD)", done.out, re.MULTILINE)
    assert (len(told), set(told)) == (48, {"BUY", "SELL", "HOLD"})
    assert "BUY because crosses_above(rsi_14, 35) (prev(rsi_14, 1) = " in done.out
    assert "The journal: every BUY and SELL, newest first" in done.out
    assert re.search(r"48 runs: \d+ HOLD, \d+ BUY, \d+ SELL\.", done.out)
    assert done.out.index("What to try next") > done.out.index("The journal")
    assert not (home / "claude_trader.duckdb").exists(), "the demo leaves the user's own journal alone"


def test_the_demo_can_be_run_again_and_says_the_same(trader: Command) -> None:
    first, second = (trader("demo", "--days", "1") for _ in range(2))
    assert first.out == second.out
    assert first.code == 0


def test_the_demo_in_a_home_that_cannot_be_written_says_so(trader: Command) -> None:
    done = trader("demo", TRADER_HOME="/proc/claude-trader")
    assert done.code == 1
    assert "cannot be written: '/proc/claude-trader" in done.err
