"""A service that takes notifications on loopback: each request is answered as the test says, and remembered."""

import contextlib
import threading
from collections.abc import Iterator

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.rigs.loopback import served


class Receiver:
    """What it was sent, and how it answers.

    `answers` are used up in turn, then it takes everything: a status, or `hang` (never an answer), or `slow` (takes it
    after a second).
    """

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[int | str] = []
        self.got: list[dict[str, str]] = []
        self.arrived = threading.Event()

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.got]

    async def take(self, request: Request) -> Response:
        said = await request.json()
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, str) or answer == 200:
            self.got.append({"title": said["title"], "message": said["message"]})
        self.arrived.set()
        if answer == "hang":
            await anyio.sleep(30)
        if answer == "slow":
            await anyio.sleep(0.3)
        return Response(status_code=answer if isinstance(answer, int) else 200)


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """Give a receiver; its `url` is what TRADER_NOTIFY holds."""
    made = Receiver()
    with served(Starlette(routes=[Route("/{path:path}", made.take, methods=["POST"])])) as url:
        made.url = url.replace("http://", "json://") + "/a-secret-token"
        yield made
