"""The state of a design: what was checked, found and written, and why it stopped."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mcp_server.domain.text import cleaned
from mcp_server.storage.strategies.folders import NOTHING

WRITE_TOOL, BACKTEST_TOOL = "write_strategy", "backtest_strategy"
MAX_TURNS = 60
_SHORT = 80


@dataclass(slots=True)
class Building:
    """Up to date at any moment, also when the design is stopped.

    `written` is the last answer of write_strategy that wrote, and `written_with` what it found; `findings` are those of
    its last answer, each as severity, place, problem and remedy in one line; `cost_usd` is None while it is unknown.
    """

    written: Mapping[str, Any] | None = None
    written_with: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    why: str | None = None
    cost_usd: Decimal | None = None
    server_status: str | None = None
    checks: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Calls of write_strategy that were not answered yet, each with its arguments."""
    admitted: dict[str, str] = field(default_factory=dict)
    """Writes that were admitted and not answered yet, each with its strategy's name."""

    def admit(self, call_id: str, arguments: Mapping[str, Any]) -> dict[str, Any] | str:
        """Return the arguments with which a call of write_strategy may go on, or the reason why it may not.

        A design replaces only what it has written itself, and writes one strategy; the server refuses the rest.
        """
        name = str(arguments.get("strategy_name"))
        own = str(self.written["name"]) if self.written else next(iter(self.admitted.values()), name)
        if arguments.get("dry_run") is not True:
            if name != own:
                return f"This design writes {own!r}, and a design writes one strategy. Write {own!r} again, or end."
            self.admitted[call_id] = name
        version = self.written["version"] if self.written and name == own else NOTHING
        return {**arguments, "replaces": version}

    def called(self, call_id: str, tool: str, arguments: Mapping[str, Any]) -> str:
        """Note a tool call; return it as one line for a person."""
        if tool == BACKTEST_TOOL:
            return f"backtest {arguments.get('strategy_name') or 'before writing'}"
        if tool != WRITE_TOOL:
            return f"{tool}({cleaned(', '.join(str(value) for value in arguments.values()), _SHORT)})"
        self.checks[call_id] = arguments
        return f"{'check' if arguments.get('dry_run') is True else 'write'} {arguments.get('strategy_name', '')}"

    def checked(self, call_id: str, text: str) -> list[str]:
        """Take in an answer of write_strategy; return its findings."""
        del self.checks[call_id]
        self.admitted.pop(call_id, None)
        try:
            answer: Any = json.loads(text)
            rows = [(severity, place, " ".join(rest)) for severity, place, *rest in answer["findings"]]
            self.findings = [f"{severity} {place}: {rest}" for severity, place, rest in rows]
        except (ValueError, TypeError, KeyError):  # an error is text, with one line for each finding
            answer = {}
            lines = [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]
            reason = text.partition(" hook error: ")[2] or text
            self.findings = [f"error {line}" for line in lines] or [f"error {reason[:500]}"]
        if answer.get("written"):
            self.written, self.written_with = answer, self.findings
        return self.findings

    def ended(self, subtype: str, reason: str, cost_usd: float | None, budget_usd: Decimal) -> None:
        """Note how the agent ended; a cost that was not reported is unknown."""
        self.cost_usd = None if cost_usd is None else Decimal(str(round(cost_usd, 8)))
        if subtype == "error_max_budget_usd":
            self.why = f"The budget of {budget_usd:f} USD was spent. Give more with --budget."
        elif subtype == "error_max_turns":
            self.why = f"It took more than {MAX_TURNS} turns."
        elif subtype != "success":
            self.why = f"Claude's API could not be used: {reason[:400]}"
