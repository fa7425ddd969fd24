"""Runs an agent of LangChain over langchain-mcp-adapters, in its environment: the models' URL, the server's command."""
# mypy: ignore-errors

import asyncio
import os
import sys

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_openai import ChatOpenAI


async def main(models: str, command: str) -> None:
    server = {"transport": "stdio", "command": command, "args": [], "env": dict(os.environ)}
    tools = await MultiServerMCPClient({"trader": server}).get_tools()
    agent = create_agent(ChatOpenAI(model="m", base_url=f"{models}/v1", api_key="none"), tools)
    await agent.ainvoke({"messages": [("user", "Go on.")]})


asyncio.run(main(*sys.argv[1:]))
