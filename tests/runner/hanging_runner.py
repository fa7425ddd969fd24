"""A runner to be killed: runs a strategy against the two addresses that it is given."""

import sys

import anyio

from runner.claude.engine import run_claude
from tests.runner.claude_runs import task

if __name__ == "__main__":
    anyio.run(run_claude, task(sys.argv[1], sys.argv[2]))
