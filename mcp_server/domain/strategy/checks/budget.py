"""The check of a budget: what the schedule will cost, and whether the budget suffices."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from mcp_server.domain.strategy.finding import Finding, error, warning

if TYPE_CHECKING:
    from mcp_server.domain.strategy.strategy import Strategy

DEFAULT_USD_PER_RUN = Decimal("0.50")
"""The most that one run may cost unless its strategy sets `usd_per_run`."""

DAYS_PER_MONTH = 30


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost of a strategy's runs by claude: how many ended, for how many the cost is known, and their mean."""

    runs: int
    known: int
    mean_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a schedule costs, in US dollars; None is unknown, and `basis` says what it rests on."""

    usd_per_day: Decimal | None
    usd_per_month: Decimal | None
    basis: str


def usd_per_run(strategy: Strategy) -> Decimal:
    """Return the most that one run of a strategy may cost, in US dollars."""
    return strategy.config.budget.usd_per_run or DEFAULT_USD_PER_RUN


@dataclass(frozen=True, slots=True)
class Runs:
    """How often a strategy comes due a day, and on what share of candles its `wake` held lately; None: no `wake`."""

    slots_per_day: float
    awake: float | None = None
    candles: int = 0

    @property
    def per_day(self) -> float:
        """The expected runs a day; a condition that never held lately is counted as if it had held once."""
        return self.slots_per_day * (1 if self.awake is None else max(self.awake, 1 / max(self.candles, 1)))

    def __str__(self) -> str:
        if self.awake is None:
            return _often(self.per_day, "run")
        held = f"wake held on {100 * self.awake:.3g} % of the last {self.candles} candles"
        return f"{_often(self.per_day, 'run')} of {_often(self.slots_per_day, 'slot')}, as {held}"


def estimate(strategy: Strategy, expected: Runs, costs: Costs | None) -> Estimate:
    """Estimate what a day's runs cost, from recorded runs; without any with a known cost it is unknown.

    A budget of a day ends it there: it is never more than that.
    """
    runs, budget = str(expected), strategy.config.budget.usd_per_day
    if strategy.engine == "rules":
        return Estimate(Decimal(0), Decimal(0), f"{runs}; rules cost nothing")
    if costs is None or costs.mean_usd is None:
        why = "the journal could not be read" if costs is None else "no run with a known cost is recorded"
        most = usd_per_run(strategy) * Decimal(expected.slots_per_day)
        most = most if budget is None else min(most, budget)
        return Estimate(None, None, f"{runs}; unknown, as {why}; the budget allows {_usd(most)} a day at most")
    a_day = costs.mean_usd * Decimal(expected.per_day)
    basis = f"{runs}; {_usd(costs.mean_usd)} a run, the mean of {costs.known} of {costs.runs} recorded runs"
    if budget is not None and a_day > budget:
        a_day, basis = budget, f"{basis}; that is {_usd(a_day)} a day, and its budget ends it at {_usd(budget)}"
    return Estimate(_cents(a_day), _cents(a_day * DAYS_PER_MONTH), basis)


def budget_findings(strategy: Strategy, expected: Runs, costs: Costs | None) -> list[Finding]:
    """Find a budget that the schedule would exceed, by what runs cost or, where that is unknown, may cost."""
    budget, place = strategy.config.budget, "config.json budget"
    a_run, a_day = usd_per_run(strategy), budget.usd_per_day
    mean = costs.mean_usd if costs else None
    if strategy.engine == "rules":
        return []
    findings = []
    if a_day is not None and a_run > a_day:
        problem = f"One run may cost {_usd(a_run)}, more than the {_usd(a_day)} of a whole day."
        findings.append(error(f"{place}.usd_per_day", problem, "Raise it, or lower usd_per_run (default: 0.50)."))
    elif a_day is not None and (mean or a_run) * Decimal(expected.per_day) > a_day:
        cost = f"at the {_usd(mean)} that runs cost" if mean else f"at the {_usd(a_run)} that a run may cost"
        total = _usd((mean or a_run) * Decimal(expected.per_day))
        problem = f"{expected}: {total} a day {cost}, more than {_usd(a_day)}; the rest is skipped."
        findings.append(warning(f"{place}.usd_per_day", problem, "Run less often, or raise it."))
    if mean is not None and mean > a_run:
        problem = f"Recorded runs cost {_usd(mean)} on average, more than the {_usd(a_run)} that one may cost."
        findings.append(warning(f"{place}.usd_per_run", problem, "Raise it, or use a cheaper model."))
    return findings


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.0001"))


def _usd(amount: Decimal) -> str:
    whole, _, cents = f"{amount:,.4f}".partition(".")
    return f"{whole}.{cents[:2]}{cents[2:].rstrip('0') if amount < 1 else ''} USD"


def _often(per_day: float, noun: str) -> str:
    if per_day < 1:
        return f"a {noun} every {1 / per_day:,.3g} days" if per_day < 0.99 else f"1 {noun} a day"
    count = f"{per_day:,.0f}" if per_day >= 100 else f"{per_day:.3g}"
    return f"{count} {noun}{'' if count == '1' else 's'} a day"
