"""What stays on this machine, and what goes to the tool server, never passes a proxy: it carries tokens and keys."""

import json
from pathlib import Path

import pytest

from runner.no_proxy import no_proxy
from runner.notify.service import services
from runner.settings import RunnerSettings
from tests.rigs.receiver import receiver
from tests.rigs.recording_proxy import recording_proxy
from tests.rigs.scripted_messages_api import ScriptedMessagesApi
from tests.runner.claude_runs import KEY, script, strategy
from tests.runner.conftest import Command


@pytest.mark.long
def test_a_run_by_claude_sends_nothing_of_its_own_to_a_proxy(trader: Command, home: Path) -> None:
    """In `make test` the run of `test_claude.py` has such a proxy."""
    folder = home / "strategies" / "dip"
    folder.mkdir(parents=True)
    what = strategy(exchange="simulated")
    folder.joinpath("config.json").write_text(json.dumps(what.config_json()))
    folder.joinpath("agents.json").write_text(json.dumps(what.agents_json()))
    with recording_proxy() as proxy, ScriptedMessagesApi(script()) as api:
        credentials = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY}
        done = trader("run", "dip", "--json", **proxy.variables, **credentials)
    assert proxy.seen == []
    assert (done.code, done.json["signal"]) == (0, "BUY"), done


async def test_a_notification_to_this_machine_passes_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording_proxy() as proxy, receiver() as service:
        for name, value in proxy.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("TRADER_NOTIFY", service.url)
        (address,) = services(RunnerSettings().notify)
        assert (await address.send("a title", "a body"))[0] == "sent"
    assert (proxy.seen, service.titles) == ([], ["a title"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "localhost,127.0.0.1,::1,[::1],trader.example"),
        ({"NO_PROXY": "a.example, b.example"}, "a.example,b.example,localhost,127.0.0.1,::1,[::1],trader.example"),
        ({"no_proxy": "127.0.0.1"}, "127.0.0.1,localhost,::1,[::1],trader.example"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_the_hosts_are_added_to_those_that_the_operator_named(
    monkeypatch: pytest.MonkeyPatch, before: dict[str, str], after: str
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    assert no_proxy("https://trader.example:8000/mcp") == {"NO_PROXY": after, "no_proxy": after}


def test_the_stand_in_proxy_notices_what_passes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx2

    with recording_proxy() as proxy, httpx2.Client(proxy=proxy.url) as client:
        assert client.get("http://127.0.0.1:9/mcp").status_code == 502
    assert len(proxy.seen) == 1
