"""The check of a whole strategy: what can be found in its files, and what only shows in the facts around it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mcp_server.domain.schedule.pace import pace, schedule_findings
from mcp_server.domain.strategy.checks.agents import model_findings, tool_findings
from mcp_server.domain.strategy.checks.budget import Costs, Estimate, Runs, budget_findings, estimate
from mcp_server.domain.strategy.checks.draft import Draft, models, rules, tools, wake
from mcp_server.domain.strategy.checks.rules import Held, held_findings, held_lately, rule_findings, wake_rules
from mcp_server.domain.strategy.finding import Finding
from mcp_server.domain.strategy.parse import ParsedFiles

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known around a strategy.

    `candles` are recent ones of the timeframe of its rules, None where there are none; `market` says what is wrong with
    its market, or why nobody could be asked. `costs` are None where the journal cannot be read.
    """

    now: datetime
    candles: "Candles | None"
    market: tuple[Finding, ...]
    costs: Costs | None


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found, errors first, how often the rules held lately, and what the schedule will cost."""

    findings: tuple[Finding, ...]
    held: Held | None = None
    estimate: Estimate | None = None

    @property
    def valid(self) -> bool:
        """True when there is no error."""
        return all(finding.severity != "error" for finding in self.findings)


def findings_in(parts: ParsedFiles, offered: Mapping[str, bool]) -> list[Finding]:
    """Find what is wrong with the files themselves; `offered` are the server's tools, name → whether it only reads."""
    return [
        *parts.findings,
        *tool_findings(tools(parts), offered),
        *model_findings(models(parts)),
        *rule_findings(rules(parts), wake(parts)),
    ]


def check(draft: Draft, facts: Facts) -> Report:
    """Check what is sound of a strategy against the facts around it."""
    strategy, config = draft.strategy, draft.strategy.config
    held, woken = None, None
    found: list[Finding] = []
    if facts.candles is not None and len(facts.candles):
        if config.rules is not None:
            held = held_lately(config.rules, facts.candles)
            found += held_findings(config.rules, held, strategy.timeframe)
        if config.wake is not None:
            wakes = wake_rules(config.rules, config.wake)
            woken = held_lately(wakes, facts.candles)
            found += held_findings(wakes, woken, strategy.timeframe, place="")
    costs = None
    if draft.priced:
        runs = _runs(pace(config, facts.now).per_day, woken)
        costs = estimate(strategy, runs, facts.costs)
        found = [*schedule_findings(config, facts.now), *budget_findings(strategy, runs, facts.costs), *found]
    ordered = sorted([*facts.market, *found], key=lambda finding: finding.severity != "error")
    return Report(tuple(ordered), held, costs)


def _runs(slots_per_day: float, woken: Held | None) -> Runs:
    if woken is None or not woken.candles:
        return Runs(slots_per_day)
    return Runs(slots_per_day, woken.buy / woken.candles, woken.candles)
