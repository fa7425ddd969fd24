"""The HTTP server as it ends: as soon as it is told to, and not at uvicorn's next look, a tenth of a second later."""

import asyncio
import socket
from contextlib import suppress
from types import FrameType

import uvicorn


class PromptServer(uvicorn.Server):
    """Ends at once where nobody is being answered; else it waits for that as uvicorn does."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    def end(self) -> None:
        """End in good order. Any thread may call it, at any time."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._told.set)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal that ends it, which is raised again once it has ended."""
        super().handle_exit(sig, frame)
        self.end()

    async def main_loop(self) -> None:
        """Serve until told to end."""
        self._loop = asyncio.get_running_loop()
        counter = 0
        while not await self.on_tick(counter):
            counter += 10  # each tick of uvicorn's is a tenth of a second
            try:
                await asyncio.wait_for(self._told.wait(), 1)
            except TimeoutError:
                continue

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all that is idle, and wait for what is not."""
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)  # the event loop forgets a closed connection in its next round
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await self.lifespan.shutdown()
