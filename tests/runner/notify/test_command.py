import json
from pathlib import Path

import pytest

from mcp_server.errors import Misconfigured
from runner.settings import RunnerSettings
from runner.tool_server.server import tool_server
from tests.rigs.forked_sender import forked_senders
from tests.rigs.processes import children
from tests.rigs.receiver import receiver
from tests.runner.conftest import Command

SECRET = "tok3n-that-must-not-leak"  # noqa: S105 (it is none)


def test_a_test_notification_says_which_address_took_it(trader: Command) -> None:
    with receiver() as service, forked_senders():
        wrong = f"json://127.0.0.1:9/{SECRET}"
        done = trader("notify", TRADER_NOTIFY=f"{service.url} {wrong}")
        both = trader("notify", "signal", "--json", TRADER_NOTIFY=service.url)
    assert done.code == 1
    assert done.out.splitlines() == [
        "address 1 of TRADER_NOTIFY (json): sent",
        "address 2 of TRADER_NOTIFY (json): refused, it refused the connection",
    ]
    assert both.code == 0
    assert both.json["results"][0]["result"] == "sent"
    assert service.got[0] == {"title": "Claude Trader", "message": "This is a test: notifications arrive here."}
    assert service.got[1]["title"] == "(strategy): (signal) (before: (before))"
    assert SECRET not in done.out + done.err


def test_what_is_not_set_or_not_known_is_told(trader: Command) -> None:
    assert "TRADER_NOTIFY is not set" in trader("notify").err
    assert "Use one of signal, failure" in trader("notify", "signals").err


async def test_a_local_tool_server_is_not_given_the_addresses(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADER_NOTIFY", f"ntfy://{SECRET}/x")
    async with tool_server(RunnerSettings.load()):
        (server,) = children()
        assert "TRADER_NOTIFY" not in server.environ()


def shown(monkeypatch: pytest.MonkeyPatch, text: str) -> list[str]:
    monkeypatch.setenv("TRADER_NOTIFY", text)
    return [url.get_secret_value() for url in RunnerSettings.load().notify]


def test_addresses_are_separated_by_spaces_lines_or_commas_or_are_a_json_list(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    two = ["ntfy://ntfy.sh/topic", "mailto://me:pass@example.com?to=a@b.com,c@d.com"]
    for text in (" ".join(two), "\n".join(two), ",".join(two), f" {', '.join(two)},\n", json.dumps(two)):
        assert shown(monkeypatch, text) == two
    assert shown(monkeypatch, "") == []
    monkeypatch.delenv("TRADER_NOTIFY")
    (home / ".env").write_text(f"TRADER_NOTIFY={two[0]} {two[1]}\n")
    assert [url.get_secret_value() for url in RunnerSettings.load().notify] == two


@pytest.mark.parametrize(
    "text", [SECRET, f"ntfy://ok/x {SECRET}", f'["ntfy://{SECRET}"', f'["{SECRET}"]', "[7]", f"://{SECRET}"]
)
def test_a_malformed_address_is_refused_without_being_told_back(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(Misconfigured, match="TRADER_NOTIFY: ") as refused:
        shown(monkeypatch, text)
    assert SECRET not in str(refused.value)


def test_addresses_are_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    shown(monkeypatch, f"ntfy://{SECRET}/x")
    assert SECRET not in repr(RunnerSettings.load()) + RunnerSettings.load().model_dump_json()
