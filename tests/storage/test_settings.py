"""Both programs read their settings in one way, and never tell a secret back."""

from pathlib import Path

import pytest

from mcp_server.errors import Misconfigured
from mcp_server.settings import ServerSettings
from mcp_server.storage.settings import HomeSettings
from runner.settings import RunnerSettings

BOTH = pytest.mark.parametrize("settings", [ServerSettings, RunnerSettings])


@pytest.fixture(autouse=True)
def _home_in_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("TRADER_HOME", str(home))


@BOTH
def test_the_environment_wins_over_the_file_of_the_home_and_an_empty_value_is_none(
    settings: type[HomeSettings], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".env").write_text("TRADER_EXCHANGE=kraken\nTRADER_TOKEN=of-the-file\n")
    assert settings.load().exchange == "kraken"
    monkeypatch.setenv("TRADER_EXCHANGE", "binance")
    monkeypatch.setenv("TRADER_TOKEN", "")
    loaded = settings.load()
    assert loaded.exchange == "binance"
    assert loaded.token is not None
    assert loaded.token.get_secret_value() == "of-the-file"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (ServerSettings, "ETHERSCAN_API_KEY"),
        (RunnerSettings, "ANTHROPIC_API_KEY"),
        (RunnerSettings, "ANTHROPIC_BASE_URL"),
    ],
)
def test_a_credential_keeps_its_owners_name_and_is_never_shown(
    settings: type[HomeSettings], name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.load().credentials == {}
    (home / ".env").write_text(f"{name}=in-the-file\nTRADER_{name}=wrong\n")
    (value,) = settings.load().credentials.values()
    assert value.get_secret_value() == "in-the-file"
    monkeypatch.setenv(name, "in-the-environment")
    loaded = settings.load()
    assert {key: value.get_secret_value() for key, value in loaded.credentials.items()} == {name: "in-the-environment"}
    assert "in-the-environment" not in repr(loaded) + loaded.model_dump_json()


@BOTH
def test_a_wrong_setting_is_named_by_its_variable_and_not_told_back(
    settings: type[HomeSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADER_TOKEN", "a secret with spaces")
    monkeypatch.setenv("TRADER_CHAIN_URLS", '{"ethereum": {"url": "https://a.example/KEY"}}')
    with pytest.raises(Misconfigured, match=r"TRADER_CHAIN_URLS\.ethereum: .*list") as raised:
        settings.load()
    assert "TRADER_TOKEN: " in str(raised.value)
    assert "secret with" not in str(raised.value)
    assert "KEY" not in str(raised.value)


@BOTH
def test_a_file_that_cannot_be_read_and_a_value_that_is_no_json_are_named(
    settings: type[HomeSettings], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".env").write_bytes(b"TRADER_TOKEN=\xff\n")
    with pytest.raises(Misconfigured, match=r"\.env") as raised:
        settings.load()
    assert raised.value.remedy
    (home / ".env").unlink()
    names = {"chain_urls", "explorer_urls", "exchange_urls", "tokens"} & settings.model_fields.keys()
    if settings is RunnerSettings:
        names -= {"tokens"}  # only the server reads them
    for name in names:
        monkeypatch.setenv(f"TRADER_{name.upper()}", "https://a.example/KEY")
    with pytest.raises(Misconfigured) as raised:
        settings.load()
    lines = str(raised.value).splitlines()[1:]
    assert {line.partition(":")[0] for line in lines} == {f"- TRADER_{name.upper()}" for name in names}
    assert all("JSON" in line and "KEY" not in line for line in lines)


def test_what_a_runner_hides_is_every_secret_and_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TRADER_TOKEN": "t", "ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://u"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRADER_NOTIFY", "json://n")
    assert RunnerSettings.load().secrets() == ["t", "json://n", "k"]
