"""Asks with fastmcp's client, in its environment: the server's command and the calls; prints what it got as JSON."""
# mypy: ignore-errors

import asyncio
import json
import os
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


async def main(command: str, calls: str) -> None:
    async with Client(StdioTransport(command, [], env=dict(os.environ))) as client:
        offered = [tool.name for tool in await client.list_tools()]
        answers = [
            [part.model_dump(mode="json") for part in result.content]
            for name, arguments in json.loads(calls)
            for result in [await client.call_tool(name, arguments, raise_on_error=False)]
        ]
    sys.stdout.write(json.dumps({"offered": offered, "answers": answers}))


asyncio.run(main(*sys.argv[1:]))
