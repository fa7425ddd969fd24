"""How far a call is: told to a caller that asks for it, as hosts with a progress bar do."""

from collections.abc import Awaitable, Callable

Tell = Callable[[float, float | None, str | None], Awaitable[None]]
"""Called with how much is done, how much there is in all, and what is being done."""


async def unheard(_done: float, _in_all: float | None, _doing: str | None) -> None:
    """Tell nobody."""
