"""`claude-trader` ends its process once all is written, and does not wait until Python has taken itself apart."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import atexit, os, sys, threading
import runner.__main__ as program

class Kept:
    def __del__(self):
        os.write(1, b"taken apart\\n")

kept = Kept()
atexit.register(print, "tidied")

def end():
    print("shown")
    raise SystemExit({code})

program.run_command_line = end
{before}
program.main()
"""

WORKS_ON = """
def work():
    threading.main_thread().join()
    print("worked")

threading.Thread(target=work).start()
"""

WORKS_IN_ITS_DAEMON = "threading.Thread(target=threading.Event().wait, daemon=True).start()"

CANNOT_WRITE = """
class Full:
    def write(self, text):
        os.write(1, text.encode())

    def flush(self):
        raise OSError("No space left on device")

sys.stdout = Full()
"""

WITHOUT_OUTPUT = "sys.stderr = None"


def ended(code: str, before: str = "") -> tuple[int, list[str]]:
    """Run a program that ends with this code; return its process's code and the lines that it wrote."""
    program = [sys.executable, "-c", PROGRAM.format(code=code, before=before)]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, timeout=100, check=False)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("before", ["", WITHOUT_OUTPUT, WORKS_IN_ITS_DAEMON])
def test_it_ends_when_all_is_written_and_tidied_and_not_when_all_is_taken_apart(before: str) -> None:
    assert ended("3", before) == (3, ["shown", "tidied"])


def test_an_end_without_a_code_is_a_success_and_one_with_a_text_a_failure() -> None:
    assert ended("None") == (0, ["shown", "tidied"])
    assert ended("'no'") == (1, ["shown", "tidied", "taken apart"])


def test_a_thread_that_works_is_waited_for() -> None:
    assert ended("3", WORKS_ON) == (3, ["shown", "worked", "tidied", "taken apart"])


def test_what_could_not_be_written_is_a_failure() -> None:
    code, lines = ended("0", CANNOT_WRITE)
    assert code == 120  # as Python has it
    assert "shown" in lines


def test_a_command_ends_with_its_own_code(home: Path) -> None:
    command = [sys.executable, "-m", "runner", "signals", "nothing-of-mine"]
    done = subprocess.run(
        command, env={**os.environ, "TRADER_HOME": str(home)}, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Unknown strategy" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no file that is always full")
@pytest.mark.parametrize("more", [[], pytest.param(["--json"], marks=pytest.mark.long)])
def test_a_command_whose_output_has_no_room_says_so(home: Path, more: list[str]) -> None:
    command = [sys.executable, "-m", "runner", "signals", *more]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command,
            env={**os.environ, "TRADER_HOME": str(home)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("claude-trader: The output could not be written: No space left on device.")
