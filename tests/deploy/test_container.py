"""The container's files are what their tools accept, and its first program gives up being root before anything runs."""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from mcp_server import __main__ as program
from mcp_server import app
from mcp_server.storage import owner
from runner.container import DEFAULT, USER_ID
from tests.deploy.image import instructions

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_dockerfile_passes_its_linter() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_dependencies_have_a_layer_of_their_own_and_no_compiler_is_installed() -> None:
    steps = [(name, rest) for name, rest in instructions(DOCKERFILE)]
    names = [f"{name} {rest}" for name, rest in steps]
    dependencies = next(place for place, step in enumerate(names) if 'install ".${EXTRAS}"' in step)
    assert all(names.index(f"COPY {each} {each}") > dependencies for each in ("mcp_server", "runner", "strategies"))
    assert not re.search(r"build-essential|gcc|g\+\+", DOCKERFILE)


def test_what_the_image_starts_is_the_scheduler_and_its_health_is_looked_at() -> None:
    said = dict(instructions(DOCKERFILE))
    assert json.loads(said["ENTRYPOINT"]) == ["tini", "--", "python", "-P", "-m", "runner.container"]
    assert DEFAULT[0] == "up"
    assert DEFAULT[DEFAULT.index("--port") + 1] == said["EXPOSE"] == "8000"
    assert "http://127.0.0.1:8000/health" in said["HEALTHCHECK"]
    assert f"--uid {USER_ID}" in DOCKERFILE


def test_the_machine_is_never_stopped_and_has_time_to_end_its_runs() -> None:
    fly = tomllib.loads((ROOT / "fly.toml").read_text())
    assert (fly["http_service"]["auto_stop_machines"], fly["http_service"]["min_machines_running"]) == ("off", 1)
    assert fly["kill_signal"] == "SIGTERM"
    grace_s = float(DEFAULT[DEFAULT.index("--grace") + 1])
    assert grace_s + 10 <= fly["kill_timeout"]
    assert fly["mounts"]["destination"] == "/data"
    assert fly["http_service"]["internal_port"] == 8000
    assert fly["http_service"]["checks"][0]["path"] == "/health"
    assert str(fly["metrics"]["port"]) == DEFAULT[DEFAULT.index("--metrics-port") + 1]


STARTED = """
import os, sys
from runner import container
def told(program, command, environment):
    print(os.getuid(), os.getgid(), os.getgroups(), command[4:], flush=True)
    sys.exit(0)
os.execve = told
container.main(sys.argv[1:])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_makes_the_home_its_own_and_gives_up_being_root(tmp_path: Path) -> None:
    volume, elsewhere = tmp_path / "volume", tmp_path / "elsewhere"
    volume.mkdir()
    elsewhere.write_text("not the runner's")
    (volume / "link").symlink_to(elsewhere)
    (volume / "strategies").mkdir()
    command = [sys.executable, "-c", STARTED, "status"]
    environment = {**os.environ, "TRADER_HOME": str(volume)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == f"{USER_ID} {USER_ID} [] ['status']"
    assert volume.stat().st_uid == USER_ID
    assert (volume / "strategies").stat().st_uid == USER_ID
    assert elsewhere.stat().st_uid == 0
    (volume / "strategies" / "added").mkdir()  # by root, after the volume was given away
    (volume / "strategies" / "added" / "config.json").write_text("{}")
    subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert (volume / "strategies" / "added" / "config.json").stat().st_uid == USER_ID
    assert elsewhere.stat().st_uid == 0


KEEPS_CAPABILITIES = ("setpriv", "--securebits", "+no_setuid_fixup")
"""Lets a former root read all files, as tests run from where only root can read."""


@pytest.fixture
def volume() -> Iterator[Path]:
    """Make a home of the image's user, where that user can reach it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: S103 (that user is another one)
        home = Path(folder) / "home"
        home.mkdir()
        os.chown(home, USER_ID, USER_ID)
        yield home


def owners(home: Path) -> set[int]:
    return {path.lstat().st_uid for path in (home, *home.rglob("*"))}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    "commands",
    [
        [["strategies", "add", "rsi-reversion"]],
        pytest.param(
            [["strategies", "add", "rsi-reversion"], ["score"], ["strategies", "pause", "rsi-reversion"]],
            marks=pytest.mark.long,
        ),
    ],
    ids=len,
)
def test_what_root_does_in_the_home_of_another_user_is_done_as_that_user(
    volume: Path, commands: list[list[str]]
) -> None:
    environment = {**os.environ, "TRADER_HOME": str(volume)}
    for command in commands:
        started = [*KEEPS_CAPABILITIES, sys.executable, "-m", "runner", *command]
        done = subprocess.run(started, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
    assert owners(volume) == {USER_ID}
    assert (volume / "claude_trader.duckdb").is_file() is (["score"] in commands)
    assert (volume / "strategies" / "rsi-reversion" / "config.json").is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_refuses_the_home_of_a_user_who_could_not_read_the_program(volume: Path) -> None:
    with tempfile.TemporaryDirectory() as hidden:  # as a copy in root's own folder is
        code = f"import sys, os\nsys.executable = {hidden!r} + '/python'\nfrom runner.__main__ import main\nmain()"
        environment = {**os.environ, "TRADER_HOME": str(volume)}
        started = [sys.executable, "-c", code, "strategies", "add", "rsi-reversion"]
        done = subprocess.run(started, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "who cannot read" in done.stderr
    assert [*volume.iterdir()] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.long
async def test_a_server_that_root_starts_writes_strategies_as_the_owner_of_the_home(volume: Path) -> None:
    environment = {**os.environ, "TRADER_HOME": str(volume)}
    command, *arguments = (*KEEPS_CAPABILITIES, sys.executable, "-m", "mcp_server")
    server = StdioServerParameters(command=command, args=arguments, env=environment)
    config = {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"timeframe": "1h", "buy": "close > 1"}}
    async with Client(server) as client:
        answer = await client.call_tool("write_strategy", {"strategy_name": "mine", "config": config})
        assert not answer.is_error, answer.content
    assert owners(volume) == {USER_ID}


def test_a_server_becomes_the_owner_of_its_home_before_it_is_built(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[object] = []
    monkeypatch.setattr(owner, "become_owner", happened.append)
    monkeypatch.setattr(app, "build_server", lambda *_, **__: happened.append("server"))
    program._composed(program._parser().parse_args(["--http", "--port", "0"]))
    assert happened == [home, "server"]


def test_without_arguments_it_becomes_the_scheduler(tmp_path: Path) -> None:
    environment = {**os.environ, "TRADER_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip().endswith(str(list(DEFAULT)))
