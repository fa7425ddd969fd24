"""Asks a query in a process of its own, and gives its answer or its error."""

import json
import os
import sys
from typing import Any

import anyio

from mcp_server.errors import Retryable, UpstreamRejected
from mcp_server.storage.queries.child import KINDS, Question, too_large, too_slow

TIME_LIMIT_S = 5.0
"""What the query itself may take."""

PROCESS_S = 20.0
"""How long the process may take in all: it starts, waits up to 10 s for the file, copies, and answers."""

_NEEDED = ("SYSTEMROOT", "PATH", "LD_LIBRARY_PATH")
"""All that the process is given of the environment: no secret is among them."""


async def ask(question: Question) -> dict[str, Any]:
    """Give the `columns` and `rows` of an answer, and whether there are `more`.

    Raises:
        BadInput: the query is not allowed, wrong, or took too much.
        Retryable, Misconfigured: the journal cannot be read.
    """
    environment = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    command = [sys.executable, "-P", "-m", "mcp_server.storage.queries.child"]
    with anyio.move_on_after(PROCESS_S):
        done = await anyio.run_process(command, input=question.as_json().encode(), check=False, env=environment)
        return _read(done.stdout, done.stderr, done.returncode)
    raise too_slow(TIME_LIMIT_S)


def _read(out: bytes, err: bytes, code: int) -> dict[str, Any]:
    if b"MemoryError" in err or b"bad_alloc" in err or code < 0:  # stopped by one of the system's bounds
        raise too_large()
    try:
        said: dict[str, Any] = json.loads(out)
    except ValueError:
        why = err.decode("utf-8", "replace").strip().splitlines()
        raise UpstreamRejected(f"The query was not answered: {why[-1][:300] if why else 'it ended'}.") from None
    if "error" in said:
        raise KINDS.get(said["error"], Retryable)(said["text"])
    return said
