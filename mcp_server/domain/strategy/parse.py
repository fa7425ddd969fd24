"""Reads the content of a strategy's two files: a whole strategy comes out, or everything that is wrong with them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mcp_server.domain.error_hints import invalid_keys
from mcp_server.domain.strategy.agents import named_agents
from mcp_server.domain.strategy.finding import Finding, error
from mcp_server.domain.strategy.format import NAME_PATTERN, Agent, Config
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput

FILE_LIMIT_BYTES = 262_144
"""A file of a strategy is no larger."""

DEEPEST = 20
"""Objects and arrays inside of one another; a strategy has four."""

MOST_FINDINGS = 40
"""So many are told at a time; mending these is enough for one try."""

ModelT = TypeVar("ModelT", bound=BaseModel)


class InvalidStrategy(BadInput):
    """A strategy's files are not valid; `findings` says all that was found, each with its place and remedy."""

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=lambda finding: finding.severity != "error"))
        marks = {"error": "", "warning": "(warning) "}
        lines = [f"- {marks[finding.severity]}{finding}" for finding in self.findings[:MOST_FINDINGS]]
        if len(self.findings) > MOST_FINDINGS:
            lines.append(f"- And {len(self.findings) - MOST_FINDINGS} more like these.")
        super().__init__(f"Strategy {name!r} is not valid:\n" + "\n".join(lines))


@dataclass(frozen=True, slots=True)
class ParsedFiles:
    """What could be read of a strategy's files, whole or not: what is wrong with one part hides nothing of another.

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
        InvalidStrategy: with every problem found, each with its place and what to do.
    """
    parts = read_parts(name, config, agents)
    if (strategy := parts.strategy) is None:
        raise InvalidStrategy(name, parts.findings)
    return strategy


def read_parts(name: str, config: Any, agents: Any) -> ParsedFiles:
    """Read the content of both files as far as it can be read; the arguments are those of `parse_strategy`."""
    findings: list[Finding] = []
    if not re.fullmatch(NAME_PATTERN, name) or name.endswith("\n"):
        use = "Use 1 to 64 of a-z, 0-9 and '-', beginning with a letter or digit."
        findings.append(error("name", f"{name!r} is not a name.", use))
    config, agents = _without_schema(config), _without_schema(agents)
    if not _check_sizes({"config.json": config, "agents.json": agents}, findings):
        return ParsedFiles(name, None, {}, {}, {}, findings)
    checked = _checked(Config, config, "config.json", findings)
    named = named_agents(agents, findings)
    read = {key: _checked(Agent, value, f"agents.json {key}", findings) for key, value in named.items()}
    _check_together(name, checked, config, named, findings)
    return ParsedFiles(
        name,
        checked,
        {key: agent for key, agent in read.items() if agent is not None},
        config if isinstance(config, dict) else {},
        named,
        findings,
    )


def _without_schema(content: Any) -> Any:
    """Leave out the `$schema` by which an editor finds the keys: it is none of the strategy."""
    if isinstance(content, dict) and isinstance(content.get("$schema"), str):
        return {key: value for key, value in content.items() if key != "$schema"}
    return content


def _check_sizes(files: Mapping[str, Any], findings: list[Finding]) -> bool:
    """Check that both can be written as they are; give False where one cannot be looked at any further."""
    for file, content in files.items():
        if nests_too_deeply(content):
            findings.append(error(file, "It nests too deeply.", "Write it as the format says."))
            return False
        try:
            size = len(json.dumps(content, indent=2, ensure_ascii=False).encode())
        except UnicodeEncodeError:
            findings.append(error(file, "It holds half of a character (a lone surrogate).", "Write the whole of it."))
        except ValueError:
            findings.append(error(file, "It holds a number of thousands of digits.", "Write one that can be meant."))
            return False
        else:
            if size > FILE_LIMIT_BYTES:
                most = f"It may have {FILE_LIMIT_BYTES}; shorten the prompts."
                findings.append(error(file, f"It is larger than {FILE_LIMIT_BYTES} bytes: {size}.", most))
    return True


def nests_too_deeply(content: Any) -> bool:
    """True for what nests deeper than any strategy does, and than JSON can be passed on; nothing here recurses."""
    level = [content]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def _check_together(
    name: str, checked: Config | None, config: Any, agents: Mapping[str, Any], findings: list[Finding]
) -> None:
    said = config if isinstance(config, dict) else {}
    if checked is not None and checked.name is not None and checked.name != name:
        problem = f"{checked.name!r} differs from the folder {name!r}."
        findings.append(error("config.json name", problem, "Make them the same, or leave it out."))
    engine = said.get("engine") or ("claude" if agents else "rules")
    if engine == "rules" and said.get("rules") is None:
        remedy = "The rules engine needs them; or set 'engine' to 'claude' and add agents.json."
        findings.append(error("config.json rules", "missing.", remedy))
    if engine == "claude" and not agents:
        remedy = "The claude engine needs at least one; or set 'engine' to 'rules'."
        findings.append(error("agents.json", "no sub-agents.", remedy))


def _checked(model: type[ModelT], value: Any, place: str, findings: list[Finding]) -> ModelT | None:
    if not isinstance(value, dict):
        findings.append(error(place, "expected a JSON object.", "Write { … } with the keys of the format."))
        return None
    try:
        return model.model_validate(value)
    except ValidationError as invalid:
        for key in invalid_keys(invalid, model):
            parting = "." if " " in place else " "  # `config.json interval`, `agents.json price.tools`
            key_place = f"{place}{parting}{key.path}" if key.path else place
            findings.append(error(key_place, key.problem, key.remedy))
        return None
