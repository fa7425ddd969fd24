"""The URL of a Postgres: what is read in it, what must be encrypted, and that no error tells a part of it back."""

import sys
from pathlib import Path

import pytest

from mcp_server.errors import Misconfigured
from mcp_server.settings import ServerSettings
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.settings import HomeSettings
from runner.settings import RunnerSettings

SECRET = "hunter2-%26"  # noqa: S105
WRITTEN = "hunter2-%2526"
"""The same in a URL."""


@pytest.mark.parametrize("settings", [ServerSettings, RunnerSettings])
def test_a_program_does_not_start_where_the_url_of_the_journal_leads_nowhere(
    settings: type[HomeSettings], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADER_DATABASE_URL", f"mysql://u:{WRITTEN}@127.0.0.1/journal")
    with pytest.raises(Misconfigured, match="not the address of a Postgres") as raised:
        settings.load()
    assert "hunter2" not in str(raised.value)
    monkeypatch.setenv("TRADER_DATABASE_URL", "")
    assert settings.load().database_url is None
    (home / ".env").write_text("TRADER_DATABASE_URL=journal.db\n")
    with pytest.raises(Misconfigured, match="not the address of a Postgres"):
        settings.load()


def test_the_url_and_its_password_are_secrets_of_the_runner(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql://u:{WRITTEN}@127.0.0.1/journal"
    monkeypatch.setenv("TRADER_DATABASE_URL", url)
    settings = RunnerSettings.load()
    assert {url, SECRET} <= {*settings.secrets()}
    assert "hunter2" not in repr(settings)


SSLMODES = [
    ("postgresql://u@127.0.0.1/j", None),
    ("postgresql://u@[::1]:5433/j", None),
    ("postgresql://u@localhost/j?sslmode=prefer", "prefer"),
    ("postgresql:///j?host=/run/postgresql", None),
    ("postgres://u@db.example/j", "require"),
    ("postgresql://u@10.0.0.5/j", "require"),
    ("postgresql://u@127.0.0.1,db.example/j", "require"),
    ("postgresql://u@localhost/j?hostaddr=10.0.0.5", "require"),
    ("postgresql://u@db.example/j?sslrootcert=/etc/ca.pem", "verify-full"),
    ("postgresql://u@db.example/j?sslrootcert=system&sslmode=verify-ca", "verify-ca"),
    ("postgresql://u@db.example/j?sslmode=disable", "disable"),
]


@pytest.mark.parametrize(("url", "sslmode"), SSLMODES)
def test_what_leaves_this_machine_is_encrypted_unless_it_is_written_otherwise(url: str, sslmode: str | None) -> None:
    assert PostgresAddress.of(url).parameters.get("sslmode") == sslmode


@pytest.mark.parametrize("sslmode", ["allow", "prefer", "yes"])
def test_what_may_be_encrypted_or_not_is_refused(sslmode: str) -> None:
    with pytest.raises(Misconfigured, match="leaves open") as raised:
        PostgresAddress.of(f"postgresql://u:{WRITTEN}@db.example/j?sslmode={sslmode}")
    assert "sslmode=disable" in raised.value.remedy
    assert "hunter2" not in str(raised.value)


WRONG = [
    f"mysql://u:{WRITTEN}@h/j",
    f"host=h dbname=j password={WRITTEN}",
    f"postgresql://u:{WRITTEN}@h",
    f"postgresql://u:{WRITTEN}@/j",
    f"postgresql://u:{WRITTEN}@h1,/j",
    f"postgresql://u:{WRITTEN}%zz@h/j",
    f"postgresql://u:{WRITTEN}@h/j?{WRITTEN}",
    f"postgresql://u:{WRITTEN}@[h/j",
    f"postgresql://u:1/{WRITTEN}@h/j",
    f"postgresql://u:{WRITTEN}/1@h/j",
    f"postgresql://u:1@{WRITTEN}@h/j",
    f"postgresql://u:{WRITTEN}@@h/j",
    f"postgresql://u:1?1@{WRITTEN}@h/j",
    f"postgresql://u:1?1@{WRITTEN}/1@h/j",
    f"postgresql://h:{WRITTEN}/j",
]


@pytest.mark.parametrize("url", WRONG)
def test_a_url_that_leads_nowhere_is_refused_without_telling_a_part_of_it(url: str) -> None:
    with pytest.raises(Misconfigured, match="TRADER_DATABASE_URL") as raised:
        PostgresAddress.of(url)
    assert "postgresql://USER:PASSWORD@HOST/DATABASE" in raised.value.remedy
    assert raised.value.__cause__ is None
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p?:@h:1,g:2/j",
        "postgresql://%40h/j?application_name=a@b",
        "postgresql:///j?host=/run/one@home,@abstract",
        "postgresql://u%40tenant:p%2F@[::1]:5433/j%40k",
    ],
)
def test_an_at_sign_or_a_slash_that_libpq_reads_as_it_is_meant_is_no_fault(url: str) -> None:
    PostgresAddress.of(url)


def test_an_address_shows_where_it_leads_and_no_secret() -> None:
    address = PostgresAddress.of(f"postgresql://u:{WRITTEN}@db.example/j?sslpassword=key-of-it")
    assert address.parameters["password"] == SECRET
    assert str(address) == "db.example:5432/j"
    for place, shown in (
        ("/j?host=/run/postgresql", "/run/postgresql/j"),
        ("h1,h2/j", "h1,h2/j"),
        ("h1:1,h2/j", "h1:1,h2/j"),
        ("/j?host=h1,h2&port=1", "h1:1,h2:1/j"),
    ):
        assert str(PostgresAddress.of(f"postgresql://{place}")) == shown
    assert "hunter2" not in f"{address!r} {address}"
    assert address.without_secrets(f"{SECRET} and key-of-it") == "[secret] and [secret]"


def test_where_the_extra_is_missing_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Misconfigured, match="not installed") as raised:
        PostgresAddress.of("postgresql://u@127.0.0.1/j")
    assert "pip install 'claude-trader[postgres]'" in raised.value.remedy
    assert "in a checkout `.venv/bin/pip install -e '.[postgres]'`" in raised.value.remedy
