"""The file of grants: shared by processes, whole or refused, private, and never larger than it should be."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_server.errors import Misconfigured
from mcp_server.http.oauth import live_grants
from mcp_server.http.oauth.live_grants import ENDED_S, LiveGrants
from mcp_server.http.oauth.tickets import LIFE_S
from mcp_server.storage.home import Home
from tests.http.oauth_rig import OAuthRig, outcome

NOW = 1_800_000_000
RACER = """
import sys
from pathlib import Path
from mcp_server.http.oauth.live_grants import LiveGrants
from mcp_server.storage.home import Home
grants = LiveGrants(Home(Path(sys.argv[1])), lambda: 1_800_000_000)
print("ready", flush=True)
for line in sys.stdin:
    print(grants.begin(line.strip(), sys.argv[2]), flush=True)
"""


@pytest.fixture
def grants(home: Path) -> LiveGrants:
    return LiveGrants(Home(home), lambda: NOW)


def test_of_two_processes_that_use_one_code_one_gets_in_and_then_neither(home: Path, grants: LiveGrants) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(home), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "other")
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for number in range(20):
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write(f"code-{number}\n")
                racer.stdin.flush()
            assert sorted(racer.stdout.readline() for racer in racers if racer.stdout) == ["False\n", "True\n"]
            assert f"code-{number}" not in grants.alive()[1]
    finally:
        for racer in racers:
            racer.communicate(timeout=120)


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"grants"', '"granted"'),
        lambda text: text.replace('"refresh":"', '"refresh":7,"x":"'),
        lambda text: text.replace('"secret":"', '"secret":"0'),
    ],
)
async def test_a_file_that_cannot_be_read_refuses_everybody_and_stays_as_it_is(
    home: Path, broken: Callable[[str], str]
) -> None:
    rig = OAuthRig(home)
    tokens, code, page = await rig.connect(), await rig.code(), await rig.authorize()
    file = home / "oauth.json"
    whole = file.read_text()
    file.write_text(broken(whole))
    for answer in (
        await rig.call(tokens["access_token"]),
        await rig.refresh(tokens["refresh_token"]),
        await rig.exchange(code),
        await rig.revoke(tokens["access_token"]),
        await rig.authorize(),
        await rig.decide(page),
    ):
        assert answer.status_code == 503
        assert str(home) not in answer.text
    assert file.read_text() == broken(whole)
    file.write_text(whole)
    assert (await rig.call(tokens["access_token"])).status_code == 200
    assert outcome(await rig.exchange(code)) == "200"


async def test_a_file_that_is_lost_ends_everything_so_that_no_code_counts_again(home: Path) -> None:
    rig = OAuthRig(home)
    code = await rig.code()
    tokens = (await rig.exchange(code)).json()
    (home / "oauth.json").unlink()
    assert outcome(await rig.exchange(code)) == "400 invalid_grant"
    assert (await rig.call(tokens["access_token"])).status_code == 401
    assert outcome(await rig.refresh(tokens["refresh_token"])) == "400 invalid_grant"
    assert (await rig.connect())["scope"] == "read"


def test_the_file_is_its_owners_alone_and_a_link_is_none(home: Path, grants: LiveGrants) -> None:
    grants.begin("a", "r")
    file = home / "oauth.json"
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600
    file.rename(home / "elsewhere.json")
    file.symlink_to(home / "elsewhere.json")
    with pytest.raises(Misconfigured, match="symbolic link"):
        grants.alive()


def test_what_is_over_is_forgotten_and_what_has_ended_is_known_as_long_as_its_code_could_count(home: Path) -> None:
    now = NOW
    grants = LiveGrants(Home(home), lambda: now)
    assert grants.begin("first", "r1")
    assert not grants.begin("first", "r2")
    now += ENDED_S - 1
    assert not grants.begin("first", "r3")
    assert LIFE_S["code"] < ENDED_S
    assert grants.begin("second", "r1")
    now += LIFE_S["refresh"]
    assert grants.begin("third", "r1")
    assert list(json.loads((home / "oauth.json").read_text())["grants"]) == ["third"]


def test_the_file_stays_small_and_the_grant_that_was_idle_longest_makes_room(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_grants, "MOST_GRANTS", 3)
    now = NOW
    grants = LiveGrants(Home(home), lambda: now)
    for number in range(3):
        grants.begin(f"grant-{number}", "r")
        now += 1
    assert grants.renew("grant-0", "r", "r2")
    assert grants.begin("grant-3", "r")
    assert sorted(grants.alive()[1]) == ["grant-0", "grant-2", "grant-3"]
