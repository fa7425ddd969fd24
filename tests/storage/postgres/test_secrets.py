"""The password of the journal's URL stands nowhere: in no output, log, file, page or argument, nor where agents are."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from urllib.error import HTTPError
from urllib.parse import quote, quote_plus

import psutil
import pytest
from pydantic import SecretStr

from mcp_server.storage.queries.ask import Queries
from mcp_server.storage.queries.question import Question
from tests.rigs.postgres_tls import BEYOND, Authority, TlsPostgres
from tests.rigs.running_up import write_strategy
from tests.rigs.warm import Warm
from tests.runner.conftest import trader_in

PASSWORD = "pass/word%:&+é @hunter2"  # noqa: S105
WRITTEN = quote(PASSWORD, safe="")
LIMIT_S = 60.0
NO_CHAINS = {"TRADER_CHAIN_URLS": json.dumps(dict.fromkeys(("bitcoin", "ethereum"), "http://127.0.0.1:1"))}


def forms(secret: str) -> Iterator[bytes]:
    """Yield what a secret may look like: plain, in a URL, and each of these in base64, within any text."""
    for written in {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}:
        yield written.encode()
        for before in range(3):
            inner = base64.b64encode(b"x" * before + written.encode())[4:-4]
            yield from (inner, inner.replace(b"+", b"-").replace(b"/", b"_"))


FORMS = [*forms(PASSWORD), b"hunter2"]


def clean(shown: str | bytes) -> bool:
    """Return whether no form of the password is in it."""
    content = shown if isinstance(shown, bytes) else shown.encode()
    return not [form for form in FORMS if form in content]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsPostgres]:
    """A server that wants the password, and TLS where it has that."""
    with TlsPostgres() as running:
        if running.has_tls:
            running.show(*Authority(tmp_path_factory.mktemp("authority")).certificate(BEYOND))
        running.allow(f"{'hostssl' if running.has_tls else 'host'} all all 127.0.0.1/32 scram-sha-256")
        running.run(f"CREATE ROLE u LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        yield running


@pytest.fixture
def url(server: TlsPostgres) -> str:
    name = server.new_database().rpartition("?")[0].rpartition("/")[2]
    return server.address(BEYOND if server.has_tls else "127.0.0.1", name, user=f"u:{WRITTEN}")


def test_every_form_of_the_password_would_be_found() -> None:
    for text in (f"://u:{WRITTEN}@h", f"password={PASSWORD}", quote_plus(PASSWORD)):
        assert not clean(text)
        assert not clean(base64.b64encode(text.encode()))
    assert clean("postgresql://u:[secret]@h")


SAYS = {
    "right": ("as of", 0),
    "another password": ("password authentication failed", 1),
    "no server": ("Connection refused", 1),
    "half a URL": ("lacks a host or a database", 1),
    "no URL": ("cannot be read", 1),
    "perhaps encrypted": ("leaves open", 1),
}


@pytest.mark.parametrize(
    "what", ["another password", *(pytest.param(state, marks=pytest.mark.long) for state in SAYS if state[0] != "a")]
)
def test_no_command_shows_the_password_whether_it_works_or_fails(url: str, home: Path, what: str) -> None:
    given = {
        "right": url,
        "another password": url.replace(WRITTEN, f"{WRITTEN}%20"),
        "no server": f"postgresql://u:{WRITTEN}@127.0.0.1:1/j",
        "half a URL": f"postgresql://u:{WRITTEN}@h",
        "no URL": f"postgresql://u:{WRITTEN}%zz@h/j",
        "perhaps encrypted": f"postgresql://u:{WRITTEN}@{BEYOND}/j?sslmode=prefer",
    }[what]
    write_strategy(home, "dip")
    trader = trader_in(home)
    words, code = SAYS[what]
    shown = ""
    for command in (("run", "dip"), ("doctor",), ("status", "--json"), ("up",)):
        if command == ("up",) and what in ("right", "another password", "no server"):
            continue  # it goes on
        done = trader(*command, TRADER_DATABASE_URL=given, **NO_CHAINS)
        assert clean(done.out), command
        assert clean(done.err), command
        shown += done.out + done.err
        if command[0] == "run":
            assert bool(done.code) == bool(code), done
    assert words in shown
    for file in home.rglob("*"):
        assert not file.is_file() or clean(file.read_bytes()), file


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def get(address: str) -> bytes:
    """Return what is answered, once anybody does."""
    deadline = monotonic() + LIMIT_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=LIMIT_S) as answer:  # noqa: S310 - loopback's
                content: bytes = answer.read()
                return content
        except HTTPError as error:
            return error.read()
        except OSError:
            assert monotonic() < deadline
            sleep(0.1)


@pytest.mark.long
def test_a_scheduler_shows_the_password_nowhere_also_while_its_database_is_away(
    server: TlsPostgres, url: str, home: Path, tmp_path: Path
) -> None:
    write_strategy(home, "dip")
    ports = free_port(), free_port()
    arguments = ["up", "--port", str(ports[0]), "--metrics-port", str(ports[1]), "--grace", "1"]
    environment = {**os.environ, "TRADER_HOME": str(home), "TRADER_DATABASE_URL": url, "TRADER_NEWS": "off"}
    log = tmp_path / "up.log"
    shown: list[bytes] = []

    def look() -> None:
        places = [f"http://127.0.0.1:{ports[0]}/{page}" for page in ("health", "", "api")]
        shown.extend(map(get, [*places, f"http://127.0.0.1:{ports[1]}/metrics"]))
        done = trader_in(home)("status", TRADER_DATABASE_URL=url)
        shown.extend([done.out.encode(), done.err.encode()])

    with log.open("wb") as writing, open(os.devnull) as nothing:
        streams = (nothing.fileno(), writing.fileno(), writing.fileno())
        up = Warm("runner", arguments, environment, home, streams, session=True, forks_servers=False)
    try:
        look()
        started = [psutil.Process(up.pid), *psutil.Process(up.pid).children(recursive=True)]
        assert len(started) > 1
        shown += [word.encode() for process in started for word in process.cmdline()]
        server.kill()
        look()
        up.send_signal(signal.SIGTERM)
        assert up.wait(LIMIT_S) == 0
    finally:
        if up.poll() is None:
            up.kill()
        server.start()
    assert b"claude_trader_running" in b"".join(shown)
    assert b"Connection refused" in b"".join(shown)
    assert all(map(clean, shown))
    assert clean(log.read_bytes())
    for file in home.rglob("*"):
        assert not file.is_file() or clean(file.read_bytes()), file


def test_a_traceback_of_an_error_that_nobody_foresaw_does_not_show_the_password(home: Path, url: str) -> None:
    """Where a program ends by one, with Python's own report of threads too."""
    code = (
        "import faulthandler, sys, runner.cli.status\n"
        "from mcp_server.storage.postgres.database import PostgresDatabase\n"
        "faulthandler.enable()\n"
        "def fail(self, *arguments, **named):\n"
        "    faulthandler.dump_traceback()\n"
        "    address = self.address\n"
        "    raise ZeroDivisionError(address)\n"
        "PostgresDatabase.read = PostgresDatabase.write = fail\n"
        "from runner.__main__ import main\n"
        "sys.argv = ['claude-trader', 'signals']\n"
        "main()\n"
    )
    environment = {**os.environ, "TRADER_HOME": str(home), "TRADER_DATABASE_URL": url}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert b"ZeroDivisionError" in done.stderr
    assert clean(done.stderr + done.stdout)


async def test_the_process_that_answers_questions_is_given_the_url_by_a_pipe_alone(
    home: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADER_DATABASE_URL", url)
    queries = Queries(SecretStr(url))
    try:
        question = Question(home, "SELECT count(*) FROM executions", datetime.now(UTC), 10, 200, 5.0)
        assert (await queries.ask(question))["rows"] == [[0]]
        waiting = queries._child._waiting
        assert waiting is not None
        child = psutil.Process(waiting.pid)
        assert clean("\n".join([*child.cmdline(), *child.environ().values()]))
    finally:
        await queries.close()


async def test_it_is_also_answered_where_the_password_is_in_a_variable_of_libpq(
    home: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    queries = Queries(SecretStr(url.replace(f":{WRITTEN}", "")))
    try:
        question = Question(home, "SELECT count(*) FROM executions", datetime.now(UTC), 10, 200, 5.0)
        assert (await queries.ask(question))["rows"] == [[0]]
    finally:
        await queries.close()
