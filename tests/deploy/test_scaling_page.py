"""The commands of the page on more machines, as far as this machine can try them: Fly's and Docker's are compared."""

import shlex
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
import yaml

from runner.cli.app import app
from tests.deploy.test_deploy_page import OPTIONS
from tests.rigs.typed_page import blocks

ROOT = Path(__file__).parents[2]
BLOCKS = blocks((ROOT / "docs" / "guides" / "scaling.md").read_text("utf-8"))
COMMANDS = [command for block in BLOCKS for text in block.commands for command in [text.partition("   # ")[0].rstrip()]]
FLY = OPTIONS | {
    ("mpg", "create"): {"--name", "--region", "--plan"},
    ("deploy",): OPTIONS["deploy",] | {"--build-arg"},
}
COMPOSE = {"up": {"--build", "--detach"}, "exec": set[str](), "kill": set[str](), "down": {"--volumes"}}
"""Subcommands of Compose's reference (docs.docker.com/reference/cli/docker/compose) → their options on the page."""


def test_each_command_of_fly_has_the_options_that_the_page_gives_it() -> None:
    every = [shlex.split(command)[1:] for command in COMMANDS if command.startswith("fly ")]
    for words in every:
        (name,) = [name for name in FLY if tuple(words[: len(name)]) == name]
        assert {word.partition("=")[0] for word in words[len(name) :] if word.startswith("-")} <= FLY[name], words
    assert len(every) >= 9


def test_each_command_of_compose_names_our_file_its_services_and_known_options() -> None:
    services = yaml.safe_load((ROOT / "compose.postgres.yaml").read_text())["services"]
    every = [shlex.split(command) for command in COMMANDS if command.startswith("docker ")]
    for words in every:
        assert words[:4] == ["docker", "compose", "--file", "compose.postgres.yaml"]
        subcommand, *rest = words[4:]
        assert {word for word in rest if word.startswith("--")} <= COMPOSE[subcommand]
        assert not rest or rest[0].startswith("--") or rest[0] in services
    assert len(every) >= 4


def test_each_command_of_ours_is_one() -> None:
    commands: Any = typer.main.get_command(app)
    typed = {
        command.partition("claude-trader ")[2].split()[0].strip('"')
        for command in COMMANDS
        if "claude-trader " in command
    }
    assert typed <= {*commands.list_commands(None)}
    assert typed >= {"backtest", "signals", "status"}


def test_the_second_machine_of_fly_has_no_public_service_and_all_else_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "fly.mine.toml").write_text((ROOT / "fly.toml").read_text())
    (copy,) = [command for command in COMMANDS if command.startswith("sed ")]
    subprocess.run(["bash", "-ec", copy], cwd=tmp_path, check=True)
    first = tomllib.loads((ROOT / "fly.toml").read_text())
    first.pop("http_service")
    assert tomllib.loads((tmp_path / "fly.mine-2.toml").read_text()) == {**first, "app": "NAME-2"}
    subprocess.run(["git", "check-ignore", "-q", "fly.mine-2.toml"], cwd=ROOT, check=True)


def test_the_secrets_of_the_page_are_made_and_shown_to_nobody(tmp_path: Path) -> None:
    (made,) = [command for command in COMMANDS if command.startswith("export POSTGRES_PASSWORD")]
    checked = f"{made}; echo ${{#POSTGRES_PASSWORD}} ${{#TRADER_TOKEN}}"
    done = subprocess.run(["bash", "-ec", checked], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "48 48\n"


def test_the_programs_of_a_cluster_listen_at_the_address_that_they_are_given_alone() -> None:
    """Dask's own defaults are every network of the machine, for a worker and for the page of each program."""
    programs = [shlex.split(command) for command in COMMANDS if command.startswith("dask ")]
    assert len(programs) == 2
    for program in programs:
        options = dict(pairwise(program))
        assert options["--dashboard-address"].startswith(f"{options['--host']}:")
