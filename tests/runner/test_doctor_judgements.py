"""What the doctor makes of what it sees: each finding, with its remedy."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcp_server.errors import Retryable
from mcp_server.storage.heartbeat import Beat
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.news.standing import NewsStanding
from mcp_server.storage.strategies.folders import ListedStrategy, StrategyFolders
from runner.doctor.findings import (
    Diagnosis,
    HomeFacts,
    clock,
    credentials,
    heartbeat,
    home,
    memory,
    news,
    public_address,
    strategies,
    versions,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FINE = {"claude-trader": "0.1.0", "mcp": "2.3.0", "claude-agent-sdk": "0.2.187"}
WANTED = {"mcp": ">=2.3", "claude-agent-sdk": ">=0.2.187"}


def _one(found: list[Diagnosis]) -> tuple[str, str, str]:
    (finding,) = found
    return finding.status, finding.sentence, finding.remedy


def test_fine_versions_are_told() -> None:
    status, said, remedy = _one(versions((3, 12, 1), WANTED, FINE, ["mine"]))
    assert (status, remedy) == ("ok", "")
    assert said == "claude-trader 0.1.0, Python 3.12.1, claude-agent-sdk 0.2.187."


@pytest.mark.parametrize(
    ("python", "have", "words"),
    [
        ((3, 10, 9), {}, ["Python", "3.10.9", "3.11"]),
        ((3, 12, 0), {"mcp": "2.2.9"}, ["mcp", "2.2.9", ">=2.3"]),
        ((3, 12, 0), {"mcp": None}, ["mcp", "not installed", ">=2.3"]),
        ((3, 12, 0), {"claude-agent-sdk": "0.2.99"}, ["claude-agent-sdk", "0.2.99", ">=0.2.187"]),
        ((3, 12, 0), {"claude-agent-sdk": None}, ["claude-agent-sdk", "not installed", "'mine'"]),
    ],
)
def test_versions_that_are_too_old_are_errors(
    python: tuple[int, ...], have: dict[str, str | None], words: list[str]
) -> None:
    status, problem, remedy = _one(versions(python, WANTED, {**FINE, **have}, ["mine"]))
    assert (status, bool(remedy)) == ("error", True)
    assert [word for word in words if word not in problem] == []


def test_a_version_between_releases_counts_as_the_release_it_leads_to() -> None:
    assert _one(versions((3, 12, 0), WANTED, {**FINE, "mcp": "2.4.0rc1"}, []))[0] == "ok"
    assert _one(versions((3, 12, 0), {"mcp": ">=2.3,<3"}, {**FINE, "mcp": "3.0"}, []))[0] == "error"


def test_without_claude_strategies_the_extra_is_not_missed() -> None:
    status, said, _ = _one(versions((3, 12, 0), WANTED, {**FINE, "claude-agent-sdk": None}, []))
    assert (status, said.endswith("claude-agent-sdk not installed: strategies run by rules.")) == ("ok", True)


@pytest.mark.parametrize(
    ("facts", "status", "said", "remedy"),
    [
        (HomeFacts("/h", exists=False), "ok", "/h", ""),
        (HomeFacts("/h", exists=True, free_mb=9000, running=2), "ok", "/h, 9000 MB free, 2 runs", ""),
        (HomeFacts("/h", exists=True, writable=False), "error", "/h cannot be written.", "TRADER_HOME"),
        (HomeFacts("/h", exists=True, free_mb=400), "warning", "400 MB", "disk space"),
        (HomeFacts("/h", exists=True, free_mb=40), "error", "40 MB", "disk space"),
        (HomeFacts("/h", exists=True, killed=1), "warning", "killed", "signals --all"),
        (HomeFacts("/h", exists=True, waiting=2), "warning", "2 runs ended", "signals --all"),
        (HomeFacts("/h", exists=True, readable_secrets=True), "warning", ".env", "chmod 600 /h/.env"),
    ],
)
def test_the_home_is_judged(facts: HomeFacts, status: str, said: str, remedy: str) -> None:
    told = _one(home(facts))
    assert (told[0], said in told[1], remedy in told[2]) == (status, True, True), told


def test_each_broken_strategy_is_an_error_with_the_command_that_says_more(home: Path) -> None:
    folders = StrategyFolders(Home(home), examples_folder())
    assert _one(strategies(folders.all()))[1].startswith("None yet.")
    folders.add("rsi-reversion")
    assert _one(strategies(folders.all())) == ("ok", "1 valid, 1 of them active.", "")
    found = [
        *folders.all(),
        ListedStrategy("half", False, None, "Strategy 'half' is not valid:\n- config.json: no JSON."),
    ]
    status, said, remedy = _one(strategies(found))
    assert (status, said) == ("error", "'half' is broken: config.json: no JSON.")
    assert remedy.startswith("`claude-trader strategies check half`")


@pytest.mark.parametrize(
    ("present", "claude", "server_url", "status", "said"),
    [
        ([], [], None, "ok", "Set: none; "),
        (["ANTHROPIC_API_KEY"], ["mine"], None, "ok", "Set: ANTHROPIC_API_KEY."),
        ([], ["mine"], None, "error", "'mine' needs one"),
        (["ANTHROPIC_BASE_URL"], ["mine"], None, "error", "'mine' needs one"),
        ([], [], "https://trader.example/mcp", "warning", "on another machine, and TRADER_TOKEN is not set"),
        ([], [], "http://127.0.0.1:8000/mcp", "ok", "need none"),
    ],
)
def test_credentials_are_judged_by_their_names(
    present: list[str], claude: list[str], server_url: str | None, status: str, said: str
) -> None:
    told = _one(credentials(present, claude, server_url=server_url, has_token=False))
    assert (told[0], said in told[1], bool(told[2])) == (status, True, status != "ok"), told


@pytest.mark.parametrize(
    ("url", "has_token", "status", "said"),
    [
        ("https://trader.example", True, "ok", "claude.ai connects to https://trader.example/mcp"),
        ("https://trader.example", False, "error", "there is no token"),
        ("http://127.0.0.1:8000", True, "warning", "claude.ai cannot reach"),
        ("https://192.168.1.5", True, "warning", "claude.ai cannot reach"),
        ("https://trader.local", True, "warning", "claude.ai cannot reach"),
        ("https://trader", True, "warning", "claude.ai cannot reach"),
        ("https://1.1.1.1:8443", True, "ok", "whether it is reached was not tried"),
    ],
)
def test_the_public_address_is_judged_without_calling_it(url: str, has_token: bool, status: str, said: str) -> None:
    told = _one(public_address(url, has_token=has_token))
    assert (told[0], said in told[1], bool(told[2])) == (status, True, status != "ok"), told


def test_without_a_public_address_there_is_nothing_to_judge() -> None:
    assert public_address(None, has_token=False) == []


@pytest.mark.parametrize(
    ("available", "claude", "status"),
    [(None, False, "skipped"), (299, False, "warning"), (300, False, "ok"), (599, True, "warning"), (600, True, "ok")],
)
def test_memory_is_judged_by_what_a_run_takes(available: int | None, claude: bool, status: str) -> None:
    assert _one(memory(available, claude=claude))[0] == status


@pytest.mark.parametrize(
    ("ahead_s", "status", "said"),
    [
        (None, "skipped", "No exchange"),
        (-2.5, "error", "closed candles count as forming"),
        (-1.9, "ok", "kraken"),
        (30.0, "ok", "kraken"),
        (400.0, "warning", "400 s old"),
    ],
)
def test_the_clock_is_judged_by_a_price(ahead_s: float | None, status: str, said: str) -> None:
    told = _one(clock(ahead_s, "kraken"))
    assert (told[0], said in told[1], bool(told[2])) == (status, True, status in ("error", "warning"))


FAILING = NewsStanding(True, 2, {"gdelt": "http_429"}, NOW, NOW)
DEAF = NewsStanding(True, 1, {"gdelt": "unreachable"}, NOW)


@pytest.mark.parametrize(
    ("standing", "facts", "status", "said", "remedy"),
    [
        (NewsStanding(True, 10, {}, NOW, NOW), {}, "ok", "10 sources of news. The last feed was read at", ""),
        (NewsStanding(False), {"on": False}, "skipped", "TRADER_NEWS is off", ""),
        (NewsStanding(False), {"up": False}, "skipped", "No feed was read yet", ""),
        (NewsStanding(False), {}, "warning", "is running, and collects no news", "'news:' in the log"),
        (NewsStanding(False), {"elsewhere": True}, "skipped", "Not collected now", ""),
        (NewsStanding(True, unknown=Retryable("It is held.")), {}, "skipped", "cannot be read", ""),
        (FAILING, {}, "warning", "Of 2 sources of news these do not answer: gdelt (http_429)", "feeds.json"),
        (DEAF, {}, "warning", "gdelt (unreachable)", "reaches the internet"),
        (DEAF, {"proxy": True}, "warning", "gdelt (unreachable)", "read without one"),
    ],
)
def test_news_is_judged_by_what_the_database_tells(
    standing: NewsStanding, facts: dict[str, bool], status: str, said: str, remedy: str
) -> None:
    told = _one(news(standing, **{"on": True, "up": True, "elsewhere": False, "proxy": False, **facts}))
    assert (told[0], said in told[1], remedy in told[2]) == (status, True, True)
    assert bool(told[2]) == (status == "warning")


def _beat(ago_s: float, *problems: str) -> Beat:
    return Beat(7, NOW - timedelta(days=1), NOW - timedelta(seconds=ago_s), 1, problems)


@pytest.mark.parametrize(
    ("beat", "active", "status", "said"),
    [
        (None, 0, "ok", "none is needed"),
        (None, 1, "warning", "1 active strategy"),
        (None, 2, "warning", "2 active strategies"),
        (_beat(5), 2, "ok", "Alive (process 7), 1 run"),
        (_beat(90), 2, "error", "90 s ago"),
        (_beat(1, "The disk is full."), 2, "warning", "The disk is full."),
    ],
)
def test_the_runner_is_judged_by_its_heartbeat(beat: Beat | None, active: int, status: str, said: str) -> None:
    told = _one(heartbeat(beat, NOW, active))
    assert (told[0], said in told[1], bool(told[2])) == (status, True, status != "ok")


@pytest.mark.parametrize(
    ("problems", "told", "status", "said"),
    [
        (["No journal."], True, "skipped", "It runs nothing until the journal can be used."),
        (["No journal."], False, "warning", "No journal."),
        (["No journal.", "The disk is full."], True, "warning", "The disk is full."),
    ],
)
def test_that_the_journal_is_away_is_told_once(problems: list[str], told: bool, status: str, said: str) -> None:
    beat = replace(_beat(1, *problems), journal_away=True)
    finding = _one(heartbeat(beat, NOW, 1, journal_told=told))
    assert (finding[0], said in finding[1]) == (status, True)
