"""`claude-trader`, whose backtests cut after few candles to prove that nothing looks ahead, and start no process.

For tests of the other figures, which stay the same.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mcp_server.domain.backtest import look_ahead, run
from runner.__main__ import main
from runner.backtest import grid

FEW = 5


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Let it be so in this process, until the patch is undone."""
    spread, prove = look_ahead.cuts, look_ahead.prove
    patch.setattr(look_ahead, "cuts", lambda candles: spread(candles)[:FEW])
    patch.setattr(
        run, "prove_no_look_ahead", lambda proved, candles, _decided, **how: prove(proved, candles, (), **how)
    )
    patch.setattr(grid, "processes", lambda _workers: ThreadPoolExecutor(1))


if __name__ == "__main__":
    hurry(pytest.MonkeyPatch())
    main()
