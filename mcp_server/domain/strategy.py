"""A strategy: what its two files, `config.json` and `agents.json`, say, checked and in one shape."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mcp_server.domain.outcome import Engine
from mcp_server.domain.teaching import nearest, validation_lines
from mcp_server.errors import BadInput

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"
PROMPT_LIMIT = 20_000
MAX_TIMEOUT_S = 900
"""The longest a run may take: what exists only now is answered for an as-of up to this long ago."""

ModelT = TypeVar("ModelT", bound=BaseModel)

Interval = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d"]
Timeframe = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w"]


def _five_field_cron(text: str) -> str:
    from croniter import CroniterError, croniter

    if len(text.split()) != 5 or re.search(r"(^|[\s,])[hr]\b", text, re.IGNORECASE):
        raise ValueError("use exactly five cron fields (minute hour day month weekday), without R or H")
    try:
        croniter(text, datetime(2026, 1, 1, tzinfo=UTC)).get_next()
    except (CroniterError, ValueError, KeyError):
        raise ValueError("this cron expression is not valid, or never comes due") from None
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (OSError, ValueError, KeyError):
        raise ValueError("use a name of the IANA time zone database, like 'America/New_York'") from None
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_strip_whitespace=True)


class Rules(_Strict):
    """Deterministic conditions: SQL expressions over candle and indicator columns of one timeframe."""

    timeframe: Timeframe | None = None
    indicators: tuple[str, ...] = Field(default=(), max_length=50)
    buy: str | None = Field(default=None, min_length=1, max_length=2000)
    sell: str | None = Field(default=None, min_length=1, max_length=2000)
    confidence: Decimal | None = Field(default=None, ge=0, le=100)

    @model_validator(mode="after")
    def _decides_something(self) -> "Rules":
        if self.buy is None and self.sell is None:
            raise ValueError("give at least one of 'buy' and 'sell'")
        return self


class Budget(_Strict):
    """The most a strategy may spend, in US dollars."""

    usd_per_run: Decimal | None = Field(default=None, gt=0)
    usd_per_day: Decimal | None = Field(default=None, gt=0)


class Misfire(_Strict):
    """What happens to slots that came due while nothing ran."""

    grace_s: int | None = Field(default=None, ge=0)
    policy: Literal["run_latest", "skip"] = "run_latest"


class Config(_Strict):
    """The content of `config.json`."""

    name: str | None = Field(default=None, pattern=NAME_PATTERN)
    description: str = Field(default="", max_length=PROMPT_LIMIT)
    trading_pair: str = Field(min_length=1, max_length=60)
    exchange: str | None = Field(default=None, pattern=r"^[a-z0-9_]{1,40}$")
    interval: Interval | None = None
    cron: Annotated[str, AfterValidator(_five_field_cron)] | None = None
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    status: Literal["active", "paused", "stopped"] = "active"
    engine: Engine | None = None
    model: str | None = Field(default=None, min_length=1, max_length=100)
    max_turns: int = Field(default=20, ge=2, le=200)
    timeout_s: int = Field(default=300, ge=1, le=MAX_TIMEOUT_S)
    synthesis_logic: str | None = Field(default=None, max_length=PROMPT_LIMIT)
    rules: Rules | None = None
    budget: Budget = Budget()
    misfire: Misfire = Misfire()
    offset_s: int = Field(default=5, ge=0, le=3600)
    max_failures: int = Field(default=5, ge=1, le=1000)
    wake: str | None = Field(default=None, min_length=1, max_length=2000)
    horizon: str | None = Field(default=None, pattern=r"^[1-9][0-9]{0,4}[mhdw]$")

    @model_validator(mode="after")
    def _one_schedule(self) -> "Config":
        if (self.interval is None) == (self.cron is None):
            raise ValueError("give exactly one of 'interval' and 'cron'")
        if self.rules is not None and self.rules.timeframe is None and self.interval is None:
            raise ValueError("'rules' needs a 'timeframe' when the schedule is a 'cron'")
        return self


class Agent(_Strict):
    """One sub-agent of `agents.json`. `tools` are plain tool names, whatever form the file used."""

    description: str = Field(min_length=1, max_length=1000)
    prompt: str = Field(min_length=1, max_length=PROMPT_LIMIT)
    tools: tuple[str, ...] = Field(default=(), max_length=50)
    model: str | None = Field(default=None, min_length=1, max_length=100)


class Strategy(_Strict):
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
        configured = self.config.rules.timeframe if self.config.rules else None
        return configured or self.config.interval or "1h"

    @property
    def schedule(self) -> str:
        """Its interval or cron expression, for people."""
        return self.config.interval or f"{self.config.cron} {self.config.timezone}"

    @property
    def version(self) -> str:
        """Twelve hex digits of what it says: two strategies of one version decide alike."""
        said = {"config": self.config_json(), "agents": self.agents_json()}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]

    def config_json(self) -> dict[str, Any]:
        """Give `config.json` as it is written: what was said, without the defaults."""
        return self.config.model_dump(mode="json", exclude_unset=True)

    def agents_json(self) -> dict[str, Any]:
        """Give `agents.json` as it is written: a mapping with plain tool names."""
        return {name: agent.model_dump(mode="json", exclude_unset=True) for name, agent in self.agents.items()}


def tool_findings(strategy: Strategy, tools: Mapping[str, bool]) -> list[str]:
    """List what is wrong with the tools of its sub-agents; nothing when all is well.

    Args:
        strategy: whose sub-agents are checked.
        tools: every tool that the server offers, name → whether it only reads.
    """
    reading = [name for name, only_reads in tools.items() if only_reads]
    findings = []
    for name, agent in strategy.agents.items():
        place = f"agents.json {name}.tools"
        if not agent.tools:
            findings.append(f"{place}: none, so it could only invent. Known: {', '.join(sorted(reading))}.")
        for tool in agent.tools:
            if tool not in tools:
                findings.append(f"{place}: the server offers no tool {tool!r}.{nearest(tool, reading)}")
            elif not tools[tool]:
                findings.append(f"{place}: {tool!r} changes things, and a run may only look. Remove it.")
    return findings


class InvalidStrategy(BadInput):
    """A strategy's files are not valid; `findings` has one line for each problem, with its place and remedy."""

    def __init__(self, name: str, findings: list[str]) -> None:
        self.findings = findings
        super().__init__(f"Strategy {name!r} is not valid:\n" + "\n".join(f"- {finding}" for finding in findings))


