"""How often a 95 % interval covers the truth, for made up strategies without skill: `make intervals` prints a table."""

import sys
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.rules.series import Codes
from mcp_server.domain.scoring.hac import Interval, bandwidth_ms, mean_interval
from mcp_server.domain.scoring.hit_rate import hit_rate_interval

HOUR_MS = 3_600_000
HORIZON, COST, DEVIATION = 24, 0.003, 0.01
"""Signals are judged after 24 candles of an hour, each of which moves by 1 %."""

KINDS = ("net", "hit rate", "net less holding", "net less twin")


@dataclass(frozen=True)
class Scenario:
    """`run`: candles that a signal lasts on average, 1 for one drawn anew at each; `keep`: share of slots that are.

    `blocks`: each signal lasts exactly `run` candles, and the next is drawn anew.
    """

    name: str
    hours: int
    run: int = 12
    step: int = 1
    keep: float = 1.0
    drift: float = 0.0
    blocks: bool = False
    waves: bool = False


SCENARIOS = (
    Scenario("persistent", 1000),
    Scenario("one after the other", 150 * HORIZON, run=1, step=HORIZON),
    Scenario("irregular slots", 1500, keep=0.3),
    Scenario("five bandwidths", 225),
)
"""These are tested."""

MORE = (
    Scenario("drifting market", 1000, drift=0.001),
    Scenario("persistent, long", 4000),
    Scenario("persistent in blocks", 1000, blocks=True),
    Scenario("persistent in blocks, long", 4000, blocks=True),
    Scenario("five bandwidths, blocks", 300, blocks=True),
    Scenario("five bandwidths, irregular", 230, keep=0.3),
    Scenario("persistent for 24", 2000, run=24),
    Scenario("persistent for 48", 3000, run=48),
    Scenario("waves of volatility", 2000, waves=True),
    Scenario("twenty, one after the other", 20 * 60, run=1, step=60),
    Scenario("drawn anew each hour, short", 140, run=1),
    Scenario("drawn anew each hour", 1000, run=1),
    Scenario("drawn anew each hour, long", 4000, run=1),
)


def signals(scenario: Scenario, generator: np.random.Generator, draws: int) -> Codes:
    """Return BUY or SELL for each hour of each draw."""
    shape = draws, scenario.hours
    if scenario.run == 1:
        return generator.choice(np.array([-1, 1], dtype=np.int8), shape)
    if scenario.blocks:
        blocks = generator.choice(np.array([-1, 1], dtype=np.int8), (draws, scenario.hours // scenario.run + 2))
        hour = np.arange(scenario.hours) + generator.integers(0, scenario.run, (draws, 1))
        return np.take_along_axis(blocks, hour // scenario.run, axis=1)
    turns = np.cumsum(generator.random(shape) < 1 / scenario.run, axis=1) + generator.integers(0, 2, (draws, 1))
    return (1 - 2 * (turns % 2)).astype(np.int8)


def returns(scenario: Scenario, generator: np.random.Generator, draws: int) -> Floats:
    """Return what the market does within the horizon of each hour, of each draw."""
    change = generator.standard_normal((draws, scenario.hours + HORIZON)) * DEVIATION
    if scenario.waves:
        waves = np.exp(0.6 * generator.standard_normal((draws, change.shape[1] // 100 + 1)))
        change *= np.repeat(waves, 100, axis=1)[:, : change.shape[1]]
    price = np.concatenate([np.zeros((draws, 1)), np.cumsum(change + scenario.drift, axis=1)], axis=1)
    result: Floats = price[:, HORIZON : HORIZON + scenario.hours] - price[:, : scenario.hours]
    return result


def truths(scenario: Scenario) -> dict[str, float]:
    """Return what each figure would be in the long run; the hit rate only where it has a formula."""
    held, spread = scenario.drift * HORIZON, DEVIATION * HORIZON**0.5
    hit = sum(NormalDist(way * held, spread).cdf(-COST) for way in (-1, 1)) / 2
    return dict(zip(KINDS, (-COST, float("nan") if scenario.waves else hit, -COST - held, 0.0), strict=True))


def intervals(time_ms: Times, own: Codes, twin: Codes, r: Floats) -> list[Interval | None]:
    """Return the intervals of one record, in the order of `KINDS`."""
    width = bandwidth_ms(HORIZON * HOUR_MS, own, time_ms)
    net = own * r - COST
    return [
        mean_interval(net, time_ms, width),
        hit_rate_interval(net > 0, time_ms, width),
        mean_interval(net - r, time_ms, width),
        mean_interval(net - (twin * r - COST), time_ms, width),
    ]


def coverage(scenario: Scenario, draws: int, seed: int = 16) -> tuple[dict[str, float], float]:
    """Return the share of intervals that cover the truth, of each kind, and the share of records that have any."""
    generator = np.random.default_rng(seed)
    truth = truths(scenario)
    hits = dict.fromkeys(KINDS, 0)
    records = 0
    own, twin = (signals(scenario, generator, draws) for _ in range(2))
    r = returns(scenario, generator, draws)
    slots = generator.random(r.shape) < scenario.keep
    slots[:, np.arange(scenario.hours) % scenario.step != 0] = False
    for draw in range(draws):
        hour = np.flatnonzero(slots[draw])
        record = intervals(hour * HOUR_MS, own[draw, hour], twin[draw, hour], r[draw, hour])
        records += record[0] is not None
        for kind, interval in zip(KINDS, record, strict=True):
            if interval is not None:
                hits[kind] += interval.low <= truth[kind] <= interval.high
    return {kind: hits[kind] / max(records, 1) for kind in KINDS}, records / draws


def main(draws: int) -> None:
    """Print the table."""
    print(f"{'':30}" + "".join(f"{kind:>18}" for kind in KINDS) + f"{'have one':>12}")  # noqa: T201 - a program
    for scenario in SCENARIOS + MORE:
        shares, having = coverage(scenario, draws)
        known = {kind: share for kind, share in shares.items() if not np.isnan(truths(scenario)[kind])}
        cells = "".join(f"{100 * known[kind]:17.1f}%" if kind in known else f"{'-':>18}" for kind in KINDS)
        print(f"{scenario.name:30}{cells}{100 * having:11.1f}%", flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
