"""The check of a whole strategy: its files by themselves, and its files against the facts around them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mcp_server.domain.schedule.pace import pace, schedule_findings
from mcp_server.domain.strategy.checks.agents import model_findings, record_findings, tool_findings, twin_findings
from mcp_server.domain.strategy.checks.budget import Costs, Estimate, Runs, budget_findings, estimate
from mcp_server.domain.strategy.checks.draft import Draft, models, rules, timeframe, tools, wake
from mcp_server.domain.strategy.checks.rules import (
    HeldCounts,
    confidence_findings,
    held_findings,
    held_lately,
    rule_findings,
    wake_rules,
)
from mcp_server.domain.strategy.finding import Finding
from mcp_server.domain.strategy.parse import ParsedFiles

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts around a strategy.

    `candles` are recent ones of the timeframe of its rules, None where there are none; `market` is what is wrong with
    its market, or why the exchange did not answer. `costs` is None where the journal cannot be read.
    """

    now: datetime
    candles: "Candles | None"
    market: tuple[Finding, ...]
    costs: Costs | None


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, errors first, how often the rules held lately, and what the schedule will cost."""

    findings: tuple[Finding, ...]
    held: HeldCounts | None = None
    estimate: Estimate | None = None

    @property
    def valid(self) -> bool:
        """Whether there is no error."""
        return all(finding.severity != "error" for finding in self.findings)


def findings_in(files: ParsedFiles, offered: Mapping[str, bool]) -> list[Finding]:
    """Find what is wrong with the files themselves; `offered` are the server's tools, name → whether it only looks."""
    return [
        *files.findings,
        *tool_findings(tools(files), offered),
        *model_findings(models(files)),
        *rule_findings(rules(files), wake(files), timeframe(files)),
    ]


def check(draft: Draft, facts: Facts) -> Report:
    """Check the sound parts of a strategy against the facts around it."""
    strategy, config = draft.strategy, draft.strategy.config
    held, woken = None, None
    findings = [*twin_findings(strategy), *record_findings(strategy)]
    findings += confidence_findings(config.rules) if config.rules else []
    if facts.candles is not None and len(facts.candles):
        if config.rules is not None:
            held = held_lately(config.rules, strategy.timeframe, facts.candles)
            findings += held_findings(config.rules, held, strategy.timeframe)
        if config.wake is not None:
            wakes = wake_rules(config.rules, config.wake)
            woken = held_lately(wakes, strategy.timeframe, facts.candles)
            findings += held_findings(wakes, woken, strategy.timeframe, place="")
    costs = None
    if draft.priced:
        runs = _runs(pace(config, facts.now).per_day, woken)
        costs = estimate(strategy, runs, facts.costs)
        findings = [*schedule_findings(config, facts.now), *budget_findings(strategy, runs, facts.costs), *findings]
    ordered = sorted([*facts.market, *findings], key=lambda finding: finding.severity != "error")
    return Report(tuple(ordered), held, costs)


def _runs(slots_per_day: float, woken: HeldCounts | None) -> Runs:
    if woken is None or not woken.candles:
        return Runs(slots_per_day)
    return Runs(slots_per_day, woken.buy / woken.candles, woken.candles)
