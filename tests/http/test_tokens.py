"""Tokens come from settings and a file; what is wrong with them is told without telling them."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from mcp_server.errors import Misconfigured
from mcp_server.http.tokens import Grant, tokens_of
from mcp_server.settings import ServerSettings


def _settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> ServerSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return ServerSettings.load()


def test_the_single_token_may_write_and_others_what_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text('{"partner": {"token": "filed", "scope": "write"}}')
    said = json.dumps({"phone": {"token": "pocket"}, "ci": {"token": "robot", "scope": "read"}})
    tokens = tokens_of(_settings(monkeypatch, TRADER_TOKEN="single", TRADER_TOKENS=said, TRADER_TOKENS_FILE=str(file)))
    assert tokens.grant(b"Bearer single") == Grant("token TRADER_TOKEN", "write")
    assert tokens.grant(b"bearer pocket") == Grant("token phone", "read")
    assert tokens.grant(b"Bearer  robot ") == Grant("token ci", "read")
    assert tokens.grant(b"Bearer filed") == Grant("token partner", "write")
    for sent in (b"", b"Bearer", b"Bearer ", b"pocket", b"Basic pocket", b"Bearer pocke", b"Bearer pockets", b"\xff"):
        assert tokens.grant(sent) is None


def test_the_runner_is_known_by_its_own_token_and_makes_none_needed_of_others(home: Path) -> None:
    tokens = tokens_of(ServerSettings(home=home, runner_token=SecretStr("of the runner".replace(" ", "-"))))
    assert not tokens
    assert tokens.grant(b"Bearer of-the-runner") == Grant("the runner", "write", bounded=False)
    assert tokens.grant(b"Bearer ") is None


def test_without_tokens_nobody_has_one(home: Path) -> None:
    assert not tokens_of(ServerSettings(home=home))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"TRADER_TOKENS": '{"a": {"token": "s3cret one"}}'}, r"TRADER_TOKENS\.a\.token: .*printable ASCII"),
        ({"TRADER_TOKENS": '{"a": {"token": "s3cret", "scope": "s3cret"}}'}, "'read' or 'write'"),
        ({"TRADER_TOKENS": '{"a": {"token": "s3cret", "scpoe": "read"}}'}, "scpoe: not a known key"),
        ({"TRADER_TOKENS": '{"a": "s3cret"}'}, r"TRADER_TOKENS\.a: .*JSON object"),
        ({"TRADER_TOKENS": "s3cret"}, "TRADER_TOKENS.*JSON"),
        ({"TRADER_TOKENS": '{"a": {"token": ""}}'}, "printable ASCII"),
        ({"TRADER_TOKENS": '{"a": {"token": "s3cret"}, "b": {"token": "s3cret"}}'}, "are the same"),
        ({"TRADER_TOKEN": "s3cret", "TRADER_TOKENS": '{"a": {"token": "s3cret"}}'}, "are the same"),
        ({"TRADER_PUBLIC_HOSTS": "https://trader.example"}, "TRADER_PUBLIC_HOSTS"),
        ({"TRADER_CALLS_PER_MINUTE": "0"}, "TRADER_CALLS_PER_MINUTE:.* Input should be greater"),
    ],
)
def test_what_is_wrong_is_told_without_a_token(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    with pytest.raises(Misconfigured, match=words) as told:
        tokens_of(_settings(monkeypatch, **variables))
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file"),
        ("{}", "names no token"),
        ("s3cret", "is not valid"),
        ('{"a": {"token": "s3cret", "scope": "admin"}}', "a.scope:.* Input should be 'read' or 'write'"),
        ('{"named": {"token": "s3cret"}}', "both name 'named'"),
        ("\udcff", "it is not UTF-8"),
    ],
)
def test_a_file_that_is_wrong_is_told_without_a_token(home: Path, text: str | None, words: str) -> None:
    file = home / "tokens.json"
    if text is not None:
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Misconfigured, match=words) as told:
        tokens_of(ServerSettings(home=home, tokens={"named": {"token": SecretStr("other")}}, tokens_file=file))
    assert "s3cret" not in str(told.value)


def test_public_names_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    said = _settings(monkeypatch, TRADER_PUBLIC_HOSTS=" trader.example, trader.fly.dev ,")
    assert said.public_hosts == ("trader.example", "trader.fly.dev")
