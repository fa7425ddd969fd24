"""Reads the content of a strategy's two files: a whole strategy comes out, or everything that is wrong with them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mcp_server.domain.error_hints import invalid_keys
from mcp_server.domain.scoring.terms import too_short
from mcp_server.domain.strategy.agents import named_agents
from mcp_server.domain.strategy.finding import Finding, error
from mcp_server.domain.strategy.format import Agent, Config
from mcp_server.domain.strategy.limits import FILE_LIMIT_BYTES, NAME_PATTERN
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput

DEEPEST = 20
"""The most objects and arrays inside of one another; a strategy needs four."""

MOST_FINDINGS = 40
"""The most findings that one error lists; correcting these is enough for one try."""

ModelT = TypeVar("ModelT", bound=BaseModel)


class InvalidStrategy(BadInput):
    """A strategy's files are not valid; `findings` lists everything that is wrong, each with its place and remedy."""

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=lambda finding: finding.severity != "error"))
        marks = {"error": "", "warning": "(warning) "}
        lines = [f"- {marks[finding.severity]}{finding}" for finding in self.findings[:MOST_FINDINGS]]
        if len(self.findings) > MOST_FINDINGS:
            lines.append(f"- And {len(self.findings) - MOST_FINDINGS} more like these.")
        super().__init__(f"Strategy {name!r} is not valid:\n" + "\n".join(lines))


@dataclass(frozen=True, slots=True)
class ParsedFiles:
    """What could be read of a strategy's files: a part that is wrong does not hide what is wrong with another.

    `config` is None where it is not valid. `raw` is config.json as it came, and `subagents` each sub-agent so, by name
    and with plain names of tools: an object, or not even that.
    """

    name: str
    config: Config | None
    agents: Mapping[str, Agent]
    raw: Mapping[str, Any]
    subagents: Mapping[str, Any]
    findings: Sequence[Finding]

    @property
    def strategy(self) -> Strategy | None:
        """The whole strategy, or None where something is wrong."""
        if self.findings or self.config is None:
            return None
        return Strategy(name=self.name, config=self.config.model_copy(update={"name": self.name}), agents=self.agents)


def parse_strategy(name: str, config: Any, agents: Any) -> Strategy:
    """Check the content of both files and bring it into one shape.

    Args:
        name: the folder's name.
        config: the content of `config.json`.
        agents: the content of `agents.json`: a mapping of names, an array, or None for no sub-agents.

    Raises:
        InvalidStrategy: with every problem, each with its place and what to do.
    """
    files = parse_files(name, config, agents)
    if (strategy := files.strategy) is None:
        raise InvalidStrategy(name, files.findings)
    return strategy


def parse_files(name: str, config: Any, agents: Any) -> ParsedFiles:
    """Read the content of both files as far as it can be read; the arguments are those of `parse_strategy`."""
    findings: list[Finding] = []
    if not re.fullmatch(NAME_PATTERN, name) or name.endswith("\n"):
        remedy = "Use 1 to 64 of a-z, 0-9 and '-', beginning with a letter or digit."
        findings.append(error("name", f"{name!r} is not a valid name.", remedy))
    config, agents = _without_schema(config), _without_schema(agents)
    if not _check_sizes({"config.json": config, "agents.json": agents}, findings):
        return ParsedFiles(name, None, {}, {}, {}, findings)
    valid_config = _validated(Config, config, "config.json", findings)
    subagents = named_agents(agents, findings)
    validated = {name: _validated(Agent, agent, f"agents.json {name}", findings) for name, agent in subagents.items()}
    _check_together(name, valid_config, config, subagents, findings)
    valid_agents = {name: agent for name, agent in validated.items() if agent is not None}
    raw = config if isinstance(config, dict) else {}
    return ParsedFiles(name, valid_config, valid_agents, raw, subagents, findings)


def _without_schema(content: Any) -> Any:
    """Leave out the `$schema` by which an editor finds the keys: it is none of the strategy."""
    if isinstance(content, dict) and isinstance(content.get("$schema"), str):
        return {key: value for key, value in content.items() if key != "$schema"}
    return content


def _check_sizes(files: Mapping[str, Any], findings: list[Finding]) -> bool:
    """Check that both can be written; return False where one cannot be read any further."""
    for file, content in files.items():
        if nests_too_deeply(content):
            findings.append(error(file, "It nests too deeply.", "Write it as the strategy format describes."))
            return False
        try:
            size = len(json.dumps(content, indent=2, ensure_ascii=False).encode())
        except UnicodeEncodeError:
            findings.append(
                error(file, "It holds half of a character (a lone surrogate).", "Write the whole character.")
            )
        except ValueError:
            findings.append(error(file, "It holds a number with thousands of digits.", "Write a smaller one."))
            return False
        else:
            if size > FILE_LIMIT_BYTES:
                problem = f"It has {size} bytes; at most {FILE_LIMIT_BYTES} are allowed."
                findings.append(error(file, problem, "Shorten the prompts."))
    return True


def nests_too_deeply(content: Any) -> bool:
    """Return whether content nests deeper than any strategy, and than JSON can be passed on. Nothing here recurses."""
    level = [content]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def _check_together(
    name: str, valid: Config | None, config: Any, agents: Mapping[str, Any], findings: list[Finding]
) -> None:
    values = config if isinstance(config, dict) else {}
    if valid is not None and valid.name not in (None, name):
        problem = f"{valid.name!r} differs from the folder {name!r}."
        findings.append(error("config.json name", problem, "Make them the same, or leave it out."))
    horizon, timeframe = values.get("horizon"), _timeframe(values)
    if too_short(horizon, timeframe):
        problem = f"{horizon!r} is shorter than one candle of {timeframe}, so no signal could be judged."
        findings.append(error("config.json horizon", problem, f"Use {timeframe} or more, or leave it out."))
    engine = values.get("engine") or ("claude" if agents else "rules")
    if engine == "rules" and values.get("rules") is None:
        remedy = "The rules engine needs them; or set 'engine' to 'claude' and add agents.json."
        findings.append(error("config.json rules", "missing.", remedy))
    if engine == "claude" and not agents:
        remedy = "The claude engine needs at least one; or set 'engine' to 'rules'."
        findings.append(error("agents.json", "no sub-agents.", remedy))


def _timeframe(config: Mapping[str, Any]) -> Any:
    """Return what a file says of its timeframe, as `Config.timeframe` does, even if it is not valid."""
    rules = config.get("rules")
    return (rules.get("timeframe") if isinstance(rules, dict) else None) or config.get("interval") or "1h"


def _validated(model: type[ModelT], value: Any, place: str, findings: list[Finding]) -> ModelT | None:
    if not isinstance(value, dict):
        findings.append(error(place, "expected a JSON object.", "Write { … } with the keys of the strategy format."))
        return None
    try:
        return model.model_validate(value)
    except ValidationError as invalid:
        for key in invalid_keys(invalid, model):
            parting = "." if " " in place else " "  # `config.json interval`, `agents.json price.tools`
            key_place = f"{place}{parting}{key.path}" if key.path else place
            findings.append(error(key_place, key.problem, key.remedy))
        return None
