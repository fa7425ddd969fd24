"""The sound parts of a strategy: they are checked even if others are wrong, so that all findings come at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mcp_server.domain.strategy.finding import Finding
from mcp_server.domain.strategy.format import Config, Rules
from mcp_server.domain.strategy.parse import ParsedFiles
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import TIMEFRAMES

ModelT = TypeVar("ModelT", bound=BaseModel)

_PRICING = {"interval", "cron", "timezone", "budget", "engine"}
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Draft:
    """The sound parts of a strategy; `priced` where schedule, engine and budget are, so that costs can be estimated."""

    strategy: Strategy
    priced: bool


def draft(files: ParsedFiles, findings: Sequence[Finding]) -> Draft | None:
    """Return the parts that can be checked against the facts, or None where the market is not known.

    Args:
        files: what could be read.
        findings: what is wrong with them.
    """
    unsound = _unsound(Config, files.raw)
    config = _sound(Config, files.raw, unsound)
    scheduled = config is not None and not {"interval", "cron"} & unsound
    config = config if scheduled else _sound(Config, files.raw, unsound, interval="1h", cron=None)
    if config is None or {"trading_pair", "exchange"} & unsound:
        return None
    timed = scheduled or (config.rules is not None and config.rules.timeframe is not None)
    if not timed or any(finding.place.startswith(("config.json rules", "config.json wake")) for finding in findings):
        config = config.model_copy(update={"rules": None, "wake": None})
    engine = config.engine or ("claude" if files.subagents else "rules")
    whole = config.model_copy(update={"name": files.name, "engine": engine})
    strategy = Strategy.model_construct(name=files.name, config=whole, agents=files.agents)
    return Draft(strategy, scheduled and not _PRICING & unsound)


def models(files: ParsedFiles) -> dict[str, str]:
    """Return every name of a model by its place, even if the keys around it are wrong."""
    named = {"config.json model": files.raw.get("model")}
    for name, agent in files.subagents.items():
        named[f"agents.json {name}.model"] = agent.get("model") if isinstance(agent, dict) else None
    return {place: model.strip() for place, model in named.items() if isinstance(model, str) and _fits(model, 100)}


def tools(files: ParsedFiles) -> dict[str, list[str]]:
    """Return every sub-agent's tools, even if its other keys are wrong."""
    declared = {name: agent.get("tools") for name, agent in files.subagents.items() if isinstance(agent, dict)}
    return {
        name: [tool for tool in tools if isinstance(tool, str)] if isinstance(tools, list) else []
        for name, tools in declared.items()
    }


def rules(files: ParsedFiles) -> Rules | None:
    """Return the valid parts of the rules; without a valid condition, one that always holds stands in for it."""
    raw = files.raw.get("rules")
    if not isinstance(raw, dict):
        return None
    unsound = _unsound(Rules, raw)
    return _sound(Rules, raw, unsound) or _sound(Rules, raw, unsound, buy="close > 0")


def timeframe(files: ParsedFiles) -> str | None:
    """Return the timeframe of the rules, where one is given that there is: their own, else the interval."""
    configured = rules(files)
    named = (configured.timeframe if configured else None) or files.raw.get("interval")
    return named if isinstance(named, str) and named in TIMEFRAMES else None


def wake(files: ParsedFiles) -> str | None:
    """Return the wake condition, even if other keys are wrong."""
    condition = files.raw.get("wake")
    return condition.strip() if isinstance(condition, str) and _fits(condition, _LONGEST) else None


def _fits(text: str, longest: int) -> bool:
    return 0 < len(text.strip()) <= longest


def _unsound(model: type[BaseModel], value: Mapping[str, Any]) -> set[str]:
    """Return the keys that are not valid by themselves."""
    try:
        model.model_validate(value)
    except ValidationError as invalid:
        return {str(item["loc"][0]) for item in invalid.errors(include_url=False, include_context=False) if item["loc"]}
    return set()


def _sound(model: type[ModelT], value: Mapping[str, Any], unsound: set[str], **stand_ins: Any) -> ModelT | None:
    """Make a model of the keys that are valid; the stand-ins replace keys that it cannot do without."""
    kept = {key: part for key, part in value.items() if key not in unsound}
    try:
        return model.model_validate({**kept, **stand_ins})
    except ValidationError:
        return None
