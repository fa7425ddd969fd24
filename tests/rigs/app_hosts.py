"""A host of MCP Apps in a browser, made of the protocol's own `AppBridge`, and a client of a server for its calls.

The basic host of the `ext-apps` repository is not published, and is built from the repository only; this one does the
same: a page, a sandbox of another origin with the policy that the specification asks for, and in it the tool's page.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client
from mcp_types import CallToolResult, TextResourceContents
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

from tests.rigs.browser import AXE, OpenPage
from tests.rigs.loopback import served

FILES = Path(__file__).parent / "app_host"
BRIDGE = AXE.parents[2] / "app-bridge.js"
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' data:; connect-src 'none'; frame-src 'self'"
)
"""What the specification asks of a host for a page that names no domains."""


@dataclass
class AppHost:
    """A host that is served at `url`, with a client of a server. `calls` are those that pages made through it."""

    url: str
    portal: BlockingPortal
    client: Client
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _results: dict[str, Any] = field(default_factory=dict)

    def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """Call a tool, as the model does."""
        return self.portal.call(lambda: self.client.call_tool(tool, arguments))

    def page_of(self, tool: str) -> str:
        """Read the page that a tool names, as hosts do: by its `_meta`."""
        tools = self.portal.call(self.client.list_tools).tools
        (meta,) = [one.meta for one in tools if one.name == tool]
        assert meta is not None
        (content,) = self.portal.call(lambda: self.client.read_resource(meta["ui"]["resourceUri"])).contents
        assert isinstance(content, TextResourceContents)
        assert content.mime_type == "text/html;profile=mcp-app"
        return content.text

    def lets_call(self, page: OpenPage) -> None:
        """Pass calls of a page on to the server."""
        page.page.expose_function("callTool", self._passed_on)

    def _passed_on(self, params: str) -> str:
        asked = json.loads(params)
        self.calls.append((asked["name"], asked["arguments"]))
        return _json(self.call(asked["name"], asked["arguments"]))

    def show(self, page: OpenPage, tool: str, arguments: dict[str, Any], **more: Any) -> Any:
        """Call a tool, show its page in a host's page that is open, and return the frame of that page.

        What was called before with these arguments is not called again: a picture takes half a second of a core.
        """
        key = json.dumps([tool, arguments])
        if "result" not in more and key not in self._results:
            self._results[key] = json.loads(_json(self.call(tool, arguments)))
        result = more.pop("result", None) or self._results[key]
        given = {"html": self.page_of(tool), "args": arguments, "result": result, **more}
        page.page.wait_for_function("window.ready")
        page.page.evaluate("given => window.show(given)", given)
        return page.page.frame_locator("iframe").frame_locator("iframe")


def _json(result: CallToolResult) -> str:
    return result.model_dump_json(by_alias=True, exclude_none=True)


@contextmanager
def app_host(server: Any) -> Iterator[AppHost]:
    """Serve a host until the block ends; `server` is the address of an MCP server, or a server of this process."""
    assert BRIDGE.is_file(), "not installed: `make .venv/browser.stamp` does it, `make test` too"
    files = {"/host.html": FILES / "host.html", "/sandbox.html": FILES / "sandbox.html", "/app-bridge.js": BRIDGE}
    routes = [Route(path, _sender(file)) for path, file in files.items()]
    with (
        served(Starlette(routes=routes)) as url,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(server)) as client,
    ):
        yield AppHost(f"{url}/host.html", portal, client)


def _sender(file: Path) -> Any:
    async def send(_: Any) -> FileResponse:
        headers = {"Content-Security-Policy": POLICY} if file.name == "sandbox.html" else {}
        return FileResponse(file, headers=headers)

    return send
