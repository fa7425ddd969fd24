"""What rules decide, asked for together: strategies that wait for the same market share a request to the tool server.

Whatever a shared request leaves open, or does not answer soon, is asked for alone: where an exchange hangs, each run
takes hardly longer than alone. Requests for one market follow each other; those for different markets do not wait for
each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from mcp_server.errors import TraderError
from runner.tool_server.client import Tools

TOOL = "evaluate_strategy"

MOST_TOGETHER = 32
"""The strategies of one request: each waits for the answers of all."""

TOGETHER_S = 5.0
"""How long one waits for its turn and its shared answer; after that it is asked for alone."""

Arguments = Mapping[str, str]
Answer = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class _Asking:
    """One strategy that waits. `answer` is its answer or error once `done`; None: it is to be asked for alone."""

    arguments: Arguments
    done: anyio.Event = field(default_factory=anyio.Event)
    answer: Answer | Exception | None = None


async def ask_alone(tools: Tools, arguments: Arguments) -> Answer:
    """Return what `evaluate_strategy` answers to a run that has nobody to ask with.

    A server that was just started for this run is asked as if for several: the tool is not made there yet, nor what
    checks a call of it.

    Raises:
        TraderError: the error that the tool answers with.
    """
    if tools.of_this_program:
        (answer,) = await tools.evaluate_together([arguments])
        if isinstance(answer, TraderError):
            raise answer
        if answer is not None:
            return answer
    return await tools.call(TOOL, dict(arguments))


class SharedEvaluations:
    """Asks a tool server what rules decide. `keep` must be under way, or each strategy is asked for alone."""

    def __init__(self) -> None:
        self._tasks: TaskGroup | None = None
        self._waiting: dict[tuple[Tools, str], list[_Asking]] = {}
        """By server and market. Where there is a list, a task asks for what is in it."""

    async def keep(self) -> None:
        """Send shared requests until this is cancelled."""
        try:
            async with anyio.create_task_group() as self._tasks:
                await anyio.sleep_forever()
        finally:
            self._tasks = None

    async def ask(self, tools: Tools, market: str, arguments: Arguments) -> Answer:
        """Return what `evaluate_strategy` answers.

        Raises:
            TraderError: the error that the tool answered with.
        """
        if self._tasks is not None and tools.evaluates_together:
            answer = await self._shared(self._tasks, (tools, market), arguments)
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                return answer
        return await tools.call(TOOL, dict(arguments))

    async def _shared(
        self, tasks: TaskGroup, key: tuple[Tools, str], arguments: Arguments
    ) -> Answer | Exception | None:
        own = _Asking(arguments)
        if key in self._waiting:
            self._waiting[key].append(own)
        else:
            self._waiting[key] = [own]
            tasks.start_soon(self._ask_for_all, key)
        try:
            with anyio.move_on_after(TOGETHER_S):
                await own.done.wait()
        finally:
            if not own.done.is_set() and own in self._waiting.get(key, ()):
                self._waiting[key].remove(own)
        return own.answer

    async def _ask_for_all(self, key: tuple[Tools, str]) -> None:
        """Ask for those who wait, until nobody does. Who comes meanwhile shares the next request."""
        try:
            while True:
                await anyio.lowlevel.checkpoint()  # who is about to ask comes along
                waiting = self._waiting[key]
                if not waiting:
                    return
                together, self._waiting[key] = waiting[:MOST_TOGETHER], waiting[MOST_TOGETHER:]
                await _ask(key[0], together)
        finally:
            for asking in self._waiting.pop(key):
                asking.done.set()


async def _ask(tools: Tools, together: list[_Asking]) -> None:
    """Send one request, and let each know its answer."""
    try:
        if len(together) > 1:
            with anyio.move_on_after(TOGETHER_S):
                answers = await tools.evaluate_together([asking.arguments for asking in together])
                for asking, answer in zip(together, answers, strict=True):
                    asking.answer = answer
    except Exception as error:  # the connection is lost, say: each of these runs tells of it
        for asking in together:
            asking.answer = error
    finally:
        for asking in together:
            asking.done.set()
