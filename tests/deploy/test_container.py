"""The container's files are what their tools accept, and its first program gives up being root before anything runs."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

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


def test_without_arguments_it_becomes_the_scheduler(tmp_path: Path) -> None:
    environment = {**os.environ, "TRADER_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip().endswith(str(list(DEFAULT)))
