"""A replay that is killed again and again and started again asks nothing twice, loses nothing and counts every cent.

In `make test`, `tests/runner/test_recording.py` has a runner that is killed in the middle of a reply,
`tests/runner/test_recorded_requests.py` asks only for what is missing on a cassette, `test_outages.py` takes up again
in its row what was not served, and `tests/runner/test_execute.py` has under which name that is paid.
"""

import signal
import threading
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.outcome import Status
from mcp_server.storage.home import Home
from runner.claude.cassette.cassettes import Cassette
from runner.claude.cassette.wire import key_of
from runner.tool_server.server import Address
from tests.rigs.replay_command import LIMIT_S, errors_of, output_of, replaying, write
from tests.rigs.replays import SCRIPT, USD_A_TOKEN, moment_of, moments, parts_of, replay_of, varied, watching
from tests.rigs.scripted_messages_api import Held, Reply, Request, ScriptedMessagesApi, Step

KILLS = (
    (1, True),
    (2, False),
    (3, True),
    (2, True),
    (2, False),
    (1, False),
    (3, False),
    (2, True),
    (3, True),
    (1, True),
)
"""At which request of its life a replay is killed, and whether the reply to that one is still on its way.

So few replies come before the last kill that two of the five pilots are always under way.
"""

AT_ONCE = 2
"""The runs at once, of one request at a time each. It is killed when the API holds one of each: then none has been
counted that the API has not seen.
"""


@dataclass
class KillingApi:
    """Answers, and says when it is time to kill."""

    at_once: int
    kill_at: int = 0
    in_flight: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    kept: set[str] = field(default_factory=set)
    twice: list[str] = field(default_factory=list)
    spent_usd: Decimal = Decimal(0)
    now: threading.Event = field(default_factory=threading.Event)
    killed: threading.Event = field(default_factory=threading.Event)
    _of_this_life: int = 0
    _held: int = 0
    _usage: Any = field(default_factory=lambda: varied(1, 3_000))

    def live(self, kill_at: int, *, in_flight: bool) -> None:
        """Begin a life of the replay."""
        self.kill_at, self.in_flight, self._of_this_life, self._held = kill_at, in_flight, 0, 0
        self.now, self.killed = threading.Event(), threading.Event()

    def __call__(self, request: Request, step: Step) -> Step:
        assert isinstance(step, Reply)
        key = key_of(request.body)
        self.asked[key] += 1
        if key in self.kept:
            self.twice.append(f"{moment_of(request)} {request.role} {request.turn}")
        usage = self._usage(moment_of(request), request)
        self.spent_usd += sum((USD_A_TOKEN[name] * count for name, count in usage.items()), Decimal(0))
        self._of_this_life += 1
        reply = Reply(step.text, step.calls, usage)
        if not self.kill_at or self._of_this_life < self.kill_at + (not self.in_flight):
            return reply
        self._held += 1
        if self._held == self.at_once:
            self.now.set()
        return Held(reply, self.killed)


@pytest.mark.long
@pytest.mark.parametrize(("kills", "count"), [(((2, True),), 1), (KILLS, 6)], ids=["once", "ten times"])
def test_a_replay_that_is_killed_asks_nothing_twice_and_counts_every_cent(
    home: Path, address: Address, kills: tuple[tuple[int, bool], ...], count: int
) -> None:
    strategy = write(home, watching())
    cassette = Cassette(Home(home).cassettes, strategy.name, strategy.decision_version("simulated", "claude"))
    prices = KillingApi(min(count, AT_ONCE))
    with ScriptedMessagesApi(SCRIPT, prices) as api:
        for kill_at, in_flight in kills:
            prices.live(kill_at, in_flight=in_flight)
            with replaying(home, api.url, address, count) as program:
                assert prices.now.wait(LIMIT_S), errors_of(home)
                program.send_signal(signal.SIGKILL)
                program.wait(LIMIT_S)
            prices.killed.set()
            prices.kept = {one.key for moment in cassette.moments() for one in cassette.at(moment)}
        prices.live(0, in_flight=False)
        with replaying(home, api.url, address, count) as program:
            code = program.wait(LIMIT_S)
    done = output_of(home)
    assert (code, done["by_status"]) == (0, {"success": count}), (done, errors_of(home))
    assert prices.twice == []
    parts = parts_of(home)
    rows = parts.journal.replays.rows(replay_of(count, contaminated=True).terms("simulated").id)
    assert [row.status for row in rows.values()] == [Status.SUCCESS] * count
    assert [*rows] == [*moments(count)]
    assert sum(row.cost_usd or 0 for row in rows.values()) == prices.spent_usd
    assert Decimal(str(done["spent_usd"])) == prices.spent_usd
