"""Runs an agent of pydantic-ai, in its environment: the models' URL, then the server's command."""
# mypy: ignore-errors

import asyncio
import os
import sys

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


async def main(models: str, command: str) -> None:
    model = OpenAIResponsesModel("m", provider=OpenAIProvider(base_url=f"{models}/v1", api_key="none"))
    await Agent(model, toolsets=[MCPToolset(StdioTransport(command, [], env=dict(os.environ)))]).run("Go on.")


asyncio.run(main(*sys.argv[1:]))