def parse_strategy(name: str, config: Any, agents: Any) -> Strategy:
    """Check the content of both files and bring it into one shape.

    Args:
        name: the folder's name.
        config: the content of `config.json`.
        agents: the content of `agents.json`: a mapping of names, an array, or None for no sub-agents.

    Raises:
        InvalidStrategy: with every problem found, each with its place and what to do.
    """
    findings: list[str] = []
    if not re.match(NAME_PATTERN, name):
        findings.append(
            f"name: {name!r} is not a name. Use 1 to 64 of a-z, 0-9 and '-', beginning with a letter or digit."
        )
    checked_config = _checked(Config, config, "config.json", findings)
    named = _named_agents(agents, findings)
    checked_agents = {key: _checked(Agent, value, f"agents.json {key}", findings) for key, value in named.items()}
    if isinstance(checked_config, Config):
        _check_together(name, checked_config, checked_agents, findings)
    if findings or not isinstance(checked_config, Config):
        raise InvalidStrategy(name, findings)
    whole = {key: agent for key, agent in checked_agents.items() if agent is not None}
    return Strategy(name=name, config=checked_config.model_copy(update={"name": name}), agents=whole)


def plain_tool_name(name: str) -> str:
    """Give a tool's plain name, whatever host's prefix it carries: `mcp__market__get_price` → `get_price`."""
    return name.rsplit("__", 1)[-1] if name.startswith("mcp__") else name


def _check_together(name: str, config: Config, agents: Mapping[str, Any], findings: list[str]) -> None:
    if config.name is not None and config.name != name:
        findings.append(f"config.json name: {config.name!r} differs from the folder {name!r}. Make them the same.")
    engine = config.engine or ("claude" if agents else "rules")
    if engine == "rules" and config.rules is None:
        findings.append(
            "config.json rules: missing. The rules engine needs them; or set 'engine' to 'claude' and add agents.json."
        )
    if engine == "claude" and not agents:
        findings.append("agents.json: no sub-agents. The claude engine needs at least one; or set 'engine' to 'rules'.")


def _named_agents(agents: Any, findings: list[str]) -> dict[str, Any]:
    if agents is None:
        return {}
    if isinstance(agents, list):
        return _names_for_list(agents, findings)
    if not isinstance(agents, dict):
        findings.append("agents.json: expected an object of name → sub-agent, or an array of sub-agents.")
        return {}
    for key in agents:
        if not re.match(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", key):
            findings.append(f"agents.json {key!r}: use letters, digits, '_' and '-' for a sub-agent's name.")
    return {key: _with_plain_tools(value) for key, value in agents.items()}


def _names_for_list(agents: list[Any], findings: list[str]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for position, agent in enumerate(agents):
        if not isinstance(agent, dict):
            findings.append(f"agents.json [{position}]: expected an object.")
            continue
        rest = {key: value for key, value in agent.items() if key != "name"}
        base = _slug(str(agent.get("name") or agent.get("description") or "")) or "agent"
        if "name" in agent and base in named:
            findings.append(
                f"agents.json [{position}] name: {base!r} is there twice. Give each sub-agent its own name."
            )
        named[_unused(base, named)] = _with_plain_tools(rest)
    return named


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")[:60]


def _unused(base: str, taken: Mapping[str, Any]) -> str:
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def _with_plain_tools(agent: Any) -> Any:
    if not isinstance(agent, dict) or not isinstance(agent.get("tools"), list):
        return agent
    plain = [plain_tool_name(tool) if isinstance(tool, str) else tool for tool in agent["tools"]]
    return {**agent, "tools": plain}


def _checked(model: type[ModelT], value: Any, place: str, findings: list[str]) -> ModelT | None:
    if not isinstance(value, dict):
        findings.append(f"{place}: expected a JSON object.")
        return None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        findings.extend(f"{place} {line}" for line in validation_lines(error, model))
        return None
