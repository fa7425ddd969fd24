"""What a runner claims of the slots that are due: all of them, or where others share them its part.

In a journal that machines share, whoever claims a slot first runs it. A runner that claimed all that is due would leave
the others idle, so each claims only what it can begin soon. And each goes through what is due in an order of its own:
with one order for all they would claim the same slots at the same moment, in vain.
"""

from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from uuid import uuid4

import anyio

from mcp_server.domain.strategy.strategy import Strategy
from runner.clock import Clock
from runner.scheduler.concurrency import Concurrency

AT_ONCE = 64
"""How many slots one transaction claims, where they are shared: then it is another runner's turn."""


class Share:
    """What this runner claims of what is due, and how much of it has not come to an end.

    Args:
        concurrency: says how many runs may wait.
        alone: nobody else claims slots here.
    """

    def __init__(self, concurrency: Concurrency, *, alone: bool) -> None:
        self.alone = alone
        self._concurrency = concurrency
        self._salt = uuid4().bytes
        self._under_way: Counter[tuple[str, str]] = Counter()
        self._more = anyio.Event()

    def place(self, name: str) -> str:
        """Return where a strategy is among those that are due at the same moment."""
        return name if self.alone else blake2b(name.encode(), key=self._salt, digest_size=8).hexdigest()

    def taker(self) -> Callable[[Strategy], bool]:
        """Return what says of one strategy after the other whether a run of it may be claimed now."""
        if self.alone:
            return lambda strategy: True
        self._more = anyio.Event()
        taken = Counter(self._under_way)

        def takes(strategy: Strategy) -> bool:
            kind = self._concurrency.kind(strategy)
            taken[kind] += 1
            return taken[kind] <= self._concurrency.most_claimed(kind)

        return takes

    def begin(self, strategy: Strategy) -> None:
        """Note that a run is claimed."""
        self._under_way[self._concurrency.kind(strategy)] += 1

    def end(self, strategy: Strategy) -> None:
        """Note that a claimed run is decided, or was stopped; wake who waits for room once there is some."""
        kind = self._concurrency.kind(strategy)
        self._under_way[kind] -= 1
        if 2 * self._under_way[kind] <= self._concurrency.most_claimed(kind):
            self._more.set()

    async def until_more(self, clock: Clock, most_s: float) -> None:
        """Wait until more may be claimed than when a taker was last asked for, and at most so many seconds."""
        async with anyio.create_task_group() as waiting:

            async def wake() -> None:
                await self._more.wait()
                waiting.cancel_scope.cancel()

            waiting.start_soon(wake)
            await clock.sleep(most_s)
            waiting.cancel_scope.cancel()
