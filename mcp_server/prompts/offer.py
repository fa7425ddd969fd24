"""Offers prompts, resources and completions on a server: what people start from in their host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)
from pydantic import Field

from mcp_server.domain.families import whole
from mcp_server.domain.text import cleaned
from mcp_server.errors import NotFound, TraderError
from mcp_server.prompts import material
from mcp_server.prompts.design_strategy import MOST_IDEA, design_strategy
from mcp_server.prompts.review_strategy import review_strategy
from mcp_server.prompts.run_strategy import run_strategy
from mcp_server.storage.home import examples_folder

if TYPE_CHECKING:
    from mcp_server.storage.strategies.folders import StrategyFolders
    from mcp_server.toolkit import Kit, ToolFile

GUIDE = "guide://strategy-format"
STRATEGY = "strategy://{name}"
MOST_COMPLETIONS = 100
MOST_ERROR = 8_000


def offer(server: MCPServer[Any], kit: Kit, files: Mapping[str, ToolFile], families: frozenset[str]) -> None:
    """Add the prompts, the resources and the completions of their arguments to a server.

    Prompts lead through tools of most families, and resources are about strategies: without these they are left out.
    """
    if whole(families):
        _offer_prompts(server, kit, files)
    if "strategies" in families:
        _offer_resources(server, kit)
        _offer_completions(server, kit)


def _offer_prompts(server: MCPServer[Any], kit: Kit, files: Mapping[str, ToolFile]) -> None:
    async def design(
        idea: Annotated[str, Field(description="What it should do, in your words; or say it after this")] = "",
    ) -> str:
        if len(idea) > MOST_IDEA:
            raise MCPError(code=INVALID_PARAMS, message=f"Describe the idea in at most {MOST_IDEA:,} characters.")
        names = await anyio.to_thread.run_sync(kit.strategies.names)
        return await anyio.to_thread.run_sync(design_strategy, idea, files, names)

    async def review(
        strategy_name: Annotated[str, Field(description="A strategy of the home, or an example")],
    ) -> str:
        try:
            strategy = await anyio.to_thread.run_sync(kit.strategies.read, strategy_name)
        except TraderError as error:
            raise MCPError(code=INVALID_PARAMS, message=cleaned(str(error), MOST_ERROR, lines=True)) from None
        return await anyio.to_thread.run_sync(review_strategy, strategy, files)

    async def run(
        strategy_name: Annotated[
            str, Field(description="A strategy of the home, or an example; or say it after this")
        ] = "",
    ) -> str:
        names = await anyio.to_thread.run_sync(kit.strategies.names)
        return run_strategy(strategy_name, names)

    server.prompt("design_strategy", "Design a strategy", "From an idea to a strategy, checked and tried")(design)
    server.prompt("review_strategy", "Review a strategy", "What it says, what it did, what to change")(review)
    server.prompt("run_strategy", "Run a strategy", "Once, now, decided by its rules or by Claude here; recorded")(run)


def _offer_resources(server: MCPServer[Any], kit: Kit) -> None:
    about = "A strategy's config.json and agents.json, with its version"

    @server.resource(STRATEGY, name="strategy", title="Strategy", description=about, mime_type="application/json")
    async def strategy(name: str) -> str:
        return await anyio.to_thread.run_sync(_strategy, kit.strategies, name)

    @server.resource(
        GUIDE, name="strategy-format", title="The format of a strategy", description="Every key, with examples",
        mime_type="text/markdown",
    )  # fmt: skip
    async def guide() -> str:
        return await anyio.to_thread.run_sync(partial((examples_folder() / "README.md").read_text, "utf-8"))


def _strategy(folders: StrategyFolders, name: str) -> str:
    try:
        strategy = folders.read(name)
    except NotFound as error:
        raise ResourceNotFoundError(cleaned(str(error), MOST_ERROR, lines=True)) from None
    except TraderError as error:
        raise ResourceError(cleaned(str(error), MOST_ERROR, lines=True)) from None
    content = {"name": name, "version": strategy.version, **material.files(strategy)}
    return json.dumps(content, indent=2, ensure_ascii=False)


def _offer_completions(server: MCPServer[Any], kit: Kit) -> None:
    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]
    async def complete(
        ref: PromptReference | ResourceTemplateReference, argument: CompletionArgument, _: CompletionContext | None
    ) -> Completion | None:
        known = {
            ("design_strategy", "idea"): _ideas,
            ("review_strategy", "strategy_name"): _names,
            ("run_strategy", "strategy_name"): _names,
            (STRATEGY, "name"): _names,
        }
        source = known.get((ref.name if isinstance(ref, PromptReference) else ref.uri, argument.name))
        if source is None:
            return None
        words = await anyio.to_thread.run_sync(source, kit.strategies)
        typed = argument.value.strip().lower()
        begun = [word for word in words if word.lower().startswith(typed)]
        matching = begun + [word for word in words if word not in begun and typed in word.lower()]
        return Completion(
            values=matching[:MOST_COMPLETIONS], total=len(matching), has_more=len(matching) > MOST_COMPLETIONS
        )


def _names(folders: StrategyFolders) -> list[str]:
    return list(folders.names())


def _ideas(folders: StrategyFolders) -> list[str]:
    """Return the first sentence of each example's description, as an idea to begin with."""
    strategies = [listed.strategy for listed in folders.all() if listed.example and listed.strategy]
    return [strategy.config.description.partition(". ")[0] for strategy in strategies]
