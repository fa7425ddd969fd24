"""What can be checked of a strategy though something else of it is wrong, so that everything is told at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mcp_server.domain.strategy.finding import Finding
from mcp_server.domain.strategy.format import Config, Rules
from mcp_server.domain.strategy.parse import ParsedFiles
from mcp_server.domain.strategy.strategy import Strategy

ModelT = TypeVar("ModelT", bound=BaseModel)

_PRICING = {"interval", "cron", "timezone", "budget", "engine"}
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Draft:
    """What is sound of a strategy; `priced` where its schedule, engine and budget are, so that costs can be told."""

    strategy: Strategy
    priced: bool


def draft(parts: ParsedFiles, findings: Sequence[Finding]) -> Draft | None:
    """Give what of a strategy can be checked against the facts, or None where its market cannot be known.

    Args:
        parts: what could be read.
        findings: what is wrong with it.
    """
    unsound = _unsound(Config, parts.raw)
    config = _sound(Config, parts.raw, unsound)
    scheduled = config is not None and not {"interval", "cron"} & unsound
    config = config if scheduled else _sound(Config, parts.raw, unsound, interval="1h", cron=None)
    if config is None or {"trading_pair", "exchange"} & unsound:
        return None
    timed = scheduled or (config.rules is not None and config.rules.timeframe is not None)
    if not timed or any(each.place.startswith(("config.json rules", "config.json wake")) for each in findings):
        config = config.model_copy(update={"rules": None, "wake": None})
    engine = config.engine or ("claude" if parts.subagents else "rules")
    whole = config.model_copy(update={"name": parts.name, "engine": engine})
    strategy = Strategy.model_construct(name=parts.name, config=whole, agents=parts.agents)
    return Draft(strategy, scheduled and not _PRICING & unsound)


def models(parts: ParsedFiles) -> dict[str, str]:
    """Give every name of a model by its place, also where what stands around it is wrong."""
    named = {"config.json model": parts.raw.get("model")}
    for name, agent in parts.subagents.items():
        named[f"agents.json {name}.model"] = agent.get("model") if isinstance(agent, dict) else None
    return {place: model.strip() for place, model in named.items() if isinstance(model, str) and _fits(model, 100)}


def tools(parts: ParsedFiles) -> dict[str, list[str]]:
    """Give every sub-agent's tools, also where something else of it is wrong."""
    said = {name: agent.get("tools") for name, agent in parts.subagents.items() if isinstance(agent, dict)}
    return {
        name: [tool for tool in tools if isinstance(tool, str)] if isinstance(tools, list) else []
        for name, tools in said.items()
    }


def rules(parts: ParsedFiles) -> Rules | None:
    """Give what is valid of the rules; where no condition is, one that always holds stands in for them."""
    said = parts.raw.get("rules")
    if not isinstance(said, dict):
        return None
    unsound = _unsound(Rules, said)
    return _sound(Rules, said, unsound) or _sound(Rules, said, unsound, buy="close > 0")


def wake(parts: ParsedFiles) -> str | None:
    """Give the wake condition, also where something else is wrong."""
    said = parts.raw.get("wake")
    return said.strip() if isinstance(said, str) and _fits(said, _LONGEST) else None


def _fits(text: str, longest: int) -> bool:
    return 0 < len(text.strip()) <= longest


def _unsound(model: type[BaseModel], value: Mapping[str, Any]) -> set[str]:
    """Give the keys that are not valid by themselves."""
    try:
        model.model_validate(value)
    except ValidationError as invalid:
        return {str(item["loc"][0]) for item in invalid.errors(include_url=False, include_context=False) if item["loc"]}
    return set()


def _sound(model: type[ModelT], value: Mapping[str, Any], unsound: set[str], **stand_ins: Any) -> ModelT | None:
    """Make a model of the keys that are valid; the stand-ins take the place of what it cannot be without."""
    kept = {key: part for key, part in value.items() if key not in unsound}
    try:
        return model.model_validate({**kept, **stand_ins})
    except ValidationError:
        return None
