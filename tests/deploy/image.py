"""Builds the Dockerfile without Docker and tries the image: `python -m tests.deploy.image [EXTRAS]`, or `make image`.

Each stage is a folder with Debian and its Python (debootstrap), each RUN a command in it (chroot); the entry point is
process 1 of its own process namespace. Needs root, debootstrap, and this machine's own settings for apt and pip. What
it cannot try: the base image itself, layers, the health check's timing, a platform's network.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

CHECKOUT = Path(__file__).parents[2]
TOKEN = "a-token-for-the-trial"  # noqa: S105 (of this trial)
PIP = [Path("/etc/pip.conf"), *Path("/etc/xdg/pip").glob("*")]


@dataclass
class Stage:
    """One stage of the build: its folder, variables and working folder."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"

    def run(self, command: list[str]) -> None:
        """Run a command in the stage."""
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **_registries()}
        environment |= self.variables
        (self.root / self.cwd.lstrip("/")).mkdir(parents=True, exist_ok=True)
        words = ["chroot", str(self.root), "sh", "-ec", f'cd {self.cwd} && exec "$@"', "sh", *command]
        subprocess.run(words, env=environment, check=True)


def _registries() -> dict[str, str]:
    names = [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]
    return {name: os.environ[name] for name in names}


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Give each instruction of a Dockerfile with its arguments, in order."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    for line in joined.splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


def build(folder: Path, arguments: dict[str, str]) -> tuple[Stage, dict[str, str]]:
    """Build every stage; give the last one, and what the image says of itself."""
    stages: dict[str, Stage] = {}
    stage, said = Stage(folder), dict[str, str]()
    for name, rest in instructions((CHECKOUT / "Dockerfile").read_text()):
        if name == "FROM":
            stage = stages[rest.split(" AS ")[-1]] = Stage(_debian(folder / f"stage-{len(stages)}"))
        elif name == "ARG" and stages:
            key, _, value = rest.partition("=")
            stage.variables[key] = arguments.get(key, value)
        elif name == "ENV":
            path = stage.variables.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            stage.variables |= {k: v.replace("$PATH", path) for k, v in (pair.split("=", 1) for pair in rest.split())}
        elif name == "WORKDIR":
            stage.cwd = rest
        elif name == "RUN":
            stage.run(["sh", "-ec", rest])
        elif name == "COPY":
            _copy(rest, stage, stages)
        else:
            said[name] = rest
    return stage, said


def _debian(root: Path) -> Path:
    base = CHECKOUT / ".cache" / "debian"
    if not base.exists():
        lines = [line for file in Path("/etc/apt").rglob("*.sources") for line in file.read_text().splitlines()]
        mirror = next(line.split()[1] for line in lines if line.startswith("URIs:"))
        packages = "--include=python3,python3-venv,ca-certificates"
        base.parent.mkdir(exist_ok=True)
        subprocess.run(["debootstrap", "--variant=minbase", packages, "bookworm", str(base), mirror], check=True)
        (base / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        for file in PIP:
            if file.exists():
                (base / str(file).lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, base / str(file).lstrip("/"))
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", base / "etc/ssl/certs/ca-certificates.crt")
    subprocess.run(["cp", "-a", str(base), str(root)], check=True)
    return root


def _copy(rest: str, stage: Stage, stages: dict[str, Stage]) -> None:
    words = rest.split()
    origin = CHECKOUT
    if words[0].startswith("--from="):
        origin = stages[words.pop(0).removeprefix("--from=")].root
    *sources, target = words
    to = stage.root / os.path.join(stage.cwd, target).lstrip("/")
    for source in sources:
        found = origin / source.lstrip("/")
        ends = to / found.name if target.endswith("/") else to
        ends.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "-T", str(found), str(ends)], check=True)


