"""The HTTP server ends as soon as it is told to, and answers first whom it is answering."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import httpx2
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from mcp_server.http.prompt_server import PromptServer
from mcp_server.http.serve import configured

LIMIT_S = 20


class Slow:
    """An app that says when it was asked, and when it has ended; it answers once it may."""

    def __init__(self) -> None:
        self.asked, self.may_answer, self.ended = threading.Event(), threading.Event(), threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for answer in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{answer}.complete"})
            self.ended.set()
            return
        self.asked.set()
        await anyio.to_thread.run_sync(self.may_answer.wait, LIMIT_S)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def serving(app: Slow) -> Iterator[tuple[PromptServer, str, threading.Thread]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = PromptServer(configured(app))
        thread = threading.Thread(target=lambda: anyio.run(server.serve, [listener]))
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{listener.getsockname()[1]}/", thread
        finally:
            app.may_answer.set()
            server.end()
            thread.join(LIMIT_S)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The times that it waited as uvicorn does."""
    waits: list[str] = []
    wait = uvicorn.Server.shutdown

    async def noted(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        waits.append("waited")
        await wait(self, sockets)

    monkeypatch.setattr(uvicorn.Server, "shutdown", noted)
    return waits


def test_it_ends_at_once_where_a_client_only_keeps_its_connection(patient: list[str]) -> None:
    app = Slow()
    app.may_answer.set()
    with serving(app) as (server, url, thread), httpx2.Client(trust_env=False) as client:
        assert client.get(url).text == "ok"
        server.end()
        thread.join(LIMIT_S)
        assert not thread.is_alive()
    assert app.ended.is_set()
    assert patient == []


def test_whoever_is_being_answered_gets_the_answer_first(patient: list[str]) -> None:
    app, answers = Slow(), list[str]()
    with serving(app) as (server, url, thread):
        asking = threading.Thread(target=lambda: answers.append(httpx2.get(url, trust_env=False).text))
        asking.start()
        assert app.asked.wait(LIMIT_S)
        server.end()
        app.may_answer.set()
        asking.join(LIMIT_S)
        thread.join(LIMIT_S)
    assert answers == ["ok"]
    assert patient == ["waited"]
    assert app.ended.is_set()


def test_one_that_is_told_to_end_before_it_serves_ends(patient: list[str]) -> None:
    app = Slow()
    with serving(app) as (server, _, thread):
        server.end()
        thread.join(LIMIT_S)
        assert not thread.is_alive()
