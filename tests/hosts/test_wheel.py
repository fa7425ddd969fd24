"""The wheel and the sdist: what is in them, and that the programs answer from an environment without the checkout.

The dependencies are lent by this environment, as installing them takes a minute; `make sizes` installs them too.
That all files are in the wheel, and that a program answers from there, is the small form of what is marked `long`.
"""

import gzip
import json
import os
import re
import shutil
import tarfile
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import httpx2
import pytest

from mcp_server.app import tool_files
from runner.restore import unpack
from tests.deploy.image import instructions
from tests.hosts.empty_environment import ROOT, Environment, built, built_wheel
from tests.structure.test_strategy_format import EXAMPLES

LIBRARY = ("lightweight-charts.standalone.production.js.gz", "LICENSE", "NOTICE")


@dataclass(frozen=True)
class Built:
    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(*built(tmp_path_factory.mktemp("dist")))


@pytest.fixture(scope="module")
def environment(packages: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel; of this one it sees the dependencies, and not the checkout."""
    environment = Environment(tmp_path_factory.mktemp("environment") / "e")
    environment.install("--no-deps", "--no-index", "--no-compile", str(packages.wheel))
    lent = Path(str(metadata.distribution("mcp").locate_file("")))
    (environment.packages / "lent.pth").write_text(f"{lent}\n")
    return environment


def test_the_wheel_has_the_packages_their_data_and_the_examples(packages: Built) -> None:
    with zipfile.ZipFile(packages.wheel) as wheel:
        inside = set(wheel.namelist())
        told = wheel.read(next(name for name in inside if name.endswith("METADATA"))).decode()
    source = {
        str(file.relative_to(ROOT))
        for package in ("mcp_server", "runner")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    examples = {
        f"mcp_server/examples/{file.relative_to(ROOT / 'strategies')}"
        for file in (ROOT / "strategies").rglob("*")
        if file.is_file()
    }
    assert {name for name in inside if ".dist-info/" not in name} == source | examples
    assert not [line for line in re.findall(r"Requires-Dist: (.*)", told) if "claude" in line and "extra" not in line]
    assert packages.wheel.stat().st_size < 1_450_000  # some 60 kB of it are the page


@pytest.mark.long
def test_the_sdist_builds_the_same_wheel(packages: Built, tmp_path: Path) -> None:
    unpack(packages.sdist, tmp_path)
    (source,) = tmp_path.glob("claude_trader-*")
    again = built_wheel(tmp_path / "dist", source)
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(packages.wheel) as other:
        assert one.namelist() == other.namelist()
        assert all(one.read(name) == other.read(name) for name in one.namelist())


def test_what_starts_the_agent_cli_is_executable_once_it_is_installed(environment: Environment) -> None:
    assert os.access(environment.packages / "runner/claude/launch.sh", os.X_OK)


def test_the_chart_library_is_in_both_with_its_licence(packages: Built) -> None:
    library = Path("mcp_server/assets/lightweight-charts")
    wanted = {library / name for name in LIBRARY}
    with zipfile.ZipFile(packages.wheel) as wheel:
        assert wanted <= {Path(name) for name in wheel.namelist()}
    with tarfile.open(packages.sdist) as sdist:
        assert wanted <= {Path(*Path(name).parts[1:]) for name in sdist.getnames()}


def test_the_page_is_in_both_and_adds_little_to_the_wheel(packages: Built) -> None:
    page = {str(file.relative_to(ROOT)) for file in (ROOT / "mcp_server/assets/page").iterdir()}
    assert {Path(name).name for name in page} >= {"page.html", "page.css", "main.js", "icon.svg", "app.webmanifest"}
    library = {f"mcp_server/assets/lightweight-charts/{name}" for name in LIBRARY}
    with zipfile.ZipFile(packages.wheel) as wheel:
        assert sum(wheel.getinfo(name).file_size for name in page | library) <= 250_000
    with tarfile.open(packages.sdist) as sdist:
        assert page <= {str(Path(*Path(name).parts[1:])) for name in sdist.getnames()}
    assert packages.sdist.stat().st_size < 2_950_000


@pytest.mark.long
def test_the_server_gives_the_page_from_there(environment: Environment, tmp_path: Path) -> None:
    with environment.serving(tmp_path) as url, httpx2.Client(base_url=url, trust_env=False) as browser:
        paths = re.findall(r'(?:href|src|content)="(/[^"]*)"', browser.get("/").text)
        assert len(paths) >= 6
        assert {browser.get(path).status_code for path in paths} == {200}


@pytest.mark.parametrize(
    "program", [("claude-trader-mcp",), pytest.param(("claude-trader", "mcp"), marks=pytest.mark.long)], ids=" ".join
)
def test_the_server_answers_from_there_and_has_the_examples(
    environment: Environment, program: tuple[str, ...], tmp_path: Path
) -> None:
    own = tmp_path / "claude-trader" / "strategies" / "own"
    own.mkdir(parents=True)
    (own / "config.json").write_text((ROOT / "strategies" / "rsi-reversion" / "config.json").read_text())
    before = environment.files()
    tools, strategies = environment.ask(*program, data=tmp_path)
    assert tools == list(tool_files())
    named = strategies["columns"].index("name")
    assert {row[named] for row in strategies["rows"]} == {*EXAMPLES, "own"}, "its home is in the platform's data folder"
    assert environment.files() == before


@pytest.mark.long
def test_its_home_is_in_the_platforms_data_folder_and_nothing_is_written_into_it(
    environment: Environment, tmp_path: Path
) -> None:
    before = environment.files()
    added = environment.run("claude-trader", "strategies", "add", "rsi-reversion", "--json", data=tmp_path)
    assert added["name"] == "rsi-reversion"
    listed = environment.run("claude-trader", "strategies", "--json", data=tmp_path)["strategies"]
    assert [row["origin"] for row in listed if row["name"] == "rsi-reversion"] == ["home"]
    assert (tmp_path / "claude-trader" / "strategies" / "rsi-reversion" / "config.json").is_file()
    assert environment.files() == before


@pytest.mark.long
def test_a_backtest_needs_no_checkout_and_nor_do_its_page_and_the_processes_of_a_grid(
    environment: Environment, tmp_path: Path
) -> None:
    folder = tmp_path / "claude-trader" / "strategies" / "mine"
    folder.mkdir(parents=True)
    rules = {"buy": "close > prev(close, 1)", "sell": "close < prev(close, 1)"}
    config = {"name": "mine", "trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "4h", "rules": rules}
    (folder / "config.json").write_text(json.dumps(config))
    asked = ["mine", "--from", "2026-01-01", "--to", "2026-01-04", "--vary", "1=2", "--workers", "1", "--json"]
    files = ["--report", "page.html", "--picture", "picture.png"]
    answer = environment.run("claude-trader", "backtest", *asked, *files, data=tmp_path)
    assert (answer["strategy_name"], answer["candles"], len(answer["variants"])) == ("mine", 18, 2)
    library = (
        environment.packages / "mcp_server/assets/lightweight-charts/lightweight-charts.standalone.production.js.gz"
    )
    assert gzip.decompress(library.read_bytes()).decode().strip() in (tmp_path / "page.html").read_text()
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def copied_into_the_image() -> set[str]:
    copied = [words.split()[:-1] for name, words in instructions((ROOT / "Dockerfile").read_text()) if name == "COPY"]
    return {source for words in copied for source in words if not words[0].startswith("--from")}


def test_what_the_image_is_built_from_is_given_to_its_build() -> None:
    sources = copied_into_the_image()
    assert {"mcp_server", "runner", "strategies", "pyproject.toml"} <= sources
    assert {f"!{source}" for source in sources} <= set((ROOT / ".dockerignore").read_text().splitlines())


@pytest.mark.long
def test_what_the_image_is_built_from_gives_the_same_package(packages: Built, tmp_path: Path) -> None:
    """The container has the chart library and the examples, as its build installs what it copies."""
    for source in copied_into_the_image():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, tmp_path / source)
    again = built_wheel(tmp_path / "dist", tmp_path)
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(packages.wheel) as other:
        assert {name: one.read(name) for name in one.namelist()} == {
            name: other.read(name) for name in other.namelist()
        }
