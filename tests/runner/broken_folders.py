"""Broken strategy folders, each with the findings that a check must produce: severity, place, and what is said."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from mcp_server.domain.strategy.format import PROMPT_LIMIT
from mcp_server.domain.strategy.limits import FILE_LIMIT_BYTES

OUTSIDE = "OUTSIDE"
"""In a row's files: a symbolic link to a valid file that lies outside of the home."""

Said = tuple[str, str, str]


class Broken(NamedTuple):
    """One folder: `files` by name, each as bytes, as JSON values, or `OUTSIDE`; and what must be found, no more."""

    why: str
    files: Mapping[str, Any]
    findings: list[Said]


RULES: dict[str, Any] = {"indicators": ["rsi(14)"], "buy": "rsi_14 < 35", "sell": "rsi_14 > 65"}
GOOD: dict[str, Any] = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "4h"}
AGENT: dict[str, Any] = {"description": "Watches", "prompt": "Use get_price.", "tools": ["get_price"]}


def error(place: str, words: str) -> Said:
    return ("error", place, words)


def warning(place: str, words: str) -> Said:
    return ("warning", place, words)


def config(why: str, *findings: Said, **keys: Any) -> Broken:
    """Return a folder of rules with other keys; a key that is None is left out."""
    content = {**GOOD, "rules": RULES, **keys}
    return Broken(
        why, {"config.json": {key: value for key, value in content.items() if value is not None}}, [*findings]
    )


def rules(why: str, *findings: Said, **keys: Any) -> Broken:
    return config(why, *findings, rules={key: value for key, value in {**RULES, **keys}.items() if value is not None})


def raw(why: str, content: bytes, words: str) -> Broken:
    return Broken(why, {"config.json": content}, [error("config.json", words)])


def agents(why: str, content: Any, *findings: Said, **keys: Any) -> Broken:
    return Broken(why, {"config.json": {**GOOD, **keys}, "agents.json": content}, [*findings])


def agent(why: str, *findings: Said, **keys: Any) -> Broken:
    """Return a folder of one sub-agent, `a`, with other keys; a key that is None is left out."""
    content = {key: value for key, value in {**AGENT, **keys}.items() if value is not None}
    return agents(why, {"a": content}, *findings)


_DEEP = b"[" * 100_000 + b"]" * 100_000
_CONFIG = json.dumps({**GOOD, "rules": RULES}).encode()
_NO_AGENTS = error("agents.json", "The claude engine needs at least one")

FILES = [
    Broken("no files", {}, [error("config.json", "is missing")]),
    raw("an empty file", b"", "is not JSON at line 1, column 1"),
    raw("cut off", b'{"trading_pair": "BTC/', "is not JSON at line 1"),
    raw("a comment", b'{"interval": "1h" // hourly\n}', "is not JSON at line 1, column 19"),
    raw("not UTF-8", b'{"trading_pair": "\xff\xfe"}', "is not UTF-8 text"),
    raw("UTF-16", _CONFIG.decode().encode("utf-16"), "is not UTF-8 text"),
    raw("a key twice", b'{"interval": "1h", "interval": "4h"}', "the key 'interval' is there twice"),
    raw("an inner key twice", b'{"rules": {"buy": "a", "buy": "b"}}', "the key 'buy' is there twice"),
    raw("NaN", b'{"timeout_s": NaN}', "NaN is not a JSON number"),
    raw("Infinity", b'{"budget": {"usd_per_day": Infinity}}', "Infinity is not a JSON number"),
    raw("a number of 5,000 digits", b'{"timeout_s": ' + b"9" * 5000 + b"}", "is no strict JSON"),
    raw("a number beyond all numbers", b'{"budget": {"usd_per_day": 1e999}}', "1e999 is too large a number"),
    raw("a byte order mark", b"\xef\xbb\xbf" + _CONFIG, "without one (BOM)"),
    *(raw(f"nested {deep} deep", b'{"misfire": ' + b"[" * deep + b"]" * deep + b"}", "is nested too deeply")
      for deep in (20, 300, 900)),
    Broken("agents.json nested 300 deep", {"config.json": GOOD, "agents.json": b'{"a":' * 300 + b"1" + b"}" * 300},
           [error("agents.json", "is nested too deeply")]),
    raw("nested 100,000 deep", b'{"rules": ' + _DEEP + b"}", "is nested too deeply"),
    raw("too large", b" " * (FILE_LIMIT_BYTES + 1), "is larger than"),
    raw("an array", b"[1, 2]", "expected a JSON object"),
    raw("null", b"null", "expected a JSON object"),
    Broken("a link to a file outside", {"config.json": OUTSIDE}, [error("config.json", "is a symbolic link")]),
    Broken("agents.json a link outside", {"config.json": GOOD, "agents.json": OUTSIDE},
           [error("agents.json", "is a symbolic link")]),
    Broken("agents.json no JSON", {"config.json": GOOD, "agents.json": b"agents"},
           [error("agents.json", "is not JSON")]),
    Broken("agents.json a number", {"config.json": GOOD, "agents.json": b"7"},
           [error("agents.json", "neither an object nor an array")]),
    config("half of a character", error("config.json", "lone surrogate"),
           error("config.json description", "does not fit"), description="\ud800"),
]  # fmt: skip

