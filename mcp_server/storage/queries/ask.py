"""Runs a query in a process of its own, and returns its answer or raises its error."""

import json
import os
import sys
from typing import Any

import anyio

from mcp_server.errors import Retryable, UpstreamRejected
from mcp_server.storage.queries.child import KINDS, Question, too_large, too_slow

TIME_LIMIT_S = 5.0
"""How long the query itself may take."""

PROCESS_S = 20.0
"""How long the process may take in all: to start, wait up to 10 s for the file, copy, and answer."""

_NEEDED = ("SYSTEMROOT", "PATH", "LD_LIBRARY_PATH")
"""The only variables that the process gets; none is secret."""


async def ask(question: Question) -> dict[str, Any]:
    """Return the `columns` and `rows` of an answer, and whether there are `more`.

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
        answer: dict[str, Any] = json.loads(out)
    except ValueError:
        lines = err.decode("utf-8", "replace").strip().splitlines()
        raise UpstreamRejected(f"The query was not answered: {lines[-1][:300] if lines else 'it ended'}.") from None
    if "error" in answer:
        raise KINDS.get(answer["error"], Retryable)(answer["problem"], answer["remedy"])
    return answer
