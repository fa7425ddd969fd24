"""Connections to a real server with TLS, and one that has it not as it must be: which are made, and what errors say."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest

from mcp_server.errors import Misconfigured, Retryable
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from tests.rigs.postgres_tls import BEYOND, Authority, TlsPostgres

NAME = "db.example"
HERE = "127.0.0.1"
SECRET = "hunter2-%26"  # noqa: S105
PASSWORD_ONLY = f"hostssl all all {HERE}/32 scram-sha-256"
LIMIT_S = 20.0
TLS_UNASKED_SINCE = 170_000
UNENCRYPTED = f"host all all {HERE}/32 trust"


@pytest.fixture(scope="module")
def server() -> Iterator[TlsPostgres]:
    with TlsPostgres() as running:
        if not running.has_tls:
            pytest.skip("this Postgres was built without TLS; Debian's has it")
        running.run("CREATE ROLE u LOGIN SUPERUSER PASSWORD 'hunter2-%26'")
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def shown(server: TlsPostgres, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each test, the server has a certificate of its name and of its address, and lets everybody in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    server.allow(UNENCRYPTED)
    server.show(*authority.certificate(NAME, BEYOND))


@contextmanager
def opened(url: str) -> Iterator[PostgresDatabase]:
    database = PostgresDatabase(PostgresAddress.of(url), patience_s=2)
    try:
        yield database
    finally:
        database.close()


def encryption(url: str) -> tuple[Any, ...]:
    """Return whether a session is encrypted, and by what, as the server sees it."""
    asked = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    with opened(url) as database:
        (row,) = database.read(lambda connection: connection.execute(asked).fetchall())
    return row


def refused(url: str) -> Misconfigured:
    """Return the error of a URL by which nothing can be read, nor any sign of life given."""
    with opened(url) as database:
        with pytest.raises(Misconfigured) as raised:
            database.read(lambda connection: None)
        with pytest.raises(Misconfigured):
            database.signs_of_life(Path()).show("0" * 32)
    assert "hunter2" not in str(raised.value)
    return raised.value


def test_a_server_beyond_this_machine_is_asked_for_tls_and_one_with_it_is_used_encrypted(server: TlsPostgres) -> None:
    assert encryption(server.address(BEYOND)) == (True, "TLSv1.3")
    assert encryption(server.address(BEYOND, sslmode="disable")) == (False, None)


def test_with_the_authoritys_certificate_the_server_must_show_one_of_its_for_the_host(
    server: TlsPostgres, authority: Authority
) -> None:
    known = {"sslrootcert": str(authority.file)}
    for url in (
        server.address(BEYOND, **known),
        server.address(BEYOND, sslmode="verify-full", **known),
        server.address(NAME, hostaddr=HERE, sslmode="verify-full", **known),
        server.address(NAME, hostaddr=f"{HERE},{HERE}", sslmode="verify-full", **known).replace(NAME, f"x,{NAME}"),
        server.address(BEYOND, channel_binding="require", user=f"u:{SECRET.replace('%', '%25')}", **known),
    ):
        if "channel_binding" in url:
            server.allow(PASSWORD_ONLY)
        assert encryption(url) == (True, "TLSv1.3")


def test_a_server_without_tls_is_refused_and_nothing_is_sent_to_it(server: TlsPostgres) -> None:
    server.show(None)
    error = refused(server.address(BEYOND, user="u:hunter2"))
    assert error.problem == (
        f"The connection to the database {BEYOND}:{server.port}/postgres is not as safe as it must be: "
        "the server has no TLS."
    )
    assert error.remedy == "Turn it on there (`ssl = on`), or write sslmode=disable to do without."
    assert encryption(server.address(HERE)) == (False, None)


def test_a_server_that_does_not_take_tls_unasked_is_told_apart(server: TlsPostgres, authority: Authority) -> None:
    url = server.address(BEYOND, sslnegotiation="direct", sslrootcert=str(authority.file))
    with psycopg.connect(server.url("postgres")) as session:
        takes_it = session.info.server_version >= TLS_UNASKED_SINCE
    if takes_it:
        assert encryption(url) == (True, "TLSv1.3")
        return
    error = refused(url)
    assert error.problem.endswith("is not as safe as it must be: the server does not take sslnegotiation=direct.")
    assert error.remedy.startswith("Leave it out of TRADER_DATABASE_URL, or use Postgres 17 or newer")


def test_a_certificate_of_another_name_or_authority_or_that_is_over_is_told_apart(
    server: TlsPostgres, authority: Authority, tmp_path: Path
) -> None:
    known = {"sslrootcert": str(authority.file), "user": "u:hunter2"}
    error = refused(server.address("other.example", hostaddr=HERE, sslmode="verify-full", **known))
    assert "Hostname mismatch" in error.problem
    assert error.remedy.startswith("Write the host as the server's certificate names it")
    assert encryption(server.address("other.example", hostaddr=HERE, sslmode="verify-ca", **known)) == (True, "TLSv1.3")
    others = Authority(tmp_path, "another authority")
    error = refused(server.address(BEYOND, sslmode="verify-ca", user="u:hunter2", sslrootcert=str(others.file)))
    assert "unable to get local issuer certificate" in error.problem
    assert error.remedy.startswith("Set sslrootcert to the file")
    server.show(*authority.certificate(NAME))
    error = refused(server.address(BEYOND, **known))
    assert "IP address mismatch" in error.problem
    assert error.problem.endswith("'."), "one full stop"
    server.show(*authority.certificate(BEYOND, days=-0.5))
    error = refused(server.address(BEYOND, **known))
    assert "certificate has expired" in error.problem
    assert error.remedy.startswith("Have the server's certificate renewed")
    assert encryption(server.address(BEYOND)) == (True, "TLSv1.3"), "`require` alone accepts any certificate"


def test_a_file_that_is_not_there_or_is_none_is_named_with_what_to_do(
    server: TlsPostgres, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    certificate, key = authority.certificate("u")
    other_key = authority.certificate("u")[1]
    for parameters, problem in (
        ({"sslmode": "verify-full", "sslrootcert": "/none.pem"}, "No such file"),
        ({"sslmode": "verify-ca", "sslrootcert": str(tmp_path / "no.pem")}, "cannot be read"),
        ({"sslmode": "verify-ca", "sslrootcert": "system"}, "servers of anybody"),
        ({"sslcert": str(certificate), "sslkey": str(other_key)}, "cannot be used with sslkey"),
        ({"sslcert": str(certificate), "sslkey": "/none.pem"}, "cannot be used with sslkey"),
    ):
        assert problem in refused(server.address(BEYOND, **parameters)).problem
    key.chmod(0o644)
    error = refused(server.address(BEYOND, sslcert=str(certificate), sslkey=str(key)))
    assert "can be read by others" in error.problem
    assert error.remedy == f"`chmod 600 {key}`."


def test_a_server_can_know_its_clients_by_their_certificates(
    server: TlsPostgres, authority: Authority, tmp_path: Path
) -> None:
    server.show(*authority.certificate(BEYOND), clients=authority.file)
    server.allow(f"hostssl all all {HERE}/32 cert")

    def url(signer: Authority) -> str:
        certificate, key = signer.certificate("u")
        mine = {"sslrootcert": str(authority.file), "sslcert": str(certificate), "sslkey": str(key)}
        return server.address(BEYOND, user="u", **mine)

    assert encryption(url(authority)) == (True, "TLSv1.3")
    error = refused(url(Authority(tmp_path)))
    assert "TLS failed" in error.problem
    assert "sslcert" in error.remedy


def test_the_environment_weakens_nothing(
    server: TlsPostgres, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "services").write_text(f"[s]\nsslmode=disable\nhostaddr={BEYOND}\ngssencmode=prefer\n")
    for name, value in (
        ("PGSSLMODE", "disable"),
        ("PGHOST", "elsewhere.example"),
        ("PGHOSTADDR", "192.0.2.1"),
        ("PGDATABASE", "another"),
        ("PGGSSENCMODE", "prefer"),
        ("PGSERVICEFILE", str(tmp_path / "services")),
        ("PGSERVICE", "s"),
    ):
        monkeypatch.setenv(name, value)
    assert encryption(server.address(BEYOND)) == (True, "TLSv1.3")
    assert encryption(server.address("localhost")) == (False, None), "within this machine it may"
    server.show(None)
    assert "no TLS" in refused(server.address(BEYOND)).problem
    address = PostgresAddress.of(server.address(BEYOND))
    assert address.parameters["gssencmode"] == "disable"
    monkeypatch.delenv("PGSERVICE")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(authority.file))
    assert "no TLS" in refused(server.address("localhost")).problem, "it can demand more"


def test_a_password_may_come_from_the_environment_or_a_password_file(
    server: TlsPostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.allow(PASSWORD_ONLY)
    url = server.address(BEYOND, user="u")
    with opened(url) as database, pytest.raises(Retryable, match="password"):
        database.read(lambda connection: None)
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert encryption(url) == (True, "TLSv1.3")
    monkeypatch.delenv("PGPASSWORD")
    file = tmp_path / "passwords"
    file.write_text(f"*:*:*:u:{SECRET}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert encryption(url) == (True, "TLSv1.3")


def test_an_encrypted_session_that_is_lost_is_a_server_that_is_away_and_is_made_anew(server: TlsPostgres) -> None:
    with opened(server.address(BEYOND)) as database:
        database.read(lambda connection: None)
        server.kill()
        for _ in range(2):
            with pytest.raises(Retryable):
                database.read(lambda connection: None)
        server.start()
        assert database.read(lambda connection: connection.execute("SELECT 1").fetchall()) == [(1,)]


def show_another(database: PostgresDatabase) -> None:
    """Show a sign of life; once more where it was found only then that the session has ended."""
    with suppress(Retryable):
        database.signs_of_life(Path()).show("1" * 32)
        return
    database.signs_of_life(Path()).show("1" * 32)


def test_signs_of_life_come_back_once_a_certificate_that_was_over_is_renewed(
    server: TlsPostgres, authority: Authority
) -> None:
    held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"

    def until_there_are(holders: int) -> None:
        deadline = monotonic() + LIMIT_S
        with psycopg.connect(server.url("postgres"), autocommit=True) as session:
            while len(session.execute(held).fetchall()) != holders:
                assert monotonic() < deadline

    with opened(server.address(BEYOND, sslrootcert=str(authority.file))) as database:
        lock = database.signs_of_life(Path()).show("0" * 32)
        until_there_are(1)
        server.show(*authority.certificate(BEYOND, days=-0.5))
        server.run("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        until_there_are(0)
        with pytest.raises(Misconfigured):
            show_another(database)
        server.show(*authority.certificate(BEYOND))
        until_there_are(1)
        lock.close()


TRANSLATED = """
import locale, sys
locale.setlocale(locale.LC_ALL, "C.UTF-8")
from mcp_server.errors import Misconfigured
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
import psycopg
try:
    psycopg.connect(sys.argv[1])
except psycopg.Error as error:
    print(error)
try:
    PostgresDatabase(PostgresAddress.of(sys.argv[1])).read(lambda connection: None)
except Misconfigured as error:
    print(error.problem)
"""


@pytest.mark.long
def test_what_is_unsafe_is_known_whatever_language_libpq_speaks(server: TlsPostgres) -> None:
    """The system's libpq may have translations, the one within psycopg has none."""
    server.show(None)
    command = [sys.executable, "-c", TRANSLATED, server.address(BEYOND, sslmode="require")]
    speaking = {**os.environ, "LANGUAGE": "de", "PSYCOPG_IMPL": "python"}
    done = subprocess.run(command, env=speaking, capture_output=True, text=True, check=False)
    if "no pq wrapper available" in done.stderr or "Server" not in done.stdout.partition("\n")[0]:
        pytest.skip("no libpq here speaks German")
    assert "the server has no TLS" in done.stdout, done
