"""What a check makes of the facts: pure functions, from what was seen to findings with a remedy each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mcp_server.domain.text import cleaned
from mcp_server.storage.heartbeat import Beat
from mcp_server.storage.strategies.folders import ListedStrategy

Status = Literal["ok", "warning", "error", "skipped"]

MIB = 1024 * 1024

SKEW_S = 2.0
"""A clock that is so far behind takes candles that are closed for forming."""

OLD_PRICE_S = 300.0
"""No large market stands still for so long: rather this clock is ahead."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one check found. `said` is a sentence; `remedy` says what to do, and is empty where all is well."""

    check: str
    status: Status
    said: str
    remedy: str = ""


def versions(
    python: tuple[int, ...], wanted: Mapping[str, str], have: Mapping[str, str | None], claude: Sequence[str]
) -> list[Diagnosis]:
    """Judge the versions of Python and of each package.

    Args:
        python: this Python's version.
        wanted: package → the least version.
        have: package → the version that is installed, or None.
        claude: the strategies that need `claude-agent-sdk`.
    """
    found = []
    if python < (3, 11):
        said = f"Python is {'.'.join(map(str, python))}, 3.11 or newer is needed."
        found.append(Diagnosis("versions", "error", said, "Make a new environment with a newer Python."))
    for package, least in wanted.items():
        here = have.get(package)
        if package == "claude-agent-sdk" and here is None:
            if claude:
                said = f"claude-agent-sdk is not installed, and {claude[0]!r} needs it."
                found.append(Diagnosis("versions", "error", said, "pip install 'claude-trader[claude]'"))
        elif here is None or _numbers(here) < _numbers(least):
            said = f"{package} is {here or 'not installed'}, {least} or newer is needed."
            found.append(Diagnosis("versions", "error", said, "pip install --upgrade claude-trader"))
    if found:
        return found
    agent = have.get("claude-agent-sdk") or "not installed: strategies run by rules"
    said = f"claude-trader {have.get('claude-trader')}, Python {'.'.join(map(str, python))}, claude-agent-sdk {agent}."
    return [Diagnosis("versions", "ok", said)]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


@dataclass(frozen=True, slots=True)
class HomeFacts:
    """What was seen of the home. `left` are runs whose process is gone, `waiting` outcomes not yet in the database."""

    path: str
    exists: bool
    writable: bool = True
    free_mib: int | None = None
    under_way: int = 0
    left: int = 0
    waiting: int = 0
    readable_secrets: bool = False


def home(facts: HomeFacts) -> list[Diagnosis]:
    """Judge the home folder, what is locked in it, and what waits there."""
    if not facts.exists:
        return [
            Diagnosis("home", "ok", f"{facts.path} does not exist yet; the first command that needs it creates it.")
        ]
    found = []
    if not facts.writable:
        remedy = "Give this user write access, or set TRADER_HOME to a folder that can be written."
        found.append(Diagnosis("home", "error", f"{facts.path} cannot be written.", remedy))
    if facts.free_mib is not None and facts.free_mib < 500:
        status: Status = "error" if facts.free_mib < 50 else "warning"
        said = f"Its disk has {facts.free_mib} MB left."
        found.append(Diagnosis("home", status, said, "Free some space: a run starts only if it can be recorded."))
    if facts.left:
        said = f"{_runs(facts.left)} ended because the process was killed. The journal does not show that yet."
        found.append(Diagnosis("home", "warning", said, "`claude-trader signals --all` records it."))
    if facts.waiting:
        said = f"{_runs(facts.waiting)} ended, and the result waits in outbox/ until the database is free."
        remedy = "Close what uses the database; then `claude-trader signals --all` records it."
        found.append(Diagnosis("home", "warning", said, remedy))
    if facts.readable_secrets:
        said = "Other users of this machine can read its .env, which may contain keys."
        found.append(Diagnosis("home", "warning", said, f"chmod 600 {facts.path}/.env"))
    under_way = f", {_runs(facts.under_way)} under way" if facts.under_way else ""
    return found or [Diagnosis("home", "ok", f"{facts.path}, {facts.free_mib or '?'} MB free{under_way}.")]


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def strategies(found: Sequence[ListedStrategy]) -> list[Diagnosis]:
    """Judge the strategies of the home; those that are broken, one by one."""
    own = [each for each in found if not each.example]
    broken = [
        Diagnosis(
            "strategies",
            "error",
            f"{each.name!r} is broken: {_first_sentence(each.problem)}",
            f"`claude-trader strategies check {each.name}` lists everything that is wrong with it.",
        )
        for each in own
        if each.strategy is None
    ]
    if broken:
        return broken
    if not own:
        remedy = "`claude-trader strategies add NAME` copies an example, `claude-trader build` makes one with you."
        return [Diagnosis("strategies", "ok", f"None yet. {remedy}")]
    active = sum(each.strategy is not None and each.strategy.config.status == "active" for each in own)
    return [Diagnosis("strategies", "ok", f"{len(own)} valid, {active} of them active.")]


