from typing import Annotated, Any, ClassVar, Literal

import anyio.to_thread
from pydantic import Field

from mcp_server.answers import MOST_BYTES, NOTE_BYTES, ROWS, TEXTS, Answer, size_of
from mcp_server.domain.strategy.difference import difference
from mcp_server.domain.strategy.parse import InvalidStrategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.text import cleaned_values
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.errors import NotFound
from mcp_server.storage.strategies.folders import StrategyFolders
from mcp_server.toolkit import Call, StrategyName, tool

MOST_VERSIONS = 20


class StrategyFiles(Answer):
    """In the shape that write_strategy takes."""

    name: str
    version: str
    origin: Literal["home", "example", "replaced"]
    config: dict[str, Any]
    agents: dict[str, Any]
    earlier: Annotated[list[list[str]], ROWS] | None = Field(default=None, description="version, written at")
    changed_since: Annotated[list[str], TEXTS] | None = None
    """Up to the present version."""
    note: str | None = None

    large: ClassVar[bool] = True

    def shortened(self, values: dict[str, Any], size: int) -> dict[str, Any]:
        """Cut the longest texts, and say that what was cut must not be written back."""
        for most in (10_000, 4_000, 1_000, 200):
            cut = {**values, **{file: cleaned_values(values[file], most) for file in ("config", "agents")}}
            if size_of(cut, self.text(cut)) < MOST_BYTES - NOTE_BYTES:
                note = f"Texts are cut to {most:,} characters: do not write this back. The files have {size:,} bytes."
                return {**cut, "note": " ".join(filter(None, [values.get("note"), note]))}
        return super().shortened(values, size)


@tool(title="Read a strategy", open_world=False, example={"strategy_name": "btc-two-analysts"})
async def read_strategy(
    call: Call,
    strategy_name: StrategyName,
    version: Annotated[str | None, Field(max_length=30, description="An earlier one, and what changed since")] = None,
) -> StrategyFiles:
    """Read a strategy's config and sub-agents. Do so before a change: write_strategy replaces both files."""
    return await anyio.to_thread.run_sync(_read, call.kit.strategies, strategy_name, version)


def _read(folders: StrategyFolders, name: str, version: str | None) -> StrategyFiles:
    if version is None:
        return _files(folders, folders.read(name))
    present, why = _present(folders, name)
    if present is not None and present.version == version:
        return _files(folders, present).model_copy(update={"changed_since": []})
    old = folders.versions.read(name, version)
    return StrategyFiles(
        name=name,
        version=version,
        origin="replaced",
        config=old.config_json(),
        agents=old.agents_json(),
        changed_since=difference(old, present) if present else None,
        note=why,
    )


def _present(folders: StrategyFolders, name: str) -> tuple[Strategy | None, str | None]:
    """Return the present strategy, or why the older one cannot be compared with it."""
    try:
        return folders.read(name), None
    except InvalidStrategy as error:
        return None, f"The present files cannot be compared. {error}"
    except NotFound:
        return None, "The strategy itself is gone; write_strategy with this content brings it back."


def _files(folders: StrategyFolders, strategy: Strategy) -> StrategyFiles:
    example = folders.is_example(strategy.name)
    kept = [] if example else [each for each in folders.versions.of(strategy.name) if each.version != strategy.version]
    earlier = [[each.version, iso(to_ms(each.written_at) // 1000 * 1000)] for each in kept[:MOST_VERSIONS]]
    return StrategyFiles(
        name=strategy.name,
        version=strategy.version,
        origin="example" if example else "home",
        config=strategy.config_json(),
        agents=strategy.agents_json(),
        earlier=earlier or None,
        note=f"{len(kept)} earlier versions; the latest are listed." if len(kept) > MOST_VERSIONS else None,
    )