KEYS = [
    config("an unknown key", error("config.json intervall", "Did you mean 'interval'"), intervall="1h"),
    config("an unknown key of budget", error("config.json budget.usd_per_dy", "Did you mean 'usd_per_day'"),
           budget={"usd_per_dy": 1}),
    config("no pair", error("config.json trading_pair", "This key is required"), trading_pair=None),
    config("a number as pair", error("config.json trading_pair", "valid string"), trading_pair=7),
    config("another name", error("config.json name", "differs from the folder"), name="other"),
    config("a path as name", error("config.json name", "should match pattern"), name="../../etc"),
    config("an absolute name", error("config.json name", "should match pattern"), name="/etc/passwd"),
    config("neither interval nor cron", error("config.json", "exactly one of 'interval' and 'cron'"), interval=None),
    config("interval and cron", error("config.json", "exactly one of 'interval' and 'cron'"), cron="0 * * * *"),
    config("an interval that there is not", error("config.json interval", "Input should be '1m'"), interval="7m"),
    config("an interval that never fires", error("config.json interval", "Input should be '1m'"), interval="0m"),
    config("a cron that never fires", error("config.json cron", "never comes due"),
           interval=None, cron="0 0 30 2 *", rules={**RULES, "timeframe": "1h"}),
    config("a cron with seconds", error("config.json cron", "exactly five cron fields"),
           interval=None, cron="* * * * * *", rules={**RULES, "timeframe": "1h"}),
    config("a cron that is random", error("config.json cron", "without R or H"),
           interval=None, cron="R * * * *", rules={**RULES, "timeframe": "1h"}),
    config("a cron far away", warning("config.json cron", "comes due first in"),
           interval=None, cron="0 0 29 2 *", rules={**RULES, "timeframe": "4h"}),
    config("a path as time zone", error("config.json timezone", "IANA"), timezone="../../../etc/passwd"),
    config("an unknown status", error("config.json status", "'active', 'paused' or 'stopped'"), status="on"),
    config("an unknown engine", error("config.json engine", "'claude' or 'rules'"), engine="magic"),
    config("no rules for the rules engine", error("config.json rules", "The rules engine needs them"), rules=None),
    config("no sub-agents for claude", _NO_AGENTS, engine="claude"),
    config("a model that is none", error("config.json model", "neither a known alias"), model="gpt-4o"),
    config("too long a run", error("config.json timeout_s", "less than or equal to 900"), timeout_s=901),
    config("a day's budget below a run's", error("config.json budget.usd_per_run", "greater than 0"),
           budget={"usd_per_run": 0}),
    config("a horizon without a unit", error("config.json horizon", "should match pattern"), horizon="24"),
    config("an exchange that is a path", error("config.json exchange", "should match pattern"), exchange="../x"),
    config("an unknown exchange", error("config.json exchange", "Did you mean 'coinbase'"), exchange="coinbse"),
    config("a pair that the exchange lacks", error("config.json trading_pair", "Unknown symbol"), trading_pair="BTC"),
    config("too long a description", error("config.json description", f"at most {PROMPT_LIMIT}"),
           description="x" * (PROMPT_LIMIT + 1)),
]  # fmt: skip

