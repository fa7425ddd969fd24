"""`claude-trader`: the command line for people and schedulers.

A run waits for its tool server, so that is started before typer is imported.
"""

import os
import signal
import sys

from mcp_server.errors import BadInput, TraderError
from mcp_server.storage.home import home_folder
from mcp_server.storage.owner import become_owner
from runner.tool_server.server_process import ServerProcess, early_server


def main() -> None:
    """Run the command line; end with a message and a code instead of a traceback where the failure is known."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))  # both end a run in the same way
    server: ServerProcess | None = None
    try:
        home = home_folder(os.environ.get("TRADER_HOME"))
        become_owner(home)
        server = early_server(sys.argv[1:], home)
        from runner.cli.app import app

        app(obj=server)
    except TraderError as error:
        from runner.cli.context import fail

        fail(error, 2 if isinstance(error, BadInput) else 1)
    finally:
        if server is not None:
            server.end()


if __name__ == "__main__":
    main()
