"""`claude-trader mcp`: the tool server over stdio, for hosts that know a package by its name alone."""

import os
import subprocess
import sys


def mcp() -> None:
    """Serve the tools to an MCP host, such as Claude Desktop, over standard input and output.

    The host starts this command itself. It does the same as `claude-trader-mcp`.
    """
    command = [sys.executable, "-P", "-m", "mcp_server"]
    if sys.platform == "win32":  # there a process cannot become another one
        sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603 (it is this very program)
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)
