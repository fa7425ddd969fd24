"""One signal in `list_signals` and the same among many in `get_performance`: both say the same of it."""

from datetime import UTC, datetime

import numpy as np
import pytest

from mcp_server.domain.rules.series import BUY, SELL
from mcp_server.domain.scoring.known_outcome import KnownOutcome, verdict
from mcp_server.domain.scoring.signals import JudgedSignals

MOMENT = datetime(2026, 5, 20, tzinfo=UTC)
CODES = {"BUY": BUY, "SELL": SELL}
MOVES = [0.05, 0.003, 0.001, 0.0, -0.001, -0.003, -0.05]
COST_BPS = 30.0


@pytest.mark.parametrize("funding_bps", [0.0, 12.0, -12.0])
@pytest.mark.parametrize("signal", CODES)
def test_one_signal_is_right_and_brings_what_it_does_among_many(signal: str, funding_bps: float) -> None:
    ones = np.ones(len(MOVES))
    times = np.arange(len(MOVES), dtype=np.int64)
    codes = np.full(len(MOVES), CODES[signal], dtype=np.int8)
    many = JudgedSignals(
        *(times,) * 4, codes, np.array(MOVES), COST_BPS / 1e4 * ones, funding_bps / 1e4 * ones, np.nan * ones
    )
    known = [KnownOutcome("judged", r, COST_BPS, funding_bps, MOMENT, 1.0, MOMENT, 1 + r) for r in MOVES]
    assert [outcome.net_pct(signal) for outcome in known] == pytest.approx((100 * many.net).tolist(), abs=1e-12)
    assert [verdict(signal, outcome) == "right" for outcome in known] == many.right.tolist()
