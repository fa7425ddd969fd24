"""`claude-trader up` with a fast clock, on TRADER_HOME: `python -m tests.rigs.fast_runner SPEED START EPOCH`.

START is what the clock shows at the Unix time EPOCH; it follows the clock that decides, as that of `up` does. GRACE and
METRICS_PORT may follow. It prints `ready` once it schedules.
"""

import sys
from datetime import datetime

import anyio

from runner.cli.context import Context
from runner.cli.up import until_stopped
from runner.logs import start_logging
from runner.up import Up
from tests.rigs.fast_clock import FastClock
from tests.rigs.witnessed import witnessed


def main() -> None:
    speed, start, epoch, *more = sys.argv[1:]
    grace_s, port = float(more[0] if more else 2), int(more[1] if more[1:] else 0)
    parts = Context()
    parts.home.prepare()
    witnessed(parts)
    clock = FastClock(float(speed), datetime.fromisoformat(start), float(epoch), parts.journal_database.now)
    start_logging(parts.settings.secrets(), human=False)
    everything = Up(parts, clock=clock, grace_s=grace_s, metrics_port=port or None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    anyio.run(until_stopped, everything)


if __name__ == "__main__":
    main()
