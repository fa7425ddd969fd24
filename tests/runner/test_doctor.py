"""`claude-trader doctor`, as a person runs it: over a real server, on homes that are well and on homes that are not."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mcp_server.app import tool_files
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import Home
from runner.doctor.checkup import CHECK_S, Checkup
from runner.doctor.facts import database, judged_journal, news
from runner.settings import RunnerSettings
from tests.http.conftest import READS, TOKENS, guarded
from tests.rigs.anvil import Anvil
from tests.rigs.loopback import served
from tests.rigs.stand_in_exchange import StandInExchange
from tests.runner.conftest import Command, trader_in
from tests.storage.test_database import held_by_a_shell

NOWHERE = "http://127.0.0.1:1"
NO_CHAIN = {"TRADER_CHAIN_URLS": json.dumps({"ethereum": NOWHERE})}
KEY = "sk-a-key-that-must-not-be-shown"


@pytest.fixture
def trader(home: Path) -> Command:
    """In a process that has imported everything: some checks are given up after a time."""
    return trader_in(home, own_process=True)


def _by_check(said: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {each["check"]: each for each in said["checks"]}


def _add(home: Path, name: str, config: str) -> None:
    folder = Home(home).strategies / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config)


def test_a_home_that_is_well_has_nothing_to_mend(trader: Command, home: Path) -> None:
    Database(Home(home).database, prepare=Home(home).prepare).read(lambda connection: None)
    now = datetime.now(UTC)
    Heartbeat(Home(home).heartbeat).write(Beat(os.getpid(), now, now + timedelta(seconds=20), 0))
    with StandInExchange() as exchange, Anvil(start_s=int(now.timestamp())) as chain:
        chain.mine(3)
        done = trader(
            "doctor", "--json",
            TRADER_EXCHANGE="binance",
            TRADER_EXCHANGE_URLS=json.dumps({"binance": exchange.url}),
            TRADER_CHAIN_URLS=json.dumps({"ethereum": chain.url}),
            ANTHROPIC_API_KEY=KEY,
        )  # fmt: skip
    checks = _by_check(done.json)
    assert checks.pop("news")["status"] == "skipped", "off in tests"
    assert {name: each["status"] for name, each in checks.items()} == dict.fromkeys(
        [
            "versions", "agent", "home", "database", "strategies", "credentials", "notifications", "memory", "server",
            "exchange binance", "clock",
            "chain ethereum", "runner",
        ],
        "ok",
    ), done.out  # fmt: skip
    assert checks["credentials"]["said"] == "Set: ANTHROPIC_API_KEY."
    assert "BTC/USDT is at " in checks["exchange binance"]["said"]
    assert (done.code, done.json["ok"]) == (0, True)
    assert KEY not in done.out + done.err


def test_everything_that_is_wrong_is_told_at_once_with_a_remedy_each(trader: Command, home: Path) -> None:
    where = Home(home)
    where.prepare()
    where.database.write_bytes(b"no database" * 1000)
    _add(home, "half", "{")
    _add(
        home,
        "mine",
        '{"trading_pair": "ETH/USD", "interval": "1h", "exchange": "kraken", "rules": {"buy": "close > 1"}}',
    )
    _add(home, "asks", '{"trading_pair": "BTC/USD", "interval": "1h"}')
    (where.strategies / "asks" / "agents.json").write_text(
        '{"a": {"description": "Looks.", "prompt": "Look.", "tools": ["get_price"]}}'
    )
    (where.running / "killed").write_text("")
    (where.outbox / "1.json").write_text("{}")
    (home / ".env").write_text(f"ETHERSCAN_API_KEY={KEY}\n")
    (home / ".env").chmod(0o644)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    Heartbeat(where.heartbeat).write(Beat(7, long_ago, long_ago, 0))
    urls = json.dumps({"coinbase": NOWHERE, "kraken": NOWHERE})
    done = trader("doctor", TRADER_EXCHANGE_URLS=urls, **NO_CHAIN)
    assert done.code == 1
    said = " ".join(done.out.split())
    for words in (
        "cannot be read as a database",
        "'half' is broken",
        "1 run ended because the process was killed",
        "1 run ended, and the result waits in outbox/",
        "can read its .env",
        "'asks' needs one.",
        "✘ exchange coinbase 'coinbase' cannot be reached",
        "✘ exchange kraken 'kraken' cannot be reached",
        "! chain ethereum No endpoint of 'ethereum' can answer",
        f"✔ server Answers a handshake and offers {len(tool_files())} tools.",
        "✘ runner Process 7",
        "6 errors and 4 warnings;",
    ):
        assert words in said, (words, said)
    assert said.count("→ ") == 10
    assert KEY not in done.out + done.err


def test_a_server_that_is_not_there_hides_nothing_else(trader: Command) -> None:
    done = trader("doctor", "--json", TRADER_SERVER_URL=f"{NOWHERE}/mcp", **NO_CHAIN)
    checks = _by_check(done.json)
    assert (checks["server"]["status"], "cannot be reached" in checks["server"]["said"]) == ("error", True)
    assert "claude-trader-mcp --http" in checks["server"]["remedy"]
    assert {checks[name]["status"] for name in ("exchange coinbase", "chain ethereum", "clock")} == {"skipped"}
    assert {checks[name]["status"] for name in ("versions", "home", "database", "runner")} == {"ok"}
    assert done.code == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("TRADER_AS_OF", "noon"), ("TRADER_CHAIN_URLS", "{"), ("TRADER_PUBLIC_URL", "http://trader.example")],
)
def test_settings_that_are_wrong_are_a_finding_too(trader: Command, name: str, value: str) -> None:
    done = trader("doctor", "--json", **{name: value})
    (check,) = done.json["checks"]
    assert (done.code, check["check"], check["status"]) == (1, "settings", "error")
    assert name.removeprefix("TRADER_").lower() in check["said"].lower()


def test_a_database_that_another_holds_is_told_within_its_time(home: Path) -> None:
    Database(Home(home).database, prepare=Home(home).prepare).read(lambda connection: None)
    with held_by_a_shell(Home(home).database) as pid:
        began = time.monotonic()
        (check,) = database(Home(home))
        assert time.monotonic() - began < CHECK_S
    assert (check.status, f"process {pid}" in check.sentence) == ("error", True)
    assert check.remedy.startswith("Close that shell")


def test_where_the_journal_is_elsewhere_the_file_is_one_of_candles(home: Path) -> None:
    (check,) = database(Home(home), journal_elsewhere=True)
    assert "candles" in check.sentence
    Database(Home(home).database, prepare=Home(home).prepare).read(lambda connection: None)
    assert "runs," not in database(Home(home), journal_elsewhere=True)[0].sentence.split()
    assert "runs," in database(Home(home))[0].sentence.split()


def test_a_block_that_is_damaged_is_found(home: Path) -> None:
    file = Home(home).database
    Database(file, prepare=Home(home).prepare).write(
        lambda c: c.execute(
            "INSERT INTO candles SELECT 1, '2020-01-01'::TIMESTAMP + INTERVAL 1 HOUR * i, "
            "random(), random(), random(), random(), random() FROM range(200000) AS t(i)"
        )
    )
    assert database(Home(home))[0].status == "ok"
    data = bytearray(file.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 200_000, 1000):
        data[place] ^= 0xFF
    file.write_bytes(data)
    (check,) = database(Home(home))
    assert (check.status, bool(check.remedy)) == ("error", True), check


@contextmanager
def _silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"


async def test_a_check_that_hangs_is_given_up_and_hides_nothing_else(home: Path) -> None:
    with _silent_server() as url:
        found = await Checkup(RunnerSettings(home=home, server_url=url), server_s=0.3).run()
    said = {each.check: (each.status, each.sentence) for each in found}
    assert said["server"] == ("error", "No answer within 0.3 s.")
    assert said["database"][0] == "ok"
    assert said["exchange coinbase"][0] == "skipped"


async def test_another_server_is_not_taken_for_ours(home: Path) -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})

    with served(other) as url:
        (server,) = [
            each for each in await Checkup(RunnerSettings(home=home, server_url=url)).run() if each.check == "server"
        ]
    assert (server.status, "cannot be reached" in server.sentence) == ("error", True)


async def test_a_token_that_only_reads_is_told(home: Path) -> None:
    with guarded(ServerSettings(home=home, tokens=TOKENS, exchange="simulated")) as there:
        settings = RunnerSettings(
            home=home, server_url=there.url, token=SecretStr(READS), exchange="simulated", chain_urls={"none": []}
        )
        found = {each.check: each for each in await Checkup(settings).run()}
    reading = sum(bool(file.annotations.read_only_hint) for file in tool_files().values())
    assert found["server"].sentence == f"Answers a handshake and offers {reading} tools; its token may only read."
    assert found["exchange simulated"].status == "ok"


async def test_as_of_the_past_nothing_live_is_asked(home: Path) -> None:
    as_of = datetime(2026, 3, 1, tzinfo=UTC)
    with guarded(ServerSettings(home=home, exchange="simulated")) as there:
        settings = RunnerSettings(home=home, server_url=there.url, as_of=as_of, chain_urls={"none": []})
        found = {each.check: each for each in await Checkup(settings).run()}
    assert found["server"].status == "ok"
    assert (found["exchange coinbase"].status, "TRADER_AS_OF" in found["exchange coinbase"].sentence) == (
        "skipped",
        True,
    )


async def test_a_clock_that_is_behind_the_exchange_is_told(home: Path) -> None:
    with StandInExchange() as rig:
        rig.clock_skew_ms = 60_000
        server = ServerSettings(home=home, exchange="binance", exchange_urls={"binance": rig.url})
        with guarded(server) as there:
            settings = RunnerSettings(home=home, server_url=there.url, exchange="binance", chain_urls={"none": []})
            found = {each.check: each for each in await Checkup(settings).run()}
    assert found["exchange binance"].status == "ok", found["exchange binance"]
    assert (found["clock"].status, "behind binance's" in found["clock"].sentence) == ("error", True), found["clock"]


def test_what_is_wrong_with_the_list_of_feeds_is_told_without_its_keys(home: Path) -> None:
    (home / "feeds.json").write_text(
        '{"feeds": [{"source": "mine", "url": "https://joe:SECRET@a.example/?key=SECRET"}]}'
    )
    (finding,) = news(Home(home), RunnerSettings(home=home, news="on"))
    assert finding.status == "warning"
    assert "feeds.json of the home is not valid: feeds.0.url" in finding.sentence
    assert "user and password" in finding.remedy
    assert "SECRET" not in finding.sentence + finding.remedy


def test_a_role_that_may_only_read_a_journal_is_told_what_it_lacks() -> None:
    rights = [f"{kind} on executions" for kind in ("DELETE", "INSERT", "UPDATE")]
    (told,) = judged_journal(3, [*rights, "INSERT on strategies"], None)
    assert told.status == "warning"
    assert told.sentence.endswith(f"it lacks {', '.join(rights)} and 1 more.")
    assert "docs/guides/scaling.md" in told.remedy
    (fine,) = judged_journal(3, [], None)
    assert (fine.status, fine.sentence) == ("ok", "The Postgres of TRADER_DATABASE_URL has it: 3 runs.")