def try_plainly() -> str:
    """Do what the build stage says with a virtual environment instead of an image, and look whether it answers."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        scratch = Path(folder)
        (scratch / "src").mkdir()
        for name, rest in instructions((CHECKOUT / "Dockerfile").read_text()):
            if name == "FROM" and " AS " not in rest:
                break  # what follows wants an image
            step = rest.replace("/app", str(scratch / "app")).replace("${EXTRAS}", "")
            if name == "RUN":
                subprocess.run(
                    ["sh", "-ec", step.replace("python -m venv", f"{sys.executable} -m venv")],
                    cwd=scratch / "src",
                    check=True,
                )
            elif name == "COPY":
                *sources, target = step.split()
                for source in sources:
                    ends = scratch / "src" / (source if target in ("./", ".") else target)
                    subprocess.run(["cp", "-a", "-T", str(CHECKOUT / source), str(ends)], check=True)
        return _answers(scratch)


def _answers(scratch: Path) -> str:
    """Start the scheduler of what was built, from elsewhere, on an empty home; give what was seen."""
    home = scratch / "home"
    home.mkdir()
    command = [str(scratch / "app/bin/claude-trader"), "up", "--port", "0"]
    environment = {**os.environ, "TRADER_HOME": str(home), "TRADER_NEWS": "off"}
    process = subprocess.Popen(command, cwd=home, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        url = ""
        for line in process.stderr or ():
            if "it answers at" in line:
                url = re.findall(r"http://[^ \"]+", line)[0]
                break
        health = _answer(url.replace("/mcp", "/health"))
        process.terminate()
        code = process.wait(60)
    finally:
        process.kill()
    listed = subprocess.run(
        [command[0], "strategies"], cwd=home, env=environment, capture_output=True, text=True, check=True
    )
    examples = listed.stdout.count("example")
    if code or not health.startswith("200") or not examples:
        raise SystemExit(f"health {health}, ended with {code}, {examples} examples")
    return f"health {health}, ended with {code}, {examples} examples, /app of {size_mb(scratch / 'app'):.0f} MB\n"


def try_image(stage: Stage, said: dict[str, str]) -> str:
    """Start the entry point on a home that is root's, look at it, stop it; give what was seen."""
    port = 8000
    entry = json.loads(said["ENTRYPOINT"])
    home = stage.root / "data"
    shutil.rmtree(home)
    home.mkdir()
    (stage.root / "proc").mkdir(exist_ok=True)
    variables = {**stage.variables, "TRADER_TOKEN": TOKEN}
    command = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        f"--mount-proc={stage.root}/proc",
        "chroot",
        str(stage.root),
    ]
    process = subprocess.Popen([*command, *entry], env=variables, stderr=subprocess.PIPE, text=True)
    try:
        health = _answer(f"http://127.0.0.1:{port}/health")
        refused = _answer(f"http://127.0.0.1:{port}/mcp")
        tree = psutil.Process(process.pid).children(recursive=True)
        users = {" ".join(each.cmdline()[-4:])[:60]: each.uids().real for each in tree}
        owner = home.stat().st_uid
        init = psutil.Process(process.pid).children()[0]
        began = time.monotonic()
        init.send_signal(signal.SIGTERM)
        process.wait(60)
        took = time.monotonic() - began
        left = [each for each in tree if each.is_running()]
    finally:
        process.kill()
    log = (process.stderr.read() if process.stderr else "")[-1500:]
    return (
        f"health {health}, without a token {refused}, the home is user {owner}'s\nprocesses by user: {users}\n"
        f"SIGTERM: ended with {process.returncode} after {took:.1f} s, {len(left)} processes left\n{log}"
    )


def _answer(url: str) -> str:
    for _ in range(150):
        try:
            with urllib.request.urlopen(url, timeout=5) as answered:  # noqa: S310 (loopback)
                return f"{answered.status} {answered.read(60).decode()}"
        except urllib.error.HTTPError as error:
            if error.code != 503:  # not ready yet
                return str(error.code)
            time.sleep(0.2)
        except OSError:
            time.sleep(0.2)
    return "nothing"


def size_mb(folder: Path) -> float:
    """Give what a folder holds, in MB."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir()) / 1e6


def main() -> None:
    extras = sys.argv[1] if len(sys.argv) > 1 else "[claude]"
    if extras == "plain":
        sys.stdout.write(try_plainly())
        return
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 (the image's own user looks in)
        stage, said = build(Path(folder), {"EXTRAS": "" if extras == "none" else extras})
        sys.stdout.write(try_image(stage, said))
        sys.stdout.write(f"/app with EXTRAS={extras}: {size_mb(stage.root / 'app'):.0f} MB\n")
        with contextlib.suppress(OSError):
            subprocess.run(["umount", "-l", f"{stage.root}/proc"], check=False, capture_output=True)


if __name__ == "__main__":
    main()
