from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
from pydantic import Field

from mcp_server.answers import ROWS, Answer
from mcp_server.check_facts import gather
from mcp_server.domain.strategy.checks.check import Report, check, findings_in
from mcp_server.domain.strategy.checks.draft import draft
from mcp_server.domain.strategy.finding import Finding, warning
from mcp_server.domain.strategy.parse import MOST_FINDINGS, InvalidStrategy, ParsedFiles, parse_files
from mcp_server.errors import BadInput
from mcp_server.json_argument import READ_JSON, TEXT
from mcp_server.toolkit import Call, NewStrategyName, tool

if TYPE_CHECKING:
    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.storage.strategies.folders import StrategyFolders


class StrategyCheck(Answer):
    """`replaced` is the version before. Unknown costs are null, never 0."""

    name: str
    valid: bool
    written: bool
    findings: Annotated[list[list[str]], ROWS] = Field(description="severity, place, problem, remedy")
    version: str | None = None
    replaced: str | None
    engine: str | None = None
    schedule: str | None = None
    held: str | None = Field(default=None, description="How often its rules held lately")
    usd_per_day: float | None
    usd_per_month: float | None
    basis: str | None = None
    """Of the costs."""
    note: str | None = None


@tool(
    title="Write a strategy",
    read_only=False,
    destructive=True,
    example={
        "strategy_name": "mine",
        "config": {"trading_pair": "BTC/USDT", "interval": "1h", "rules": {"buy": "close > 1"}},
    },
)
async def write_strategy(
    call: Call,
    strategy_name: NewStrategyName,
    config: Annotated[dict[str, Any], READ_JSON, TEXT, Field(description="JSON")],
    agents: Annotated[
        dict[str, Any] | list[Any] | None, READ_JSON, TEXT, Field(description="JSON; leave out for engine 'rules'")
    ] = None,
    dry_run: Annotated[bool, Field(description="Only check")] = False,
    replaces: Annotated[
        str | None, Field(max_length=30, description="Only over this version; 'none': only a new one")
    ] = None,
) -> StrategyCheck:
    """Check a strategy and write it into the home, replacing both files; the version before is kept.

    With errors nothing is written, and all are listed. Check with dry_run first.
    config: trading_pair, interval (1m 5m 15m 30m 1h 4h 1d) or cron, engine (claude|rules), exchange, description,
    synthesis_logic, rules {timeframe, indicators ["rsi(14)"], buy, sell}. agents: name -> {description, prompt, tools}.
    """
    parts, report = await _check(call, strategy_name, config, agents)
    around = await anyio.to_thread.run_sync(_around, call.kit.strategies, parts, replaces)
    report = replace(report, findings=(*around, *report.findings))
    strategy = parts.strategy
    if strategy is None or not report.valid:
        if not dry_run:
            raise InvalidStrategy(strategy_name, report.findings)
        return _answer(strategy_name, strategy, report, "Mend the errors and check again.")
    if dry_run:
        first = " First backtest_strategy with this config." if strategy.config.rules else ""
        return _answer(strategy_name, strategy, report, f"Only checked. Without dry_run it is written.{first}")
    replaced = await anyio.to_thread.run_sync(call.kit.strategies.write, strategy, replaces)
    proof = f" Is it any good? `claude-trader backtest {strategy.name}`." if strategy.config.rules else ""
    answer = _answer(
        strategy_name, strategy, report, f"Try it: run_strategy, or `claude-trader run {strategy.name}`.{proof}"
    )
    return answer.model_copy(update={"written": True, "replaced": replaced})


async def _check(call: Call, name: str, config: Any, agents: Any) -> tuple[ParsedFiles, Report]:
    """Find what is wrong with the files, and what the facts around what is sound of them show."""
    parts = await anyio.to_thread.run_sync(parse_files, name, config, agents)
    findings = await anyio.to_thread.run_sync(findings_in, parts, call.kit.tool_names)
    sound = draft(parts, findings)
    if sound is None:
        return parts, Report(tuple(findings))
    exchange = call.exchange(sound.strategy.config.exchange)
    facts = await gather(sound.strategy, call.kit.market, call.kit.news, call.kit.journal, exchange, call.moment(None))
    report = await anyio.to_thread.run_sync(check, sound, facts)
    return parts, replace(report, findings=(*findings, *report.findings))


def _around(folders: StrategyFolders, parts: ParsedFiles, replaces: str | None) -> list[Finding]:
    """Find what is wrong with writing it in the place of what there is."""
    findings = [other] if (other := folders.other_than(parts.name, replaces)) else []
    try:
        status = folders.read(parts.name).config.status
    except BadInput:
        return findings  # there is none, or none that could run
    if status != "active" and "status" not in parts.raw:
        problem = f"It is {status} now, and active again once this is written."
        findings.append(warning("config.json status", problem, f"Say 'status': {status!r} to leave it so."))
    return findings


def _answer(name: str, strategy: Strategy | None, report: Report, note: str) -> StrategyCheck:
    cost, held = report.estimate, report.held
    ordered = sorted(report.findings, key=lambda finding: finding.severity != "error")
    rows = [[finding.severity, finding.place, finding.problem, finding.remedy] for finding in ordered]
    if left := rows[MOST_FINDINGS:]:
        more = [left[0][0], "", f"And {len(left)} more like these.", "Mend these first."]
        rows = [*rows[:MOST_FINDINGS], more]
    return StrategyCheck(
        name=name,
        valid=report.valid,
        written=False,
        findings=rows,
        replaced=None,
        version=strategy.version if strategy else None,
        engine=strategy.engine if strategy else None,
        schedule=strategy.schedule if strategy else None,
        held=f"{held} {strategy.timeframe} candles" if held and strategy else None,
        usd_per_day=_float(cost.usd_per_day if cost else None),
        usd_per_month=_float(cost.usd_per_month if cost else None),
        basis=cost.basis if cost else None,
        note=note,
    )


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
