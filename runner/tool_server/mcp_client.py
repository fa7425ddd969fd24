"""Imports mcp's client without mcp's server, which is a third of what it takes along: a runner has no server in it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

OF_THE_SERVER = {
    "mcp.server": ("Server",),
    "mcp.server.mcpserver": ("MCPServer",),
    "mcp.server.runner": ("modern_on_request",),
    "mcp.server.session": ("ServerSession",),
    "mcp.server.stdio": ("stdio_server",),
}
"""What the client imports of the server, by module: to connect to one in the same process."""

NEEDS_MORE = (ImportError, AttributeError, TypeError)
"""What an import raises that cannot do with what stands for a part."""


class ServerPart:
    """Stands for a class or a function of mcp's server, which is imported when it is first called."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it itself."""
        return getattr(import_module(self._module), self._name)(*arguments, **named)

    def __instancecheck__(self, instance: object) -> bool:
        """Return whether something is an instance of it: nothing is, before it has been imported."""
        module = sys.modules.get(self._module)
        return module is not None and isinstance(instance, getattr(module, self._name))


@contextmanager
def without_mcp_server() -> Iterator[None]:
    """Let who imports these parts meanwhile have what stands for them, unless the server is imported already.

    Nobody imports the server in another thread meanwhile.
    """
    missing = {} if "mcp.server" in sys.modules else OF_THE_SERVER
    sys.modules.update({name: _standing_for(name, parts) for name, parts in missing.items()})
    try:
        yield
    finally:
        for name in missing:  # who imports one of these now gets it itself
            sys.modules.pop(name, None)


def import_mcp() -> None:
    """Import mcp as its client needs it; a version that needs more of the server is given it."""
    with without_mcp_server():
        try:
            import mcp  # noqa: F401
        except NEEDS_MORE:
            for name in [name for name in sys.modules if name.partition(".")[0] == "mcp"]:
                del sys.modules[name]


def _standing_for(name: str, parts: tuple[str, ...]) -> ModuleType:
    module = ModuleType(name)
    vars(module).update({part: ServerPart(name, part) for part in parts})
    return module
