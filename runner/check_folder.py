"""Checks a strategy folder by the tool server that will run it; nothing is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.domain.strategy.finding import Finding, Severity
from mcp_server.domain.strategy.parse import InvalidStrategy
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.tool_server.client import Tools


@dataclass(frozen=True, slots=True)
class CheckedFolder:
    """The findings of one folder, and the tool's whole answer if its files could be read."""

    name: str
    findings: Sequence[Finding]
    answer: Mapping[str, Any]

    @property
    def valid(self) -> bool:
        """Whether there is no error."""
        return all(finding.severity != "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        rest = {key: self.answer.get(key) for key in ("version", "held", "usd_per_day", "usd_per_month", "basis")}
        listed = [
            {
                "severity": finding.severity,
                "place": finding.place,
                "problem": finding.problem,
                "remedy": finding.remedy,
            }
            for finding in self.findings
        ]
        return {"name": self.name, "valid": self.valid, "findings": listed, **rest}


async def check_folder(folders: StrategyFolders, name: str, tools: Tools) -> CheckedFolder:
    """Check a strategy as it is on disk.

    Raises:
        NotFound: there is no strategy of that name.
        UpstreamRejected: the tool server could not check it.
    """
    try:
        config, agents = folders.content(name)
    except InvalidStrategy as error:
        return CheckedFolder(name, error.findings, {})
    if findings := _not_to_send(config, agents):
        return CheckedFolder(name, findings, {})
    arguments = {"strategy_name": name, "config": config, "agents": agents, "dry_run": True}
    answer = await tools.call("write_strategy", arguments)
    return CheckedFolder(name, findings_of(answer), answer)


def findings_of(answer: Mapping[str, Any]) -> list[Finding]:
    """Read the findings of an answer of write_strategy."""
    severities: dict[str, Severity] = {"error": "error", "warning": "warning"}
    return [Finding(severities[row[0]], *row[1:]) for row in answer.get("findings", [])]


def _not_to_send(config: Any, agents: Any) -> list[Finding]:
    """Return a finding for each file whose content no tool accepts: it is neither an object nor an array."""
    findings = []
    if not isinstance(config, dict):
        findings.append(
            Finding("error", "config.json", "expected a JSON object.", "Write { … } with the format's keys.")
        )
    if not isinstance(agents, dict | list | None):
        remedy = "Write an object of name → sub-agent, or an array of sub-agents."
        findings.append(Finding("error", "agents.json", "It is neither an object nor an array.", remedy))
    return findings
