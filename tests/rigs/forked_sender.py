"""The processes that send a notification, forked from one that has loaded apprise's services already."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio
import pytest

from tests.rigs.warm import Warm, can_run

MODULE = "runner.notify.send"


@contextmanager
def forked_senders() -> Iterator[None]:
    """Let this process fork those that it starts to send."""
    start = anyio.run_process

    async def run_process(command: Sequence[str], **options: Any) -> Any:
        if list(command[1:]) == ["-P", "-m", MODULE] and can_run(options["env"]):
            return await _sent(options["input"], options["env"])
        return await start(command, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anyio, "run_process", run_process)
        yield


async def _sent(message: bytes, environment: Mapping[str, str]) -> CompletedProcess[bytes]:
    """Run one to its end; kill it where that is cancelled."""
    given, written = os.pipe()
    output, answer = os.pipe()
    try:
        os.write(written, message)
        os.close(written)
        program = Warm(MODULE, [], environment, Path.cwd(), (given, answer, 2))
        os.close(answer)
        try:
            await anyio.wait_readable(program.sentinel)
        finally:
            program.kill()
        return CompletedProcess([], program.wait(), os.read(output, 65_536))
    finally:
        os.close(given)
        os.close(output)
