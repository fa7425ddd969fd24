"""The commands of the page on deploying. Fly's own are tried on a stand-in: a volume that is a folder of this machine.

`fly` itself cannot run here. Of each of its commands it is checked that Fly's reference has the options; what runs on
the machine, and what is copied to and fro, is done. Docker's commands are not tried.
"""

import shlex
import shutil
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.restore import restore
from tests.rigs.typed_page import blocks
from tests.runner.conftest import trader_in

ROOT = Path(__file__).parents[2]
BLOCKS = blocks((ROOT / "docs" / "guides" / "deploy.md").read_text("utf-8"))
OPTIONS = {
    ("auth", "signup"): set[str](),
    ("apps", "create"): set[str](),
    ("apps", "restart"): set[str](),
    ("volumes", "create"): {"--app", "--size", "--region"},
    ("secrets", "set"): {"--app", "--stage"},
    ("deploy",): {"--config", "--ha"},
    ("ssh", "console"): {"--app", "-C"},
    ("ssh", "sftp", "get"): {"--app"},
    ("ssh", "sftp", "put"): {"--app"},
}
"""Commands of Fly's reference (fly.io/docs/flyctl) → those of their options that the page uses."""


def commands(title: str) -> list[str]:
    """Return what is typed below a heading, without comments."""
    below = [command for block in BLOCKS if block.title == title for command in block.commands]
    return [command.partition("  # ")[0].rstrip() for command in below]


def typed(command: str, folder: Path) -> str:
    done = subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


class Machine:
    """Does what `fly` has a machine do; its volume `/data` is a folder."""

    def __init__(self, volume: Path, desk: Path) -> None:
        self.volume, self._desk = volume, desk
        self._trader = trader_in(volume)

    def does(self, command: str) -> None:
        match shlex.split(command):
            case ["fly", "ssh", "console", "--app", "NAME", "-C", inner]:
                self._runs([word.replace("/data/", f"{self.volume}/") for word in shlex.split(inner)])
            case ["fly", "ssh", "sftp", "get", "--app", "NAME", path]:
                shutil.copy(self._here(path), self._desk)
            case ["fly", "ssh", "sftp", "put", "--app", "NAME", path, there]:
                shutil.copy(self._desk / path, self._here(there))
            case ["fly", "apps", "restart", "NAME"]:
                assert "restore.tar.gz is restored" in (restore(self.volume, datetime(2026, 5, 1, tzinfo=UTC)) or "")
            case other:
                raise AssertionError(other)

    def _runs(self, words: list[str]) -> None:
        program, *arguments = words
        if program == "claude-trader":
            done = self._trader(*arguments)
            assert (done.code, done.err) == (0, "")
        else:
            subprocess.run(words, check=True)

    def _here(self, path: str) -> Path:
        return self.volume / Path(path).relative_to("/data")


def test_each_command_of_fly_has_the_options_that_the_page_gives_it() -> None:
    every = [command for block in BLOCKS for command in commands(block.title) if command.startswith("fly ")]
    for command in every:
        words = shlex.split(command)[1:]
        (name,) = [name for name in OPTIONS if tuple(words[: len(name)]) == name]
        options = {word.partition("=")[0] for word in words[len(name) :] if word.startswith("-")}
        assert options <= OPTIONS[name], command
    assert len(every) > 10


def test_a_home_is_saved_and_put_back_on_a_new_volume_by_the_commands_of_the_page(tmp_path: Path) -> None:
    here, there, desk = (tmp_path / name for name in ("volume", "new-volume", "desk"))
    for folder in (here, there, desk):
        folder.mkdir()
    added = next(c for c in commands("Fly.io, from an empty account") if "strategies add" in c)
    Machine(here, desk).does(added)
    plain, unpacked, *fly = commands("Backup and restore")
    assert trader_in(here, desk)(*shlex.split(plain)[1:]).code == 0
    typed(unpacked, desk)
    save, put_back = fly[:3], fly[3:]
    for command in save:
        Machine(here, desk).does(command)
    assert not (here / "saved.tar.gz").exists()
    for command in put_back:
        Machine(there, desk).does(command)
    kept = (here / "strategies" / "rsi-reversion" / "config.json").read_bytes()
    for home in (desk / "restored", there):
        assert (home / "strategies" / "rsi-reversion" / "config.json").read_bytes() == kept


def test_own_settings_and_the_token_stay_out_of_git_and_an_upgrade_does_not_conflict(tmp_path: Path) -> None:
    upstream, checkout = tmp_path / "upstream", tmp_path / "checkout"
    upstream.mkdir()
    for name in ("fly.toml", ".gitignore"):
        shutil.copy(ROOT / name, upstream)
    commit = "git -c user.name=n -c user.email=e@example.com commit -qam"
    typed(f"git init -q && git add . && {commit} first && git clone -q . {checkout}", upstream)
    _, copy, name_it, *_ = commands("Fly.io, from an empty account")
    token = commands("If the token is lost")[0]
    assert token in commands("Fly.io, from an empty account")
    for command in (copy, name_it, token):
        typed(command, checkout)
    assert len((checkout / "fly.token").read_text().strip()) == 48
    assert typed("git status --porcelain", checkout) == ""
    own = (checkout / "fly.mine.toml").read_text()
    assert tomllib.loads(own) == {**tomllib.loads((ROOT / "fly.toml").read_text()), "app": "NAME"}
    typed(f"sed -i.bak 's/1gb/2gb/' fly.toml && {commit} second", upstream)
    pull, difference, deploy = commands("Upgrade")
    typed(pull, checkout)
    assert '+  memory = "2gb"' in typed(difference, checkout)
    assert (checkout / "fly.mine.toml").read_text() == own
    assert "--config fly.mine.toml" in deploy


@pytest.mark.parametrize("title", ["Fly.io, from an empty account", "Upgrade"])
def test_what_is_deployed_is_always_the_own_copy_of_the_settings(title: str) -> None:
    deploys = [command for command in commands(title) if command.startswith("fly deploy")]
    assert deploys == ["fly deploy --config fly.mine.toml --ha=false"]