RULES_BROKEN = [
    rules("no condition", error("config.json rules", "at least one of 'buy' and 'sell'"), buy=None, sell=None),
    rules("an unknown indicator", error("config.json rules.indicators[0]", "Unknown indicator 'rsy'"),
          indicators=["rsy(14)"], buy="close > open", sell=None),
    rules("an indicator of sessions on days", error("config.json rules.indicators[1]", "too long for it"),
          indicators=["rsi(14)", "vwap"], timeframe="1d"),
    rules("the level of a running total", error("config.json rules.buy", "'obv > 0' depends on where"),
          indicators=["obv"], buy="obv > 0", sell=None),
    rules("an unknown column", error("config.json rules.buy", "Did you mean 'rsi_14'"), buy="rsi_15 < 30"),
    rules("no expression", error("config.json rules.buy", "can't be read"), buy="rsi_14 <"),
    rules("two broken conditions", error("config.json rules.buy", "can't be read"),
          error("config.json rules.sell", "unknown column 'foo'"), buy="rsi_14 <", sell="foo > 1"),
    rules("reads the future", error("config.json rules.buy", "1 to 1000"), buy="prev(close, -1) > close"),
    rules("a raw window", error("config.json rules.buy", ""), buy="lead(close) OVER () > close"),
    rules("a file", error("config.json rules.buy", ""), buy="(SELECT count(*) FROM '/etc/passwd') > 0"),
    rules("a second statement", error("config.json rules.buy", ""), buy="close > 1; DROP TABLE candles"),
    rules("never true", warning("config.json rules.buy", "on none of the last 500 4h candles"), buy="close < 0"),
    rules("always true", warning("config.json rules.buy", "on all of the last 500 4h candles"),
          buy="close > 0", sell=None),
    rules("both at once", warning("config.json rules", "could not decide on"), buy="rsi_14 < 50", sell="rsi_14 < 50"),
    config("a wake that is none", error("config.json wake", "unknown column 'nope'"), wake="nope > 1"),
]  # fmt: skip

AGENTS = [
    agents("an empty mapping", {}, error("config.json rules", "The rules engine needs them")),
    agents("an empty mapping for claude", {}, _NO_AGENTS, engine="claude"),
    agents("no object in an array", [AGENT, 3], error("agents.json [1]", "It is not an object")),
    agents("a name twice", [{**AGENT, "name": "a"}, {**AGENT, "name": "a"}], error("agents.json [1] name", " two ")),
    agents("a path as name", {"../a": AGENT}, error("agents.json ../a", "not a valid name for a sub-agent")),
    agents("no object", {"a": "get_price"}, error("agents.json a", "expected a JSON object")),
    agent("no prompt", error("agents.json a.prompt", "This key is required"), prompt=None),
    agent("no tools", error("agents.json a.tools", "it could only invent"), tools=None),
    agent("an unknown tool", error("agents.json a.tools", "Did you mean 'get_price'"), tools=["get_prise"]),
    agent("a host's prefix on what is none", error("agents.json a.tools", "offers no tool 'get_pricee'"),
          tools=["mcp__market__get_pricee"]),
    agent("tools that write", error("agents.json a.tools", "changes things"), tools=["get_price", "write_strategy"]),
    agent("a tool that adds to the journal", error("agents.json a.tools", "adds to the journal, and a run may only"),
          tools=["get_price", "mcp__trader__backtest_strategy"]),
    agent("a shell", error("agents.json a.tools", "offers no tool 'Bash'"), tools=["get_price", "Bash"]),
    agent("an unknown key", error("agents.json a.promt", "Did you mean 'prompt'"), promt="x"),
    agent("a model that is none", error("agents.json a.model", "neither a known alias"), model="claude"),
    agent("a model that only a strategy may have", error("agents.json a.model", "Leave it out"), model="default"),
    agent("a typo in a model", error("agents.json a.model", "Did you mean 'sonnet'"), model="Sonet"),
    agent("a model as Bedrock writes it", error("agents.json a.model", "there is 'claude-sonnet-4-20250514'."),
          model="us.anthropic.claude-sonnet-4-20250514-v1:0"),
    agent("a model as Vertex AI writes it", warning("agents.json a.model", "there is 'claude-sonnet-4-20250514'."),
          model="claude-sonnet-4@20250514"),
    agent("too long a prompt", error("agents.json a.prompt", f"at most {PROMPT_LIMIT}"),
          prompt="x" * (PROMPT_LIMIT + 1)),
    agents("too much together", {f"a{number}": {**AGENT, "prompt": "x" * PROMPT_LIMIT} for number in range(14)},
           error("agents.json", "is larger than")),
    agents("a day's budget below a run's", {"a": AGENT}, error("config.json budget.usd_per_day", "One run may cost"),
           budget={"usd_per_run": 2, "usd_per_day": 1}),
    agents("a budget that the schedule exceeds", {"a": AGENT},
           warning("config.json budget.usd_per_day", "6 runs a day: 3.00 USD a day"), budget={"usd_per_day": 1}),
]  # fmt: skip

BROKEN = [*FILES, *KEYS, *RULES_BROKEN, *AGENTS]
