"""Runs an agent of openai-agents, in its environment: the models' URL, then the server's command."""
# mypy: ignore-errors

import asyncio
import os
import sys

from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStdio
from openai import AsyncOpenAI


async def main(models: str, command: str) -> None:
    set_tracing_disabled(True)
    model = OpenAIResponsesModel("m", AsyncOpenAI(base_url=f"{models}/v1", api_key="none"))
    parameters = {"command": command, "env": dict(os.environ)}
    async with MCPServerStdio(params=parameters, client_session_timeout_seconds=60) as server:
        strict = {"convert_schemas_to_strict": True}
        agent = Agent(name="a", instructions="a", mcp_servers=[server], model=model, mcp_config=strict)
        await Runner.run(agent, "Go on.")


asyncio.run(main(*sys.argv[1:]))
