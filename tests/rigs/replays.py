"""Replays in tests: a strategy of one sub-agent, a scripted API whose price depends on the moment, and a home."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import parse_moment
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.runs import Journal
from runner.claude.cassette.wire import key_of
from runner.clock import Clock, SystemClock
from runner.replay.replay import ReplayParts
from runner.replay.replayed import ReplayRequest
from runner.settings import RunnerSettings
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Reply, Request, Script, Step, answer, say, start, use
from tests.runner.claude_runs import strategy

MODEL = "claude-sonnet-4-5"
USD_A_TOKEN = {"input_tokens": Decimal("0.000003"), "output_tokens": Decimal("0.000015")}
"""What the agent CLI takes a token of this model to cost."""

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
WATCHER = "[watcher]"
AGENT = {"watcher": {"description": "Watches it.", "prompt": f"You watch. {WATCHER}", "tools": ["get_price"]}}
ANSWER = {"signal": "BUY", "confidence": 72, "reasoning": "It is cheap.", "sub_agent_results": {"watcher": {"p": 1}}}
SCRIPT: Script = {
    ORCHESTRATOR: [Reply(calls=[start("watcher", "BTC/USDT")]), answer(ANSWER)],
    WATCHER: [use("mcp__trader__get_price", {"symbol": "BTC/USDT"}), say("It is cheap.")],
}
REQUESTS_A_RUN = 4

_REPEATED = """
SELECT e.as_of, e.status, a.signal, CAST(a.confidence AS VARCHAR), a.reasoning, a.price, CAST(a.data AS VARCHAR),
    e.error_message, e.model, e.knowledge_cutoff, e.contaminated
FROM executions e LEFT JOIN analysis_results a ON a.execution_id = e.id WHERE e.replay_id = ? ORDER BY e.as_of
"""

_AS_OF = re.compile(r"As-of time: (\S+?)[\\\s\"]")


def watching(**config: Any) -> Strategy:
    """Return the strategy, with other settings where given."""
    return strategy(AGENT, **{"exchange": "simulated", "model": MODEL, **config})


def moments(count: int) -> tuple[datetime, ...]:
    """Return so many moments, an hour apart."""
    return tuple(FIRST + timedelta(hours=hour) for hour in range(count))


def end_of(count: int) -> datetime:
    """Return the end of a range with so many moments."""
    return FIRST + timedelta(hours=count - 1, minutes=30)


def replay_of(count: int, max_usd: str = "100", **other: Any) -> ReplayRequest:
    """Return the request of a replay of so many moments."""
    values: dict[str, Any] = {
        "strategy": watching(),
        "since": FIRST,
        "until": end_of(count),
        "every": "1h",
        "moments": moments(count),
        "max_usd": Decimal(max_usd),
        **other,
    }
    return ReplayRequest(**values)


def parts_of(home: Path, clock: Clock | None = None, **settings: Any) -> ReplayParts:
    """Return what a replay in a home works with."""
    place = Home(home)
    database = Database(place.database, prepare=place.prepare)
    journal = Journal(database, place)
    own = RunnerSettings(home=home, exchange="simulated", **settings)
    return ReplayParts(own, place, database, journal, clock or SystemClock())


def read(home: Path, sql: str, replay_id: str) -> list[tuple[Any, ...]]:
    """Return what a query tells of a replay."""
    return Database(Home(home).database).read(lambda connection: connection.execute(sql, [replay_id]).fetchall())


def repeated(home: Path, replay_id: str) -> list[tuple[Any, ...]]:
    """Return what a rerun has to repeat: moment, status, signal, and all that the model said, moment by moment."""
    return read(home, _REPEATED, replay_id)


def asking(tools: Mapping[str, str]) -> dict[str, Any]:
    """Return sub-agents that ask one tool each, by their names."""
    return {
        name: {"description": f"Asks {tool}.", "prompt": f"You look. [{name}]", "tools": [tool]}
        for name, tool in tools.items()
    }


def looking(tools: Mapping[str, str]) -> dict[str, list[Step]]:
    """Return what these sub-agents do: each calls its tool, and reports that it has seen something."""
    return {
        f"[{name}]": [use(f"mcp__trader__{tool}", {"symbol": "BTC/USDT"}), say(f"Seen by {name}.")]
        for name, tool in tools.items()
    }


def moment_of(request: Request) -> datetime:
    """Return the moment that a request is about."""
    found = _AS_OF.search(request.text)
    assert found is not None, "the request does not name its moment"
    return parse_moment(found[1])


@dataclass
class Prices:
    """Gives each reply the tokens that its moment costs, and counts what was asked.

    Args:
        usage: the tokens of a reply at a moment.
        before: called with each request before it is answered; what it returns is done instead.
    """

    usage: Callable[[datetime, Request], Mapping[str, int]]
    before: Callable[[Request], Step | None] = lambda _: None
    asked: Counter[str] = field(default_factory=Counter)
    costs: list[Decimal] = field(default_factory=list)

    def __call__(self, request: Request, step: Step) -> Step:
        if (instead := self.before(request)) is not None:
            return instead
        assert isinstance(step, Reply)
        usage = self.usage(moment_of(request), request)
        self.asked[key_of(request.body)] += 1
        self.costs.append(sum((USD_A_TOKEN[name] * count for name, count in usage.items()), Decimal(0)))
        return replace(step, usage=usage)

    @property
    def spent_usd(self) -> Decimal:
        """What all replies cost."""
        return sum(self.costs, Decimal(0))


def flat(_: datetime, __: Request) -> Mapping[str, int]:
    """Let each reply cost 0.0045 USD."""
    return {"input_tokens": 1000, "output_tokens": 100}


def varied(seed: int, most_tokens: int = 20_000) -> Callable[[datetime, Request], Mapping[str, int]]:
    """Let each reply cost something else, the same for the same moment, role and turn."""

    def usage(moment: datetime, request: Request) -> Mapping[str, int]:
        chance = Random(f"{seed} {moment} {request.role} {request.turn}")  # noqa: S311 (the same prices every time)
        return {"input_tokens": chance.randrange(100, most_tokens), "output_tokens": chance.randrange(10, 800)}

    return usage
