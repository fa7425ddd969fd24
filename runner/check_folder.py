"""The check of a strategy folder, by the tool server that will run it; nothing is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.domain.strategy.finding import Finding, Severity
from mcp_server.domain.strategy.parse import InvalidStrategy
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.tool_server.client import Tools


@dataclass(frozen=True, slots=True)
class CheckedFolder:
    """What was found in one folder; `said` is the tool's whole answer, where its files could be read."""

    name: str
    findings: Sequence[Finding]
    said: Mapping[str, Any]

    @property
    def valid(self) -> bool:
        """True when there is no error."""
        return all(finding.severity != "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        rest = {key: self.said.get(key) for key in ("version", "held", "usd_per_day", "usd_per_month", "basis")}
        listed = [
            {"severity": each.severity, "place": each.place, "problem": each.problem, "remedy": each.remedy}
            for each in self.findings
        ]
        return {"name": self.name, "valid": self.valid, "findings": listed, **rest}


async def check_folder(folders: StrategyFolders, name: str, tools: Tools) -> CheckedFolder:
    """Check a strategy as it lies on disk.

    Raises:
        NotFound: there is no strategy of that name.
        UpstreamRejected: the tool server could not check it.
    """
    try:
        config, agents = folders.content(name)
    except InvalidStrategy as error:
        return CheckedFolder(name, error.findings, {})
    if wrong := _not_to_send(config, agents):
        return CheckedFolder(name, wrong, {})
    asked = {"strategy_name": name, "config": config, "agents": agents, "dry_run": True}
    said = await tools.call("write_strategy", asked)
    return CheckedFolder(name, findings_of(said), said)


def findings_of(said: Mapping[str, Any]) -> list[Finding]:
    """Read the findings of an answer of write_strategy."""
    severities: dict[str, Severity] = {"error": "error", "warning": "warning"}
    return [Finding(severities[row[0]], *row[1:]) for row in said.get("findings", [])]


def _not_to_send(config: Any, agents: Any) -> list[Finding]:
    """Find what no tool takes as an argument: a file that holds neither an object nor an array."""
    wrong = []
    if not isinstance(config, dict):
        wrong.append(Finding("error", "config.json", "expected a JSON object.", "Write { … } with the format's keys."))
    if not isinstance(agents, dict | list | None):
        remedy = "Write an object of name → sub-agent, or an array of sub-agents."
        wrong.append(Finding("error", "agents.json", "It is neither an object nor an array.", remedy))
    return wrong
