"""The floor for a run by Claude: a bare program of the agent SDK that has the same conversation, with a server there.

Its arguments are the address of the tool server and its token. It prints the structured answer.
"""

import json
import os
import sys
import tempfile

import anyio
from claude_agent_sdk import AgentDefinition, ClaudeAgentOptions, ResultMessage, query

AGENTS = {
    "price-monitor": ("You watch. [price-monitor]", "mcp__trader__get_price"),
    "rsi-analyzer": ("You read. [rsi-analyzer]", "mcp__trader__calculate_rsi"),
}

QUIETLY = {
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_TERMINAL_TITLE": "1",
    "ENABLE_TOOL_SEARCH": "false",
}


async def main(url: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "X-Trader-Exchange": "simulated"}
    options = ClaudeAgentOptions(
        system_prompt="You start your agents, and answer.",
        agents={
            name: AgentDefinition(description="Looks.", prompt=prompt, tools=[tool])
            for name, (prompt, tool) in AGENTS.items()
        },
        tools=["Agent"],
        allowed_tools=[tool for _, tool in AGENTS.values()],
        mcp_servers={"trader": {"type": "http", "url": url, "headers": headers}},
        strict_mcp_config=True,
        permission_mode="dontAsk",
        setting_sources=[],
        skills=[],
        verbatim_prompts=True,
        output_format={"type": "json_schema", "schema": {"type": "object"}},
        model="claude-sonnet-4-5",
        env=QUIETLY,
        cwd=tempfile.mkdtemp(dir=os.environ["HOME"]),  # the CLI looks through the folder that it works in
    )
    async for message in query(prompt="Start both, and answer.", options=options):
        if isinstance(message, ResultMessage):
            sys.stdout.write(json.dumps(message.structured_output) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
