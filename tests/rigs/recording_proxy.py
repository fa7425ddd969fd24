"""An HTTP proxy on loopback that forwards nothing and remembers what came: some requests must not reach it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.rigs.loopback import served


@dataclass
class RecordingProxy:
    """`variables` make a program use it, as operators set them."""

    url: str = ""
    seen: list[str] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
        return {**dict.fromkeys(names, self.url), "NO_PROXY": "intranet.example", "no_proxy": ""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.seen.append(f"{scope['method']} {scope['path']} {scope['headers']}")
            await PlainTextResponse("no way out", status_code=502)(scope, receive, send)


@contextlib.contextmanager
def recording_proxy() -> Iterator[RecordingProxy]:
    proxy = RecordingProxy()
    with served(proxy) as proxy.url:
        yield proxy
