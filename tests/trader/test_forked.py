"""A `Trader` in a process that was forked: no thread came along, so it says so and never waits."""

import os
import signal
import warnings

import pytest

from mcp_server.errors import BadInput
from mcp_server.trader.background_loop import BackgroundLoop

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")


async def _nothing() -> None: ...


def test_a_copy_in_a_forked_process_says_so_lets_it_end_and_the_first_one_goes_on() -> None:
    loop = BackgroundLoop(_nothing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a process with threads is forked
        child = os.fork()
    if child == 0:
        signal.alarm(10)  # ends one that waits
        code = 1
        try:
            loop.call(_nothing)
        except BadInput:
            loop.close()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    loop.call(_nothing)
    loop.close()
