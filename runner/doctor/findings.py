"""The findings: pure functions that say what the facts mean, each with its remedy."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from packaging.specifiers import SpecifierSet

from mcp_server.domain.loopback import is_private
from mcp_server.domain.text import cleaned, counted, minute
from mcp_server.storage.heartbeat import Beat
from mcp_server.storage.news.standing import NewsStanding
from mcp_server.storage.strategies.folders import ListedStrategy
from runner.installed import install

Status = Literal["ok", "warning", "error", "skipped"]

MB = 1_000_000

SKEW_S = 2.0
"""With a clock that is this far behind, closed candles count as forming."""

OLD_PRICE_S = 300.0
"""No large market goes without a price for so long; more likely this clock is ahead."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one check found: a sentence, and what to do; the remedy is empty where all is well."""

    check: str
    status: Status
    sentence: str
    remedy: str = ""


def versions(
    python: tuple[int, ...], wanted: Mapping[str, str], have: Mapping[str, str | None], claude: Sequence[str]
) -> list[Diagnosis]:
    """Judge the versions of Python and of each package.

    Args:
        python: this Python's version.
        wanted: package → the versions that work, like `>=2.3`.
        have: package → the version that is installed, or None.
        claude: the strategies that need `claude-agent-sdk`.
    """
    problems = []
    running = ".".join(map(str, python))
    if python < (3, 11):
        problem = f"Python is {running}, 3.11 or newer is needed."
        problems.append(Diagnosis("versions", "error", problem, "Make a new environment with a newer Python."))
    for package, specifier in wanted.items():
        installed = have.get(package)
        if package == "claude-agent-sdk" and installed is None:
            if claude:
                problem = f"claude-agent-sdk is not installed, and {claude[0]!r} needs it."
                problems.append(Diagnosis("versions", "error", problem, install("[claude]")))
        elif installed is None or not SpecifierSet(specifier).contains(installed, prereleases=True):
            problem = f"{package} is {installed or 'not installed'}, {specifier} is needed."
            problems.append(Diagnosis("versions", "error", problem, install()))
    agent = have.get("claude-agent-sdk") or "not installed: strategies run by rules"
    fine = f"claude-trader {have.get('claude-trader')}, Python {running}, claude-agent-sdk {agent}."
    return problems or [Diagnosis("versions", "ok", fine)]


@dataclass(frozen=True, slots=True)
class HomeFacts:
    """What a home looks like.

    `running` and `killed` count runs whose process is alive, or gone; `waiting` counts outcomes that are not in the
    database yet.
    """

    path: str
    exists: bool
    writable: bool = True
    free_mb: int | None = None
    running: int = 0
    killed: int = 0
    waiting: int = 0
    readable_secrets: bool = False


def home(facts: HomeFacts) -> list[Diagnosis]:
    """Judge the home folder, what is locked in it, and what waits there."""
    if not facts.exists:
        return [
            Diagnosis("home", "ok", f"{facts.path} does not exist yet; the first command that needs it creates it.")
        ]
    problems = []
    if not facts.writable:
        remedy = "Give this user write access, or set TRADER_HOME to a folder that can be written."
        problems.append(Diagnosis("home", "error", f"{facts.path} cannot be written.", remedy))
    if facts.free_mb is not None and facts.free_mb < 500:
        status: Status = "error" if facts.free_mb < 50 else "warning"
        problem = f"Its disk has {facts.free_mb} MB left."
        remedy = "Free some disk space. A run that cannot be recorded does not start."
        problems.append(Diagnosis("home", status, problem, remedy))
    if facts.killed:
        problem = (
            f"{counted(facts.killed, 'run')} ended because the process was killed. The journal does not show that yet."
        )
        problems.append(Diagnosis("home", "warning", problem, "`claude-trader signals --all` records it."))
    if facts.waiting:
        problem = f"{counted(facts.waiting, 'run')} ended, and the result waits in outbox/ until the database is free."
        remedy = "Close the program that holds the database. `claude-trader signals --all` then records the result."
        problems.append(Diagnosis("home", "warning", problem, remedy))
    if facts.readable_secrets:
        problem = "Other users of this machine can read its .env, which may hold keys."
        problems.append(Diagnosis("home", "warning", problem, f"chmod 600 {facts.path}/.env"))
    running = f", {counted(facts.running, 'run')} in progress" if facts.running else ""
    return problems or [Diagnosis("home", "ok", f"{facts.path}, {facts.free_mb or '?'} MB free{running}.")]


