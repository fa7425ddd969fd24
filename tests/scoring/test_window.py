"""What a window of signals can show: against strategies simulated one by one, and e-values worked out by hand here."""

from datetime import UTC, datetime, timedelta
from math import sqrt

import numpy as np
import pytest

from mcp_server.domain.rules.series import BUY, SELL
from mcp_server.domain.scoring.base_rate import known_shares
from mcp_server.domain.scoring.e_value import skill_evidence
from mcp_server.domain.scoring.window import independent_before, most_apart, smallest_edge, window_shows
from tests.rigs.sampled import sampled
from tests.scoring.walks import record, walk

START = datetime(2026, 9, 1, tzinfo=UTC)

DRAWS = 2_000


def simulated_power(signals: int, hit_rate: float, base_rate: float, independent: float) -> float:
    """The share of strategies with a hit rate whose e-value reaches 20 within so many signals.

    It is worked out anew: Beta(1, 4) by a fine grid of lifts, Wilson's limit at 99 % by its textbook formula.
    """
    rng = np.random.default_rng(7)
    lift = (np.arange(200) + 0.5) / 200
    prior = (1 - lift) ** 3
    wealth = np.tile(prior / prior.sum(), (DRAWS, 1))
    proven = np.zeros(DRAWS, dtype=bool)
    for number in range(signals):
        n, z = independent + number, 2.3263
        null = (base_rate + z * z / (2 * n) + z * sqrt(base_rate * (1 - base_rate) / n + z * z / (4 * n * n))) / (
            1 + z * z / n
        )
        right = rng.random(DRAWS) < hit_rate
        wealth *= np.where(right[:, None], 1 + lift * (1 - null) / null, 1 - lift)
        proven |= wealth.sum(axis=1) >= 20
    return float(proven.mean())


@pytest.mark.parametrize(
    ("signals", "base_rate", "independent"),
    sampled(
        [
            (20, 0.476, 400.0),
            (30, 0.45, 400.0),
            (30, 0.2, 400.0),
            (60, 0.6, 400.0),
            (40, 0.45, 14.0),
            (120, 0.368, 400.0),
        ],
        4,
    ),
)
def test_four_of_five_simulated_strategies_with_that_edge_show_it_and_fewer_with_less(
    signals: int, base_rate: float, independent: float
) -> None:
    edge = smallest_edge(signals, base_rate, independent)
    assert edge is not None
    assert simulated_power(signals, base_rate + edge / 100, base_rate, independent) >= 0.77
    assert simulated_power(signals, base_rate + edge / 100 - 0.05, base_rate, independent) < 0.79


def test_on_markets_that_wander_four_of_five_show_it_by_the_whole_rule() -> None:
    """Signals with hindsight in them, entered one after the other on random walks, and judged as a record is."""
    horizon, signals, share_that_pays = 24, 30, 0.951  # so often, a day moves by more than 0.3 % either way
    base = share_that_pays / 2
    edge = smallest_edge(signals, base, 400.0)
    assert edge is not None
    rng, shown = np.random.default_rng(3), []
    for _ in range(100):
        candles = walk(rng, (402 + signals) * horizon)
        at = horizon * (401 + np.arange(signals))
        up = candles.close[at + horizon - 1] > candles.open[at]
        knows = rng.random(signals) < (base + edge / 100) / share_that_pays
        judged = record(candles, at, np.where(up == knows, BUY, SELL), horizon)
        shown.append(skill_evidence(judged, known_shares(candles, "1h", judged)).path.max() >= 20)
    assert 0.7 <= np.mean(shown) <= 0.95


def test_signals_that_would_not_prove_it_if_all_were_right_show_no_edge() -> None:
    assert simulated_power(9, 1.0, 0.476, 400.0) == 0
    assert smallest_edge(9, 0.476, 400.0) is None
    assert smallest_edge(0, 0.476, 400.0) is None
    assert smallest_edge(1, 0.1, 400.0) is None


def test_more_signals_never_show_less() -> None:
    edges = [smallest_edge(signals, 0.45, 400.0) or 99 for signals in (5, 12, 20, 35, 60, 100, 400, 2_000, 10_000)]
    assert edges == sorted(edges, reverse=True)
    assert edges[-1] < 5


def test_the_sentence_says_the_smallest_edge_and_what_five_points_take() -> None:
    text = window_shows(30, 400.0)
    assert text.startswith("30 signals whose horizons do not overlap can show only an edge of 38 points or more")
    assert "being right 5 points more often than by chance shows after about 5,500 of them" in text
    assert (
        "too few to show any skill; being right 5 points more often than by chance shows after about"
        in window_shows(5, 400.0)
    )
    assert window_shows(1, 400.0).startswith("1 signal ")
    enough = window_shows(8_000, 400.0, 0.476)
    assert "can show an edge of 5 points or more" in enough
    assert "shows after" not in enough
    assert "shows after more than 100,000 of them" in window_shows(30, 400.0, 0.97)


def test_moments_whose_horizons_overlap_count_once() -> None:
    moments = [START + timedelta(hours=4 * number) for number in range(60)]
    assert most_apart(moments, "1h", 86_400) == 10
    assert most_apart(moments, "1h", 4 * 3_600) == 60
    assert most_apart(moments[::-1], "1h", 86_400) == 10
    assert most_apart([], "1h", 86_400) == 0
    at_half_past = [moment + timedelta(minutes=30) for moment in moments[:2]]  # entered at the next open
    assert most_apart([moments[0], *at_half_past], "1h", 4 * 3_600 + 1_800) == 2


def test_a_long_horizon_of_short_candles_is_known_from_fewer_independent_moments() -> None:
    assert independent_before("1h", 86_400) == 400
    assert independent_before("1h", 3_600) == 1_000
    assert independent_before("1m", 86_400) == pytest.approx(20_000 / 1_440)
