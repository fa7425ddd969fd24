"""The page of a report in Markdown: the signal, the reason, the evidence and the cost of a run."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from mcp_server.domain.news.in_trace import Links
from mcp_server.domain.outcome import Ended, Outcome
from mcp_server.domain.report.news import news_section
from mcp_server.domain.report.text import code, findings, inline, quoted
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.text import cost, minute, number, percent

MOST_CALLS = 20
MOST_RESULT = 240
NO_CHART = "it could not be drawn"


def markdown(
    strategy: Strategy,
    ended: Ended,
    chart: str | None,
    why_no_chart: str = NO_CHART,
    record: str = "",
    links: Links | None = None,
) -> str:
    """Write the report of a run.

    Args:
        strategy: what was run.
        ended: how it ended.
        chart: name of the picture beside the report; None where there is none.
        why_no_chart: the reason to give where there is none.
        record: the strategy's record so far in a few words, if it is known.
        links: addresses of the news that sub-agents saw.
    """
    picture = f"![{_about(strategy, ended)}]({chart})" if chart else f"*No chart: {inline(why_no_chart)}.*"
    parts = [
        _head(strategy, ended),
        _facts(strategy, ended, record),
        f"## Why\n\n{quoted(_why(ended))}",
        picture,
        *_conditions(ended),
        *news_section(ended.outcome.trace, links or {}),
        *_agents(strategy, ended),
        "---\n\n*Quotations are a model's or a tool's own words. Claude Trader gives signals; it places no orders.*",
    ]
    return "\n\n".join(parts) + "\n"


def _about(strategy: Strategy, ended: Ended) -> str:
    return f"{inline(strategy.config.trading_pair)} as of {minute(ended.as_of.astimezone(UTC))} UTC"


def _head(strategy: Strategy, ended: Ended) -> str:
    signal = ended.outcome.signal
    headline = signal.signal if signal else f"No signal ({str(ended.outcome.status).replace('_', ' ')})"
    description = inline(strategy.config.description) if strategy.config.description else ""
    return f"# {headline}: {_about(strategy, ended)}\n\n{f'**{strategy.name}**: {description}'.rstrip(': ')}"


def _why(ended: Ended) -> str:
    return (ended.outcome.signal.reasoning if ended.outcome.signal else ended.outcome.error) or ""


def _facts(strategy: Strategy, ended: Ended, record: str) -> str:
    outcome, signal = ended.outcome, ended.outcome.signal
    facts = {
        "signal": f"**{signal.signal}**" if signal else None,
        "confidence": f"{percent(signal.confidence)} of 100" if signal and signal.confidence is not None else None,
        "price": number(signal.price) if signal and signal.price is not None else None,
        "market": _market(strategy, ended),
        "decided by": _decider(ended),
        "its rules alone": _twin(ended),
        "cost": _cost(outcome),
        "record so far": inline(record) if record else None,
        "took": f"{ended.took_s:.1f} s",
        "execution": f"{ended.execution_id}, version {strategy.version}",
    }
    rows = [f"| {name} | {value} |" for name, value in facts.items() if value is not None]
    return "\n".join(["| | |", "| --- | --- |", *rows])


def _market(strategy: Strategy, ended: Ended) -> str:
    exchange = _evidence(ended).get("exchange") or strategy.config.exchange
    where = f" on {inline(exchange)}" if exchange else ""
    invented = ", an invented market" if exchange == "simulated" else ""
    return f"{inline(strategy.config.trading_pair)}{where}, {strategy.timeframe} candles{invented}"


def _decider(ended: Ended) -> str:
    if ended.engine == "rules":
        return "its rules"
    return f"{inline(ended.outcome.model)} and its sub-agents" if ended.outcome.model else "Claude"


def _twin(ended: Ended) -> str | None:
    """Return what the rules of a strategy that Claude decides said at the same moment; None where it has none."""
    twin = ended.outcome.signal.data.get("twin") if ended.outcome.signal else None
    if not isinstance(twin, Mapping):
        return None
    why = twin.get("reasoning") or twin.get("error") or "unknown why"
    return f"would say {inline(twin['signal'])}" if twin.get("signal") else f"no signal: {inline(why)}"


def _cost(outcome: Outcome) -> str:
    if outcome.cost_usd == 0:
        return "none: no model was asked"
    tokens = f", {outcome.tokens_used:,} tokens" if outcome.tokens_used else ""
    return f"{'unknown' if outcome.cost_usd is None else cost(outcome.cost_usd)}{tokens}"


def _evidence(ended: Ended) -> Mapping[str, Any]:
    trace = ended.outcome.trace
    return trace if isinstance(trace, Mapping) else {}


def _conditions(ended: Ended) -> list[str]:
    """Show each condition of the rules with the values that it saw."""
    conditions = _evidence(ended).get("conditions")
    if not isinstance(conditions, list) or not conditions:
        return []
    rows = ["| rule | condition | holds | saw |", "| --- | --- | --- | --- |"]
    for condition in conditions:
        holds = {True: "yes", False: "no"}.get(condition.get("value"), "unknown")
        seen = condition.get("values") or {}
        values = ", ".join(f"{code(str(name))} = {_value(value)}" for name, value in seen.items())
        rule, text = inline(condition.get("rule", "")), code(str(condition.get("text", "")))
        rows.append(f"| {rule} | {text} | {holds} | {values} |")
    evidence = _evidence(ended)
    last = f"The last closed candle opened at {inline(evidence['open_time'])}." if evidence.get("open_time") else ""
    return [f"## What decided\n\n{last}".rstrip(), "\n".join(rows)]


def _value(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, int | float) and not isinstance(value, bool) else inline(value)


def _agents(strategy: Strategy, ended: Ended) -> list[str]:
    """Show each sub-agent: its results, its tool calls and its report."""
    if ended.engine != "claude":
        return []
    started = [agent for agent in _evidence(ended).get("sub_agents", ()) if isinstance(agent, Mapping)]
    signal = ended.outcome.signal
    results = signal.data.get("sub_agent_results", {}) if signal else {}
    names = list(dict.fromkeys([*strategy.agents, *(str(agent.get("name")) for agent in started), *results]))
    parts = ["## Sub-agents"]
    for name in names:
        parts.append(f"### {inline(name, 80)}")
        if isinstance(result := results.get(name), Mapping) and result:
            parts.append("Found:\n\n" + "\n".join(findings(result)))
        parts += [part for agent in started if agent.get("name") == name for part in _agent(agent)]
    return parts if names else []


def _agent(agent: Mapping[str, Any]) -> list[str]:
    parts = []
    if not agent.get("reported"):
        parts.append(f"*It did not report: {inline(agent.get('missing') or 'it was not started')}.*")
    calls = [call for call in agent.get("calls", ()) if isinstance(call, Mapping)]
    if calls:
        lines = [_call(call) for call in calls[:MOST_CALLS]]
        more = [f"- … and {len(calls) - MOST_CALLS} more"] if len(calls) > MOST_CALLS else []
        parts.append("Asked:\n\n" + "\n".join([*lines, *more]))
    if agent.get("report"):
        parts.append(f"Said:\n\n{quoted(str(agent['report']), 4_000)}")
    return [*parts, *_spent(agent)]


def _call(call: Mapping[str, Any]) -> str:
    arguments = call.get("arguments")
    written = ", ".join(f"{key}={value}" for key, value in arguments.items()) if isinstance(arguments, Mapping) else ""
    called = f"{call.get('tool')}({written})"
    result = f": {code(str(call['result']), MOST_RESULT)}" if call.get("result") else ""
    failed = {True: " failed", None: " had no answer"}.get(call.get("is_error"), "")
    failed = failed or ("" if call.get("whole", True) else ", of which only a part was seen")
    return f"- {code(called)}{failed}{result}"


def _spent(agent: Mapping[str, Any]) -> list[str]:
    """Write the model of a sub-agent and the tokens that it used."""
    tokens = agent.get("tokens")
    counts = [count for count in tokens.values() if isinstance(count, int)] if isinstance(tokens, Mapping) else []
    facts = [inline(agent["model"])] if agent.get("model") else []
    facts += [f"{sum(counts):,} tokens"] if counts else []
    return [f"*{', '.join(facts)}*"] if facts else []