def _first_sentence(text: str | None) -> str:
    line = (text or "it cannot be read").strip().split("\n")[-1].removeprefix("- ")
    return cleaned(line, 200)


def credentials(
    present: Sequence[str], claude: Sequence[str], *, server_url: str | None, has_token: bool
) -> list[Diagnosis]:
    """Judge which credentials there are; their values are never looked at.

    Args:
        present: names of the credentials that are set.
        claude: the strategies that need one.
        server_url: the tool server that runs use, where one is set.
        has_token: TRADER_TOKEN is set.
    """
    found = []
    signing = [name for name in present if name != "ANTHROPIC_BASE_URL"]
    if claude and not signing:
        said = f"No credential for Claude is set, and {claude[0]!r} needs one."
        remedy = "Set ANTHROPIC_API_KEY, or CLAUDE_CODE_OAUTH_TOKEN from `claude setup-token`."
        found.append(Diagnosis("credentials", "error", said, remedy))
    if server_url and not has_token and not re.match(r"https?://(localhost|127\.|\[::1\])", server_url):
        said = "TRADER_SERVER_URL names a server on another machine, and TRADER_TOKEN is not set."
        found.append(Diagnosis("credentials", "warning", said, "Set TRADER_TOKEN to a token of that server."))
    set_ = ", ".join(present) or "none; strategies by rules need none"
    return found or [Diagnosis("credentials", "ok", f"Set: {set_}.")]


def memory(available_mib: int | None, *, claude: bool) -> list[Diagnosis]:
    """Judge how much memory can still be had, in MiB; a run of Claude takes 300 beside the server's 225."""
    if available_mib is None:
        return [Diagnosis("memory", "skipped", "This system does not say how much there is.")]
    needed = 600 if claude else 300
    if available_mib < needed:
        said = f"{available_mib} MB are available; a run {'of Claude ' if claude else ''}takes about {needed}."
        return [Diagnosis("memory", "warning", said, "Close another program, or use a machine with more memory.")]
    return [Diagnosis("memory", "ok", f"{available_mib} MB available.")]


def clock(ahead_s: float | None, exchange: str) -> list[Diagnosis]:
    """Judge this machine's clock by the time of an exchange's newest price.

    Args:
        ahead_s: how far the clock is ahead of that price, in seconds; it is a little, always.
        exchange: whose price it is.
    """
    if ahead_s is None:
        return [Diagnosis("clock", "skipped", "No exchange gave a price to compare with.")]
    remedy = "Let the system set its clock from the network (NTP)."
    if ahead_s < -SKEW_S:
        said = f"It is {-ahead_s:.0f} s behind {exchange}'s, so closed candles count as forming."
        return [Diagnosis("clock", "error", said, remedy)]
    if ahead_s > OLD_PRICE_S:
        said = f"By this clock, {exchange}'s newest price is {ahead_s:.0f} s old."
        return [Diagnosis("clock", "warning", said, f"{remedy} If the market is closed, ignore this.")]
    return [Diagnosis("clock", "ok", f"It agrees with {exchange}'s newest price.")]


def heartbeat(beat: Beat | None, now: datetime, active: int) -> list[Diagnosis]:
    """Judge the runner by the heartbeat that it leaves; `active` strategies wait for one."""
    if beat is None:
        if active:
            waiting = "1 active strategy waits" if active == 1 else f"{active} active strategies wait"
            said = f"No scheduler is running, and {waiting} for it."
            return [Diagnosis("runner", "warning", said, "`claude-trader up` starts it.")]
        return [
            Diagnosis("runner", "ok", "No scheduler is running, and none is needed: no strategy in the home is active.")
        ]
    age_s = (now - beat.beat_at).total_seconds()
    if not beat.is_fresh(now):
        said = f"Process {beat.pid} last gave a sign of life {age_s:.0f} s ago: it has stopped, or hangs."
        return [Diagnosis("runner", "error", said, "End it if it is still there, and start `claude-trader up` again.")]
    problems = [
        Diagnosis("runner", "warning", problem, "`claude-trader status` says more.") for problem in beat.problems
    ]
    return problems or [Diagnosis("runner", "ok", f"Alive (process {beat.pid}), {_runs(beat.running)} under way.")]
