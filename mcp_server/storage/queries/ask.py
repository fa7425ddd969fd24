"""Runs each query in a process of its own, and returns its answer or raises its error."""

import json
import os
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from mcp_server.child_process import ChildEnding, WaitingChild, command_of
from mcp_server.errors import Retryable, UpstreamRejected
from mcp_server.storage.queries.question import KINDS, MOST_PROCESSOR_S, Question, not_begun, too_large, too_slow

TIME_LIMIT_S = 5.0
"""How long the query itself may take."""

PROCESS_S = 20.0
"""How long the process may take in all: to start, wait up to 10 s for the file, copy, and answer."""

CHILD = command_of("mcp_server.storage.queries.child")


class Queries:
    """Answers queries. After each one the process of the next gets ready, and waits for it for a minute.

    Args:
        journal_url: TRADER_DATABASE_URL; None: the journal is in the home's file.
    """

    def __init__(self, journal_url: SecretStr | None = None) -> None:
        self._journal_url = None if journal_url is None else journal_url.get_secret_value()
        self._child = WaitingChild(CHILD, {} if journal_url is None else _of_libpq())

    async def ask(self, question: Question, within_s: float = PROCESS_S) -> dict[str, Any]:
        """Return the `columns` and `rows` of an answer, and whether there are `more`.

        Raises:
            BadInput: the query is not allowed, wrong, or took too much.
            Retryable, Misconfigured: the journal cannot be read, or the query had not begun after `within_s`.
        """
        ending = await self._child.run(
            replace(question, journal_url=self._journal_url).as_json().encode(), min(within_s, PROCESS_S)
        )
        if ending.code is None:  # the process writes as soon as the query begins
            raise too_slow(question.time_limit_s) if ending.out else not_begun()
        return _read(ending)

    async def close(self) -> None:
        """End the process that waits, if one does."""
        await self._child.close()


def _of_libpq() -> dict[str, str]:
    """Return the variables by which libpq adds to a URL: the password may be in one, and not in the URL."""
    return {name: value for name, value in os.environ.items() if name.startswith("PG")}


def _read(ending: ChildEnding) -> dict[str, Any]:
    if ending.out_of_processor_time:
        raise too_slow(MOST_PROCESSOR_S, " of processor time")
    if ending.out_of_memory:
        raise too_large()
    try:
        answer: dict[str, Any] = json.loads(ending.out)
    except ValueError:
        raise UpstreamRejected(f"The query was not answered: {ending.last_line}.") from None
    if "error" in answer:
        raise KINDS.get(answer["error"], Retryable)(answer["problem"], answer["remedy"])
    return answer
