"""The evidence behind an agent's answer: which sub-agents reported, and from which tool calls. No proof, no signal."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mcp_server.domain.news.pairs import base_of
from mcp_server.domain.text import cleaned
from mcp_server.domain.timeframes import MINUTE_MS, iso, parse_moment, to_ms
from mcp_server.errors import BadInput

SIMULATED = "simulated"
MOST_LOOKED_AT = 3

OF_SWAPS = frozenset({"get_derivatives"})
"""Tools to which a market is its perpetual swap: BTC/USDT means BTC/USDT:USDT."""

OF_COINS = frozenset({"get_news"})
"""Tools to which a market is its coin, on any exchange: BTC/USDT means BTC. Asked about none, they look at all."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a run is about: the names of its market, the exchange, and the moment that counts as now.

    `market_tools` are the tools of the server that look at the market that they are given.
    """

    symbols: frozenset[str]
    exchange: str
    as_of: datetime
    market_tools: frozenset[str]


@dataclass(slots=True)
class ToolCall:
    """One call of a tool; `is_error` is None while it has no result, `whole` is False if the model saw only a part."""

    tool: str
    arguments: Mapping[str, Any]
    result: str | None = None
    is_error: bool | None = None
    whole: bool = True

    def names(self, key: str) -> frozenset[str]:
        """Return the values that the answer and the arguments have under a key; a symbol may have several names."""
        values = [facts.get(key) for facts in (self.answer, self.arguments)]
        texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
        return frozenset(text for text in texts if isinstance(text, str) and text)

    def coins(self) -> frozenset[str]:
        """Return the coins that it looked at: as the answer names it, and as the symbols do."""
        return self.names("asset").union(map(base_of, self.names("symbol")))

    def stated(self, key: str) -> str | None:
        """Return what the answer says under a key; where it says nothing, what was asked for."""
        value = self.answer.get(key) or self.arguments.get(key)
        return value if isinstance(value, str) else None

    @property
    def answer(self) -> Mapping[str, Any]:
        """The fields of the answer; none where it is no JSON object."""
        answer = whole_json(self.result or "")
        return answer if isinstance(answer, dict) else {}


@dataclass(slots=True)
class SubAgent:
    """One start of a sub-agent, which has declared `tools` and perhaps `markets`.

    `completed` is None while it runs, `report` is its text after its last call, `passed_on` is False if only a part of
    that reached the orchestrator, `heard` is True when the orchestrator had it before it answered.
    """

    name: str
    tools: frozenset[str]
    subject: Subject
    markets: frozenset[str] = frozenset()
    model: str | None = None
    completed: bool | None = None
    report: str | None = None
    calls: list[ToolCall] = field(default_factory=list)
    passed_on: bool = True
    heard: bool = False

    @property
    def missing(self) -> str | None:
        """Why it has not reported; None when it has."""
        if self.completed is None:
            return "did not finish"
        if not self.completed:
            return "failed"
        return self._unproven() or self._unsaid()

    def _unproven(self) -> str | None:
        if not self.calls:
            return "called no tool, so its report is invented"
        succeeded = [call for call in self.calls if call.is_error is False and call.tool in self.tools]
        if not succeeded:
            return "had no tool call that succeeded, so its report is invented"
        seen = [call for call in succeeded if call.whole]
        if not seen:
            return "saw only a part of what its tools answered; let its prompt ask them for less"
        if not any(self._proves(call) for call in seen):
            looked_at = list(dict.fromkeys(map(_looked_at, seen)))
            more = [f"{len(looked_at) - MOST_LOOKED_AT} more"] if len(looked_at) > MOST_LOOKED_AT else []
            return f"looked only at {', '.join(looked_at[:MOST_LOOKED_AT] + more)}, and not at {self._wanted()}"
        return None

    def _unsaid(self) -> str | None:
        if not self.report:
            return "was stopped before it reported ('max_turns' holds for each sub-agent too)"
        if not self.passed_on:
            return "wrote a report too long to be passed on; let its prompt ask for a short one"
        return None

    def _proves(self, call: ToolCall) -> bool:
        """Return whether a call looked at what this sub-agent is to look at, as of the run's moment."""
        symbols = call.names("symbol")
        if not _is_as_of(call, self.subject.as_of):
            return False
        if not symbols:
            return not self.tools & (self.subject.market_tools - OF_COINS)
        if call.tool in OF_COINS:
            return bool(call.coins() & set(map(base_of, self.markets or self.subject.symbols)))
        exchange = call.stated("exchange") or self.subject.exchange
        looked_at = set(map(_letters, symbols))
        if call.tool in OF_SWAPS:
            looked_at |= {symbol.partition(":")[0] for symbol in looked_at}
        wanted = set(map(_letters, self.markets or self.subject.symbols))
        at_its_exchange = exchange == self.subject.exchange or (bool(self.markets) and exchange != SIMULATED)
        return bool(looked_at & wanted) and at_its_exchange

    def _wanted(self) -> str:
        as_of = iso(to_ms(self.subject.as_of))
        if self.markets:
            return f"{' or '.join(sorted(self.markets))} as of {as_of}"
        market = f"{' or '.join(sorted(self.subject.symbols))} on {self.subject.exchange} as of {as_of}"
        return f"{market} (it may look at others if its 'markets' in agents.json name them)"


def whole_json(text: str) -> Any:
    """Return the JSON value that a text begins with; None where there is none, or only a part of one."""
    try:
        return json.JSONDecoder().raw_decode(text.lstrip())[0]
    except (ValueError, RecursionError):
        return None


def unreported(names: Iterable[str], started: Collection[SubAgent]) -> list[str]:
    """Return a sentence part for each sub-agent of `names` that has not reported: its name, and why."""
    missing = []
    for name in names:
        starts = [agent for agent in started if agent.name == name]
        if not starts:
            missing.append(f"{name!r} was never started")
        elif all(agent.missing for agent in starts):
            missing.append(f"{name!r} {starts[-1].missing}")
    return missing


def unheard(names: Iterable[str], started: Iterable[SubAgent]) -> list[str]:
    """Return the sub-agents of `names` whose report came after the answer, which therefore does not rest on it."""
    heard = {agent.name for agent in started if agent.heard}
    return [name for name in names if name not in heard]


def _is_as_of(call: ToolCall, as_of: datetime) -> bool:
    """Return whether an answer is as of a run's moment: of the same minute, as no candle closes within one.

    One that does not say so was asked for a moment, and none later than the run's is answered.
    """
    stated = call.stated("as_of")
    if stated is None or stated.strip().lower() in ("", "now"):
        return True
    try:
        minute = to_ms(parse_moment(stated)) // MINUTE_MS
    except BadInput:
        return False
    wanted = to_ms(as_of) // MINUTE_MS
    return minute == wanted or (minute > wanted and not call.answer.get("as_of"))


def _letters(symbol: str) -> str:
    """Take a symbol without what people write in different ways: BTC/USD, btc-usd and BTCUSD are one market."""
    return re.sub(r"[^A-Z0-9:]", "", symbol.upper())


def _looked_at(call: ToolCall) -> str:
    """Name what a call looked at: the market or, without one, the tool."""
    symbols = ", ".join(sorted(call.names("symbol"))) or call.tool
    exchange, as_of = call.stated("exchange"), call.stated("as_of")
    text = f"{symbols}{f' on {exchange}' if exchange else ''}{f' as of {as_of}' if as_of else ''}"
    return cleaned(text, 120)
