"""The floor for an answer that is known already: a bare MCP server that has it at hand and sends it.

Its one argument is a JSON file with `text`, `structured` and the output `schema` to declare (null: none).
"""

import json
import sys
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, TextContent


def main() -> None:
    answer = json.loads(Path(sys.argv[1]).read_bytes())
    content = [TextContent(type="text", text=answer["text"])]
    result = CallToolResult(content=content, structured_content=answer["structured"])

    async def get_ohlcv(symbol: str, limit: int, exchange: str, as_of: str) -> CallToolResult:
        return result

    tool = Tool.from_function(get_ohlcv, description="Answers.")
    tool.fn_metadata.output_schema = answer["schema"]
    MCPServer("floor", tools=[tool], log_level="WARNING").run("stdio")


if __name__ == "__main__":
    main()
