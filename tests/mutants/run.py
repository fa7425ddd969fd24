"""Break the code in one place at a time, and tell which breaks no test notices.

`make mutants` applies each entry of the `.toml` files beside this one to a copy of the checkout and runs the tests that
the entry names, the long ones too. Without the change all of them must pass, with it at least one must fail. The
checkout itself is never changed. `make mutants ONLY=rules,http` takes some files alone, and `ONLY=rules:3` one entry.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
LEFT_OUT = shutil.ignore_patterns(
    ".venv", ".git", ".*_cache", "__pycache__", ".cache", ".hypothesis", ".benchmarks", "dist", "build"
)
PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=line")
LIMIT_S = 300
UNBROKEN_LIMIT_S = 1800
FAILED_TESTS = 1  # pytest's own code: it ran, and a test failed


@dataclass(frozen=True)
class Mutant:
    """One change of one place.

    Attributes:
        name: its file and its place there, `rules:3`.
        what: what a user would get, in a few words.
        before: the text to change; it occurs exactly once in `file`.
        tests: files or node ids, of which at least one must fail.
    """

    name: str
    what: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]

    def problem(self, root: Path = CHECKOUT, *, compiled: bool = True) -> str | None:
        """Return why this entry cannot be applied, None where it can; unless it is `compiled`, that is not tried."""
        source = root / self.file
        if not source.is_file():
            return f"{self.file} does not exist"
        if (count := source.read_text().count(self.before)) != 1:
            return f"`before` occurs {count} times in {self.file}, not once"
        if missing := [test for test in self.tests if not (root / test.partition("::")[0]).is_file()]:
            return f"no such test: {', '.join(missing)}"
        if not self.tests or self.before == self.after:
            return "it needs tests, and `after` must differ from `before`"
        if compiled and self.file.endswith(".py"):
            try:
                compile(self.applied(root), self.file, "exec")
            except SyntaxError as error:
                return f"`after` does not compile: {error}"
        return None

    def applied(self, root: Path) -> str:
        """Return the file's text with this change in it."""
        return (root / self.file).read_text().replace(self.before, self.after)


def mutants(only: tuple[str, ...] = ()) -> list[Mutant]:
    """Return the entries of all files, or of the files and entries that `only` names."""
    entries = [
        Mutant(f"{path.stem}:{number}", **{**entry, "tests": tuple(entry["tests"])})
        for path in sorted(HERE.glob("*.toml"))
        for number, entry in enumerate(tomllib.loads(path.read_text())["mutant"], start=1)
    ]
    chosen = [mutant for mutant in entries if not only or {mutant.name, mutant.name.partition(":")[0]} & set(only)]
    if not chosen:
        areas = ", ".join(path.stem for path in sorted(HERE.glob("*.toml")))
        raise SystemExit(f"No mutant is named by {', '.join(only)}. The files are: {areas}.")
    return chosen


@dataclass(frozen=True)
class Copy:
    """A copy of the checkout with a Python of its own, whose programs import the copy and not the checkout."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> "Copy":
        shutil.copytree(CHECKOUT, root, ignore=LEFT_OUT)
        venv, own = root / ".venv", Path(sys.prefix)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
        packages = next(venv.glob("lib/python3*/site-packages"))
        theirs = own / packages.relative_to(venv)
        (packages / "a_copy.pth").write_text(f"{root}\nimport site; site.addsitedir({str(theirs)!r})\n")
        for folder in ("chain", "hosts", "browser"):
            if (own / folder).exists():
                (venv / folder).symlink_to(own / folder)
        for program in (own / "bin").iterdir():
            target = venv / "bin" / program.name
            if target.exists() or not program.is_file():
                continue
            if program.read_bytes().startswith(b"#!" + str(own).encode()):
                target.write_text(program.read_text().replace(str(own), str(venv)))
                target.chmod(0o755)
            else:
                target.symlink_to(program)
        return cls(root)

    def test(self, tests: tuple[str, ...], limit_s: float = LIMIT_S) -> tuple[int | None, str]:
        """Return pytest's exit code for these tests, None after `limit_s`, and what it printed."""
        environment = os.environ | {
            "PATH": f"{self.root / '.venv/bin'}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.root / ".venv"),
        }
        command = [str(self.root / ".venv/bin/python"), *PYTEST, *tests]
        with (
            tempfile.TemporaryFile("w+") as output,
            subprocess.Popen(
                command, cwd=self.root, env=environment, stdout=output, stderr=output, start_new_session=True
            ) as process,
        ):
            try:
                code: int | None = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with_its_children(process.pid)
            output.seek(0)
            return code, output.read()

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        path = self.root / mutant.file
        original = path.read_text()
        path.write_text(mutant.applied(self.root))
        try:
            yield
        finally:
            path.write_text(original)


def with_its_children(group: int) -> None:
    """End what a test run left running."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def verdict(mutant: Mutant, copies: SimpleQueue[Copy]) -> tuple[str, str]:
    """Return "killed", "survived", "hangs" or "broken", and what pytest printed.

    A change that makes a test wait for ever is noticed by nobody who waits, and one that stops the program from being
    imported is no fault that a test could find: both are entries to mend.
    """
    copy = copies.get()
    try:
        with copy.mutated(mutant):
            code, output = copy.test(mutant.tests)
    finally:
        copies.put(copy)
    return {FAILED_TESTS: "killed", 0: "survived", None: "hangs"}.get(code, "broken"), output


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help="files (`rules`) or entries (`rules:3`); all where none is named")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="copies at work at a time")
    parser.add_argument(
        "--unbroken", action="store_true", help="first check that the named tests pass without any change"
    )
    options = parser.parse_args()
    chosen = mutants(tuple(name for words in options.only for name in words.split(",") if name))
    if bad := [f"{mutant.name}: {problem}" for mutant in chosen if (problem := mutant.problem())]:
        raise SystemExit("\n".join(bad))
    began, counts, alive = time.monotonic(), dict.fromkeys(("killed", "survived", "hangs", "broken"), 0), []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(min(options.jobs, len(chosen))):
            copies.put(Copy.make(Path(folder) / str(number)))
        copy = copies.get()
        code, output = copy.test(tuple(sorted({test for mutant in chosen for test in mutant.tests})), UNBROKEN_LIMIT_S)
        copies.put(copy)
        if code != 0:
            raise SystemExit(f"{output}\nThese tests must pass before the code is changed.")
        with ThreadPoolExecutor(options.jobs) as pool:
            jobs = {pool.submit(verdict, mutant, copies): mutant for mutant in chosen}
            try:
                for done, job in enumerate(as_completed(jobs), start=1):
                    result, output = job.result()
                    mutant = jobs[job]
                    counts[result] += 1
                    tell(f"{done}/{len(chosen)}  {result:<8}  {mutant.name}: {mutant.what}")
                    if result != "killed":
                        alive.append(f"{result}: {mutant.name}: {mutant.what} ({mutant.file})\n{output[-1500:]}")
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)
                raise SystemExit("Stopped.") from None
    total = ", ".join(f"{count} {result}" for result, count in counts.items())
    tell("\n".join(["", *alive, f"{total} of {len(chosen)} in {time.monotonic() - began:.0f} s"]))
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
