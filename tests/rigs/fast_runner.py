"""`claude-trader up` with a fast clock: `python -m tests.rigs.fast_runner SPEED START EPOCH [GRACE]`, on TRADER_HOME.

START is what the clock shows at the Unix time EPOCH; it follows the clock that decides, as
that of `up` does. It prints `ready` once it schedules.
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
    speed, start, epoch, *grace = sys.argv[1:]
    parts = Context()
    parts.home.prepare()
    witnessed(parts)
    clock = FastClock(float(speed), datetime.fromisoformat(start), float(epoch), parts.journal_database.now)
    start_logging(parts.settings.secrets(), human=False)
    everything = Up(parts, clock=clock, grace_s=float(grace[0]) if grace else 2.0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    anyio.run(until_stopped, everything)


if __name__ == "__main__":
    main()
