"""Asking the person at the terminal: one line, without a thread, so that Ctrl-C ends the waiting at once."""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence

import anyio

MOST_BYTES = 10_000


async def ask_line(question: str, choices: Sequence[str], show: Callable[[str], None]) -> str | None:
    """Show a question and wait for a line; a number stands for the choice of that number. None: there is no answer."""
    _forget_what_was_typed()  # it was no answer to this
    show(f"\n{question}")
    for number, choice in enumerate(choices, 1):
        show(f"  {number}  {choice}")
    show(f"Type 1 to {len(choices)} (Enter: 1), or an answer of your own." if choices else "Type an answer.")
    line = await _read_line(sys.stdin.fileno())
    if line is None:
        return None
    if line.isdecimal() and 1 <= int(line) <= len(choices):
        return choices[int(line) - 1]
    return line or (choices[0] if choices else None)


def _forget_what_was_typed() -> None:
    import termios  # where it is missing, there is no agent CLI either

    with contextlib.suppress(termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


async def _read_line(descriptor: int) -> str | None:
    """Read one line, however it is cut; None at the end of the input."""
    got = b""
    while not got.endswith(b"\n") and len(got) < MOST_BYTES:
        await anyio.wait_readable(descriptor)
        part = os.read(descriptor, MOST_BYTES)
        if not part:
            break
        got += part
    text = got.decode("utf-8", "replace").strip()
    return text if text or got else None
