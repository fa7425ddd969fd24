"""A finding: one thing that is wrong or odd about a strategy, its place, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

from mcp_server.errors import TraderError

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """With an error nothing is written; a warning is only shown.

    `place` is the file and the key in it, like `config.json rules.buy`; `problem` and `remedy` are whole sentences.
    """

    severity: Severity
    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem} {self.remedy}".rstrip()


def error(place: str, problem: str, remedy: str) -> Finding:
    """Make a finding that keeps the strategy from being written."""
    return Finding("error", place, problem, remedy)


def warning(place: str, problem: str, remedy: str) -> Finding:
    """Make a finding that is shown, and does not keep the strategy from being written."""
    return Finding("warning", place, problem, remedy)


def of_error(place: str, raised: TraderError) -> Finding:
    """Make a finding of what an error says; like `error`, it keeps a strategy from being written."""
    return Finding("error", place, raised.problem, raised.remedy)
