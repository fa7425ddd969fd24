"""A strategy: the checked content of its two files, `config.json` and `agents.json`."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from mcp_server.domain.run_status import Engine, RunEngine
from mcp_server.domain.strategy.format import Agent, Config, Strict
from mcp_server.domain.strategy.limits import NAME_PATTERN

_DECIDES_NOTHING = {
    "name", "description", "status", "budget", "misfire", "offset_s", "max_failures", "horizon", "costs",
    "stop", "timezone", "record",
}  # fmt: skip
"""Keys of `config.json` on which no signal depends; `timezone` counts as a part of `cron`."""


class Strategy(Strict):
    """A whole strategy, as the engines use it."""

    name: str = Field(pattern=NAME_PATTERN)
    config: Config
    agents: Mapping[str, Agent]

    @property
    def engine(self) -> Engine:
        """The engine: as configured, else `claude` where there are sub-agents and `rules` where there are none."""
        return self.config.engine or ("claude" if self.agents else "rules")

    @property
    def timeframe(self) -> str:
        """The timeframe of its rules: as configured, else its interval."""
        return self.config.timeframe

    @property
    def schedule(self) -> str:
        """Its interval or cron expression, to be read by people."""
        return self.config.interval or f"{self.config.cron} {self.config.timezone}"

    @property
    def version(self) -> str:
        """Twelve hex digits of its content: two strategies of one version decide alike."""
        return _digest({"config": self.config_json(), "agents": self.agents_json()})

    def decision_version(self, default_exchange: str, engine: RunEngine | None = None) -> str:
        """Return twelve hex digits of what decides: two strategies that differ only in other keys have the same.

        Defaults are filled in, so that spelling one out changes nothing.

        Args:
            default_exchange: the one that a strategy without `exchange` asks, as in the settings.
            engine: the engine that runs it, where that is not its own.
        """
        config = self.config.model_dump(exclude=_DECIDES_NOTHING)
        agents = {name: agent.model_dump() for name, agent in self.agents.items()}
        config["exchange"] = self.config.exchange or default_exchange
        config["engine"], config["schedule"] = engine or self.engine, self.schedule
        config["model"] = None if self.config.model == "default" else self.config.model
        if config["rules"]:
            config["rules"]["timeframe"] = self.timeframe
        for agent in agents.values():
            agent["model"] = None if agent["model"] == "inherit" else agent["model"]
        return _digest({"config": config, "agents": agents})

    def config_json(self) -> dict[str, Any]:
        """Return `config.json` as it is written: the keys that were given, without the defaults."""
        return self.config.model_dump(mode="json", exclude_unset=True)

    def agents_json(self) -> dict[str, Any]:
        """Return `agents.json` as it is written: a mapping with plain tool names."""
        return {name: agent.model_dump(mode="json", exclude_unset=True) for name, agent in self.agents.items()}


def _digest(content: Mapping[str, Any]) -> str:
    """Return twelve hex digits of what JSON can hold; decimals count by their value, so that 60 and 60.0 are one."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=float).encode()).hexdigest()[:12]
