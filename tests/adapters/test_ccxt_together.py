"""Several things asked at once come in order, or fail as the first that failed would alone."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from mcp_server.errors import NotSupported, Retryable, TraderError
from mcp_server.together import together


class Turns:
    """Lets asks end in another order than that in which they were given."""

    def __init__(self, count: int) -> None:
        self._ended = [anyio.Event() for _ in range(count)]
        self.finished: list[int] = []

    def ask(self, number: int, after: int | None, error: TraderError | None = None) -> Callable[[], Awaitable[str]]:
        async def work() -> str:
            try:
                if after is not None:
                    await self._ended[after].wait()
                if error is not None:
                    raise error
                self.finished.append(number)
                return f"answer {number}"
            finally:
                self._ended[number].set()

        return work


async def test_answers_come_in_the_order_of_the_questions_whichever_ended_first() -> None:
    turns = Turns(3)
    assert await together(turns.ask(0, 1), turns.ask(1, 2), turns.ask(2, None)) == ("answer 0", "answer 1", "answer 2")
    assert turns.finished == [2, 1, 0]


async def test_the_first_failure_in_order_is_raised_itself_though_another_came_earlier() -> None:
    turns = Turns(3)
    early, late = Retryable("early"), NotSupported("late")
    with pytest.raises(NotSupported) as caught:
        await together(turns.ask(0, None), turns.ask(1, 2, late), turns.ask(2, None, early))
    assert caught.value is late


async def test_the_others_are_waited_for_though_one_has_failed() -> None:
    turns = Turns(3)
    with pytest.raises(Retryable, match="at once"):
        await together(turns.ask(0, 1), turns.ask(1, None, Retryable("at once")), turns.ask(2, 0))
    assert turns.finished == [0, 2]


async def test_to_ask_nothing_gives_nothing() -> None:
    assert await together() == ()


async def test_a_caller_that_gives_up_takes_what_it_asked_with_it() -> None:
    turns = Turns(2)
    with anyio.move_on_after(0) as scope:
        await together(turns.ask(0, 1), turns.ask(1, 0))
    assert scope.cancelled_caught
    assert turns.finished == []
