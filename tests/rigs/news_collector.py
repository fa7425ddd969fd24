"""A program that collects news as the server of `up` does: `python -m tests.rigs.news_collector STAND_IN AHEAD_S`.

It collects for TRADER_HOME from the stand-in feeds at that URL, by a clock that is so many seconds ahead, until it is
killed. With a third argument it kills itself as it enters that many-th request, in the middle of the transaction.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mcp_server.__main__ import _log_plainly
from mcp_server.adapters.news.reader import NewsReader
from mcp_server.news.collecting import Collecting
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.news import store
from mcp_server.storage.news.entry import entered


def main() -> None:
    stand_in, ahead_s, *dies_at = sys.argv[1:]
    home, ahead = Home(Path(os.environ["TRADER_HOME"])), timedelta(seconds=float(ahead_s))

    def now() -> datetime:
        return datetime.now(UTC) + ahead

    _log_plainly()
    if dies_at:
        vars(store)["entered"] = _dying(entered, int(dies_at[0]))
    database = Database(home.database, prepare=home.prepare)
    collecting = Collecting(
        home, database, now, lambda: NewsReader(now, stand_in=stand_in), begin_after_s=0, anew_after_s=0.05
    )
    collecting.begin()
    while True:
        time.sleep(60)


def _dying(enter: Callable[..., int], last: int) -> Callable[..., int]:
    entries = iter(range(1, last + 1))

    def dying(*arguments: object) -> int:
        new = enter(*arguments)
        if next(entries) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return new

    return dying


if __name__ == "__main__":
    main()