def strategies(listed: Sequence[ListedStrategy]) -> list[Diagnosis]:
    """Judge the strategies of the home; the broken ones one by one."""
    own = [entry for entry in listed if not entry.example]
    broken = [
        Diagnosis(
            "strategies",
            "error",
            f"{entry.name!r} is broken: {_first_sentence(entry.problem)}",
            f"`claude-trader strategies check {entry.name}` lists everything that is wrong with it.",
        )
        for entry in own
        if entry.strategy is None
    ]
    if broken:
        return broken
    if not own:
        remedy = "`claude-trader strategies add NAME` copies an example; `claude-trader build` designs one with you."
        return [Diagnosis("strategies", "ok", f"None yet. {remedy}")]
    active = sum(entry.strategy is not None and entry.strategy.config.status == "active" for entry in own)
    return [Diagnosis("strategies", "ok", f"{len(own)} valid, {active} of them active.")]


def _first_sentence(text: str | None) -> str:
    line = (text or "it cannot be read").strip().split("\n")[-1].removeprefix("- ")
    return cleaned(line, 200)


def credentials(
    present: Sequence[str], claude: Sequence[str], *, server_url: str | None, has_token: bool
) -> list[Diagnosis]:
    """Judge which credentials are set, by their names alone.

    Args:
        present: names of the credentials that are set.
        claude: the strategies that need one.
        server_url: the tool server that runs use, where one is set.
        has_token: TRADER_TOKEN is set.
    """
    problems = []
    signing = [name for name in present if name != "ANTHROPIC_BASE_URL"]
    if claude and not signing:
        problem = f"No credential for Claude is set, and {claude[0]!r} needs one."
        remedy = "Set ANTHROPIC_API_KEY, or CLAUDE_CODE_OAUTH_TOKEN from `claude setup-token`."
        problems.append(Diagnosis("credentials", "error", problem, remedy))
    if server_url and not has_token and not re.match(r"https?://(localhost|127\.|\[::1\])", server_url):
        problem = "TRADER_SERVER_URL names a server on another machine, and TRADER_TOKEN is not set."
        problems.append(Diagnosis("credentials", "warning", problem, "Set TRADER_TOKEN to a token of that server."))
    names = ", ".join(present) or "none; strategies by rules need none"
    return problems or [Diagnosis("credentials", "ok", f"Set: {names}.")]


def public_address(url: str | None, *, has_token: bool) -> list[Diagnosis]:
    """Judge the address under which others connect by OAuth, as far as that is possible without calling it."""
    if url is None:
        return []
    if not has_token:
        problem = "TRADER_PUBLIC_URL offers this server to other programs, and there is no token to allow that with."
        return [Diagnosis("public address", "error", problem, "Set TRADER_TOKEN, or unset TRADER_PUBLIC_URL.")]
    host = urlsplit(url).hostname or ""
    if is_private(host):
        problem = f"TRADER_PUBLIC_URL names {host}, which claude.ai cannot reach."
        remedy = "Use a public https address, unless only programs in your own network connect."
        return [Diagnosis("public address", "warning", problem, remedy)]
    return [Diagnosis("public address", "ok", f"claude.ai connects to {url}/mcp; whether it is reached was not tried.")]


def notifications(addresses: int, *, weekly: bool) -> list[Diagnosis]:
    """Judge where notifications go. `weekly`: a weekly summary is wanted."""
    if weekly and not addresses:
        problem = "TRADER_SUMMARY asks for a weekly summary, and TRADER_NOTIFY names no address for it."
        return [Diagnosis("notifications", "warning", problem, "Set TRADER_NOTIFY to an address of apprise.")]
    if not addresses:
        return [Diagnosis("notifications", "ok", "None are sent: TRADER_NOTIFY is not set.")]
    summary = ", with a weekly summary" if weekly else ""
    return [Diagnosis("notifications", "ok", f"Sent to {addresses} address{'' if addresses == 1 else 'es'}{summary}.")]


def agent(problem: str, remedy: str, claude: Sequence[str]) -> list[Diagnosis]:
    """Judge an agent CLI that does not start; `claude` are the strategies that need it."""
    sentence = f"The agent CLI does not start: {cleaned(problem, 300)}"
    remedy = remedy or "Check TMPDIR, the memory and the disk, or install claude-trader[claude] again."
    return [Diagnosis("agent", "error" if claude else "warning", sentence, remedy)]


def memory(free_mb: int | None, *, claude: bool) -> list[Diagnosis]:
    """Judge how much memory is free, in MB; a run of Claude takes 300 besides the server's 225."""
    if free_mb is None:
        return [Diagnosis("memory", "skipped", "This system does not say how much is free.")]
    needed = 600 if claude else 300
    if free_mb < needed:
        problem = f"{free_mb} MB are free; a run {'of Claude ' if claude else ''}takes about {needed} MB."
        return [Diagnosis("memory", "warning", problem, "Close other programs, or use a machine with more memory.")]
    return [Diagnosis("memory", "ok", f"{free_mb} MB free.")]


