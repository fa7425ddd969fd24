"""Runs a query in a process of its own, and returns its answer or raises its error."""

import json
import os
import signal
import sys
from contextlib import suppress
from subprocess import PIPE
from typing import Any, cast

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream

from mcp_server.errors import Retryable, UpstreamRejected
from mcp_server.storage.queries.child import KINDS, MOST_PROCESSOR_S, Question, not_begun, too_large, too_slow

TIME_LIMIT_S = 5.0
"""How long the query itself may take."""

PROCESS_S = 20.0
"""How long the process may take in all: to start, wait up to 10 s for the file, copy, and answer."""

OUT_OF_TIME = getattr(signal, "SIGXCPU", 24)  # Windows has no such signal, and no such bound

CHILD = (sys.executable, "-P", "-m", "mcp_server.storage.queries.child")

_NEEDED = ("SYSTEMROOT", "PATH", "LD_LIBRARY_PATH")
"""The only variables that the process gets; none is secret."""


async def ask(question: Question, within_s: float = PROCESS_S) -> dict[str, Any]:
    """Return the `columns` and `rows` of an answer, and whether there are `more`.

    Raises:
        BadInput: the query is not allowed, wrong, or took too much.
        Retryable, Misconfigured: the journal cannot be read, or the query had not begun after `within_s`.
    """
    environment = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    out, err = bytearray(), bytearray()
    with anyio.move_on_after(min(within_s, PROCESS_S)):
        with anyio.CancelScope(shield=True):  # a start that is cancelled half-way leaves a process to nobody
            process = await anyio.open_process(CHILD, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment)
        async with process:
            async with anyio.create_task_group() as reading:
                reading.start_soon(_collect, cast(ByteReceiveStream, process.stdout), out)
                reading.start_soon(_collect, cast(ByteReceiveStream, process.stderr), err)
                with suppress(anyio.BrokenResourceError):  # it has ended; `err` says why
                    await cast(ByteSendStream, process.stdin).send(question.as_json().encode())
                await cast(ByteSendStream, process.stdin).aclose()
            code = await process.wait()
        return _read(bytes(out), bytes(err), code)
    raise too_slow(question.time_limit_s) if out else not_begun()  # it writes as soon as the query begins


async def _collect(stream: ByteReceiveStream, into: bytearray) -> None:
    async for part in stream:
        into += part


def _read(out: bytes, err: bytes, code: int) -> dict[str, Any]:
    if code == -OUT_OF_TIME:
        raise too_slow(MOST_PROCESSOR_S, " of processor time")
    if b"MemoryError" in err or b"bad_alloc" in err or code < 0:  # stopped by one of the system's bounds
        raise too_large()
    try:
        answer: dict[str, Any] = json.loads(out)
    except ValueError:
        lines = err.decode("utf-8", "replace").strip().splitlines()
        raise UpstreamRejected(f"The query was not answered: {lines[-1][:300] if lines else 'it ended'}.") from None
    if "error" in answer:
        raise KINDS.get(answer["error"], Retryable)(answer["problem"], answer["remedy"])
    return answer
