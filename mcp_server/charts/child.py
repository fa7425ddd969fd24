"""The process that draws pictures for the server, one after the other.

It reads charts from standard input and writes pictures, or the errors in their place, to standard output, both pickled:
both ends are this program's own. It ends when standard input closes, a minute after its last picture, and in the middle
of anything when the server is gone.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

from mcp_server.errors import TraderError
from mcp_server.process_bounds import bound

if TYPE_CHECKING:
    from mcp_server.charts.backtest_chart import BacktestChart
    from mcp_server.charts.chart import Chart

IDLE_S = 60.0
LOOK_S = 0.2
"""How often it looks whether the server is there."""

NICENESS = 10
"""Where processors are busy, whatever else runs goes before pictures: a runner draws one for each new signal."""

MOST_MEMORY_BYTES = 2_500_000_000
MOST_PROCESSOR_S = 600
"""Of all its pictures. Who asks for one more gets it from the next process."""


def picture(chart: Chart | BacktestChart) -> bytes:
    """Return the PNG of a chart or of a backtest.

    Raises:
        Misconfigured: there is no folder for temporary files.
    """
    from mcp_server.charts.chart import Chart
    from mcp_server.charts.draw import draw
    from mcp_server.charts.draw_backtest import draw_backtest

    return draw(chart) if isinstance(chart, Chart) else draw_backtest(chart)


def _nobody_asks() -> bool:
    """Return whether standard input was closed: the server was gone before this process looked who its parent is."""
    if sys.platform == "win32":
        return False
    closed = select.poll()
    closed.register(sys.stdin, 0)  # whether there is something to read is not asked
    return bool(closed.poll(0))


def _end_with(parent: int) -> None:
    """End when what started this process is gone: the server, or on Windows the launcher of its virtual environment."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(0)


def main() -> None:
    """Draw until nobody asks any more."""
    parent = os.getppid()
    if _nobody_asks():  # what follows is imported for longer than a process may stay
        return
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches it too; the server ends it
    if hasattr(os, "nice"):  # Windows has none
        os.nice(NICENESS)
    bound(memory_bytes=MOST_MEMORY_BYTES, processor_s=MOST_PROCESSOR_S)
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    import mcp_server.charts.draw_backtest  # noqa: F401 (the first chart is still on its way)

    while True:
        idle = threading.Timer(IDLE_S, os._exit, [0])
        idle.daemon = True
        idle.start()
        try:
            chart = pickle.load(sys.stdin.buffer)  # noqa: S301 (the server has written it)
        except EOFError:
            return
        finally:
            idle.cancel()
        try:
            answer: bytes | Exception = picture(chart)
        except TraderError as error:
            answer = error
        except Exception:  # a fault of ours: the server tells it as it tells its own
            answer = RuntimeError(traceback.format_exc())
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
