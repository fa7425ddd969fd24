"""Environments that are empty but for what is installed into them, asked from a folder that is not the checkout."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from tests.tools.conftest import answer_of

ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def built(folder: Path) -> tuple[Path, Path]:
    """Build this source tree; give the wheel and the sdist."""
    _build(folder, ROOT)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def built_wheel(folder: Path, source: Path) -> Path:
    """Build the wheel of a source tree."""
    _build(folder, source, "--target", "wheel")
    (wheel,) = folder.glob("*.whl")
    return wheel


def _build(folder: Path, source: Path, *options: str) -> None:
    command = [str(Path(sys.executable).with_name("hatchling")), "build", "-d", str(folder), *options]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)


class Environment:
    """An environment in a folder that does not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
        (self.packages,) = (folder / "lib").glob("python*/site-packages")

    def install(self, *what: str) -> None:
        """Install with the pip of this environment, as it is configured."""
        command = [*PIP, "--python", str(self.bin / "python"), "install", "--quiet", *what]
        subprocess.run(command, check=True, capture_output=True, timeout=1200)

    def files(self) -> set[Path]:
        """Return what is installed, without bytecode."""
        return {file for file in self.packages.rglob("*") if "__pycache__" not in file.parts}

    def mib(self) -> float:
        """Return its size on disk in MiB, bytecode included."""
        subprocess.run([self.bin / "python", "-m", "compileall", "-q", self.packages], check=False, capture_output=True)
        return sum(file.lstat().st_size for file in self.folder.rglob("*") if file.is_file()) / 1024**2

    def run(self, program: str, *arguments: str, data: Path) -> dict[str, Any]:
        """Run a program of it that answers in JSON; `data` stands for the platform's data folder."""
        done = subprocess.run(
            [self.bin / program, *arguments], cwd=data, env=self.variables(data), capture_output=True, check=True,
            timeout=120,
        )  # fmt: skip
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def variables(self, data: Path) -> dict[str, str]:
        """Return the variables that its programs run under: no settings."""
        return {"PATH": os.environ["PATH"], "HOME": str(data), "XDG_DATA_HOME": str(data)}

    @contextmanager
    def serving(self, data: Path) -> Iterator[str]:
        """Start the server of it over HTTP, until the block ends; give its base address."""
        command = [str(self.bin / "claude-trader-mcp"), "--http", "--port", "0"]
        pipe, variables = subprocess.PIPE, self.variables(data)
        with subprocess.Popen(command, cwd=data, env=variables, stdout=pipe, text=True) as process:
            try:
                assert process.stdout is not None
                yield process.stdout.readline().strip().removesuffix("/mcp")
            finally:
                process.terminate()

    def ask(self, program: str, *arguments: str, data: Path) -> tuple[list[str], dict[str, Any]]:
        """Start the server of it over stdio; give its tools, and its strategies."""

        async def asked() -> tuple[list[str], dict[str, Any]]:
            start = StdioServerParameters(
                command=str(self.bin / program), args=list(arguments), env=self.variables(data), cwd=data
            )
            with anyio.fail_after(60):
                async with Client(start) as client:
                    names = [tool.name for tool in (await client.list_tools()).tools]
                    return names, answer_of(await client.call_tool("list_strategies", {}))

        return anyio.run(asked)