def news(standing: NewsStanding, *, on: bool, up: bool, elsewhere: bool, proxy: bool) -> list[Diagnosis]:
    """Judge how news is collected.

    Args:
        standing: how it stands.
        on: whether it is to be collected.
        up: whether `claude-trader up` is running.
        elsewhere: whether the tool server is one that others start, and so collects where they say.
        proxy: whether programs are to use a proxy for https.
    """
    if not on:
        return [Diagnosis("news", "skipped", "Not collected: TRADER_NEWS is off.")]
    if standing.unknown is not None:
        return [Diagnosis("news", "skipped", "Not known: the database cannot be read.")]
    last = f"The last feed was read at {minute(standing.read_at)} UTC." if standing.read_at else "No feed was read yet."
    if not standing.collecting and up and not elsewhere:
        remedy = "Wait a few seconds and look again; then look for 'news:' in the log of `claude-trader up`."
        return [Diagnosis("news", "warning", f"`claude-trader up` is running, and collects no news. {last}", remedy)]
    if not standing.collecting:
        return [Diagnosis("news", "skipped", f"Not collected now: `claude-trader up` does so. {last}")]
    if not standing.failing:
        return [Diagnosis("news", "ok", f"{counted(standing.sources, 'source')} of news. {last}")]
    failing = ", ".join(f"{source} ({status})" for source, status in standing.failing.items())
    problem = f"Of {counted(standing.sources, 'source')} of news these do not answer: {failing}. {last}"
    if len(standing.failing) < standing.sources:
        remedy = "They are asked again by themselves. Turn off in feeds.json what stays away: docs/guides/news.md."
    elif proxy:
        remedy = "This machine uses a proxy, and feeds are read without one. Let it reach them, or set TRADER_NEWS=off."
    else:
        remedy = "Look whether this machine reaches the internet, or set TRADER_NEWS=off."
    return [Diagnosis("news", "warning", problem, remedy)]


def clock(ahead_s: float | None, exchange: str) -> list[Diagnosis]:
    """Judge this machine's clock by the time of an exchange's newest price.

    Args:
        ahead_s: how far the clock is ahead of that price, in seconds; always a little.
        exchange: where the price comes from.
    """
    if ahead_s is None:
        return [Diagnosis("clock", "skipped", "No exchange returned a price to compare with.")]
    remedy = "Let the system set its clock by the network (NTP)."
    if ahead_s < -SKEW_S:
        problem = f"It is {-ahead_s:.0f} s behind {exchange}'s, so closed candles count as forming."
        return [Diagnosis("clock", "error", problem, remedy)]
    if ahead_s > OLD_PRICE_S:
        problem = f"By this clock {exchange}'s newest price is {ahead_s:.0f} s old."
        return [Diagnosis("clock", "warning", problem, f"{remedy} Or nothing is traded on that market now.")]
    return [Diagnosis("clock", "ok", f"It agrees with {exchange}'s newest price.")]


def heartbeat(
    beat: Beat | None, now: datetime, active: int, *, full: bool = False, journal_told: bool = False
) -> list[Diagnosis]:
    """Judge the runner by its heartbeat.

    Args:
        beat: the heartbeat.
        now: the present (aware).
        active: how many strategies wait for a runner.
        full: the disk is full.
        journal_told: another finding says that the journal cannot be used; the runner's sentence on it is left out.
    """
    if beat is None:
        if active:
            waiting = "1 active strategy waits" if active == 1 else f"{active} active strategies wait"
            problem = f"No scheduler is running, and {waiting} for it."
            return [Diagnosis("runner", "warning", problem, "`claude-trader up` starts it.")]
        fine = "No scheduler is running, and none is needed: no strategy in the home is active."
        return [Diagnosis("runner", "ok", fine)]
    age_s = (now - beat.beat_at).total_seconds()
    if full and not beat.is_fresh(now):
        problem = f"Process {beat.pid} last reported {age_s:.0f} s ago. On a full disk it cannot report."
        return [Diagnosis("runner", "warning", problem, "Free some disk space, then look again.")]
    if not beat.is_fresh(now):
        problem = f"Process {beat.pid} gave its last sign of life {age_s:.0f} s ago: it has stopped, or hangs."
        remedy = "End it if it still exists, then start `claude-trader up` again."
        return [Diagnosis("runner", "error", problem, remedy)]
    away = beat.journal_away and journal_told
    problems = [
        Diagnosis("runner", "warning", problem, "`claude-trader status` says more.") for problem in beat.problems[away:]
    ]
    alive = f"Alive (process {beat.pid}), {counted(beat.running, 'run')} in progress."
    waits = Diagnosis("runner", "skipped", f"{alive} It runs nothing until the journal can be used.")
    return problems or [waits if away else Diagnosis("runner", "ok", alive)]
