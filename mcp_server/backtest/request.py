"""What a backtest is asked for: which strategy, on which exchange, under which assumptions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_server.domain.backtest.assumptions import Assumptions, Side
from mcp_server.domain.strategy.checks.check import findings_in
from mcp_server.domain.strategy.limits import NAME_PATTERN
from mcp_server.domain.strategy.parse import InvalidStrategy, parse_files
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import iso
from mcp_server.errors import BadInput
from mcp_server.storage.journal.backtests import DRAFT

if TYPE_CHECKING:
    from mcp_server.storage.strategies.folders import StrategyFolders


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The arguments of a call that say what is to be backtested. Times are Unix ms; None is not given."""

    strategy_name: str | None
    config: Mapping[str, Any] | None
    exchange: str | None
    side: Side
    fee_bps: float | None
    slippage_bps: float | None
    stake_pct: float | None
    start_ms: int | None
    end_ms: int | None

    def strategy(self, folders: StrategyFolders, offered: Mapping[str, bool]) -> Strategy:
        """Return the strategy, on the exchange that is asked for.

        Args:
            folders: where strategies are.
            offered: the server's tools, as `findings_in` takes them.

        Raises:
            BadInput: both or neither of a name and a config is given, there is no such strategy, or it has no rules.
            InvalidStrategy: the config is wrong, with every finding that `write_strategy` has.
        """
        if (self.strategy_name is None) == (self.config is None):
            which = "neither strategy_name nor config" if self.config is None else "both strategy_name and config"
            raise BadInput(f"You gave {which}.", "Give one: the name of a strategy, or a config that is not written.")
        name = self.strategy_name
        strategy = _draft(self.config, offered) if name is None else folders.read(name)
        if strategy.config.rules is None:
            raise BadInput(
                f"Strategy {strategy.name!r} has no rules, and only rules can be backtested.",
                "Add 'rules' to its config, for a claude strategy as its deterministic twin.",
            )
        if self.exchange is None:
            return strategy
        return strategy.model_copy(update={"config": strategy.config.model_copy(update={"exchange": self.exchange})})

    def assumptions(self, strategy: Strategy) -> Assumptions:
        """Return what is assumed of trading; costs that are not given are the strategy's."""
        costs = strategy.config.costs
        fee = costs.fee_bps if self.fee_bps is None else self.fee_bps
        slippage = costs.slippage_bps if self.slippage_bps is None else self.slippage_bps
        return Assumptions(self.side, fee, slippage, self.stake_pct)

    def command(self) -> str:
        """Return the command that computes the same without a time limit."""
        options = {
            "--from": None if self.start_ms is None else iso(self.start_ms),
            "--to": None if self.end_ms is None else iso(self.end_ms),
            "--side": None if self.side == "long" else self.side,
            "--fee-bps": self.fee_bps,
            "--slippage-bps": self.slippage_bps,
            "--stake-pct": self.stake_pct,
        }
        texts = {name: f"{value:.15g}" if isinstance(value, float) else value for name, value in options.items()}
        given = [f"{name} {value}" for name, value in texts.items() if value is not None]
        name = self.strategy_name or named_in(self.config) or "NAME"
        command = f"`{' '.join(['claude-trader backtest', name, *given])}`"
        first = [] if self.strategy_name else ["after write_strategy"]
        first += [f"with 'exchange': {self.exchange!r} in its config"] if self.exchange else []
        return f"{command} ({', '.join(first)})" if first else command


def named_in(config: Any) -> str | None:
    """Return the name that a config gives itself, if it is one; what is wrong with another is told as of any key."""
    named = config.get("name") if isinstance(config, Mapping) else None
    return named if isinstance(named, str) and re.fullmatch(NAME_PATTERN, named) else None


def _draft(config: Any, offered: Mapping[str, bool]) -> Strategy:
    """Check a config as `write_strategy` does, but for its sub-agents, which decide nothing here."""
    files = parse_files(named_in(config) or DRAFT, config, None)
    findings = [finding for finding in findings_in(files, offered) if finding.place != "agents.json"]
    if files.config is None or any(finding.severity == "error" for finding in findings):
        raise InvalidStrategy(files.name, findings)
    return Strategy(name=files.name, config=files.config.model_copy(update={"name": files.name}), agents={})
