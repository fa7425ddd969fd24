"""`claude-trader`: the command line for people and schedulers.

A run waits for its tool server, so that is started before typer is imported. Nothing looks for garbage until the
command is known: imports leave little, and to look through all that they have made takes a twentieth of a listing.
"""

import atexit
import errno
import gc
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.tool_server.server_process import ServerProcess

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Why nothing more can be written into a file, here the one to which the output goes."""

ENDING_S = 0.05
"""A thread that has been told to end has ended by then."""


def main() -> None:
    """Run the command line, and end the process."""
    gc.disable()  # `Commands` enables it
    try:
        run_command_line()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            _leave(end.code or 0)
        raise


def run_command_line() -> None:
    """Run the command line; end with a message and a code instead of a traceback where the failure is known."""
    from mcp_server.errors import BadInput, TraderError
    from mcp_server.storage.home import home_folder
    from mcp_server.storage.owner import become_owner

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))  # both end a run in the same way
    server: ServerProcess | None = None
    try:
        home = home_folder(os.environ.get("TRADER_HOME"))
        become_owner(home)
        if sys.argv[1:2] == ["run"]:
            from runner.tool_server.server_process import early_server

            server = early_server(sys.argv[2:], home)
        from runner.cli.app import app

        app(obj=server)
    except TraderError as error:
        from runner.cli.context import fail

        fail(error, 2 if isinstance(error, BadInput) else 1)
    except OSError as error:
        if error.errno not in NO_ROOM or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still to be written would fail again at the end
        problem = f"The output could not be written: {error.strerror}. Write it where there is room."
        print(f"claude-trader: {problem}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    finally:
        if server is not None:
            server.end()


def _leave(code: int) -> None:
    """End the process once all is written and closed, and do not wait until Python has taken its modules apart.

    Return where Python has more to do: to wait for a thread, or to say that what was written could not be.
    """
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(ENDING_S)
            if thread.is_alive():
                return
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]  # a service may have none
    try:
        for stream in streams:
            stream.flush()
    except (OSError, ValueError):
        return
    atexit._run_exitfuncs()
    for stream in streams:
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
