"""The tool files: which there are is read from the folders, and each is imported when its tool is first needed."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mcp.server.mcpserver.tools import Tool, ToolManager
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

import mcp_server.tools
from mcp_server.toolkit import ToolFile

logger = logging.getLogger(__name__)


class ToolFiles(Mapping[str, ToolFile]):
    """The tools by name, in this order: each file holds one tool of its own name."""

    def __init__(self, families: Mapping[str, str]) -> None:
        """Take the family of each tool: the folder of `tools/` that its file is in."""
        self.families = families

    @classmethod
    def all(cls) -> ToolFiles:
        """Return those of the program; what editors and macOS put beside them, like `._name.py`, is none."""
        files = Path(mcp_server.tools.__file__).parent.glob("*/[!_]*.py")
        return cls(dict(sorted((file.stem, file.parent.name) for file in files if file.stem.isidentifier())))

    def of(self, families: frozenset[str]) -> ToolFiles:
        """Return those of some families."""
        return ToolFiles({name: family for name, family in self.families.items() if family in families})

    def __getitem__(self, name: str) -> ToolFile:
        """Import one.

        Raises:
            ImportError: it cannot be imported, or holds no tool of its own name.
        """
        module = f"mcp_server.tools.{self.families[name]}.{name}"
        try:
            file = getattr(importlib.import_module(module), name, None)
        except Exception as error:
            raise ImportError(f"{module} cannot be imported: {error}") from error
        if not isinstance(file, ToolFile):
            raise ImportError(f"{module} holds no @tool named {name}")
        return file

    def __iter__(self) -> Iterator[str]:
        return iter(self.families)

    def __len__(self) -> int:
        return len(self.families)


class ToolsOnDemand(ToolManager):
    """Makes a tool when it is first called, and all of them when they are first listed."""

    def __init__(self, files: Mapping[str, ToolFile], make: Callable[[ToolFile], Tool]) -> None:
        super().__init__()
        self._files = files
        self._make = make

    def get_tool(self, name: str) -> Tool | None:
        """Return the tool, or None if there is none of this name; always the same one, in whichever thread.

        Raises:
            ImportError: its file is broken.
        """
        if name not in self._tools and name in self._files:
            self._tools.setdefault(name, self._make(self._files[name]))
        return self._tools.get(name)

    def list_tools(self) -> list[Tool]:
        """Return all tools, in order of name.

        Raises:
            MCPError: the file of one is broken; the host reads which. No list goes out that silently lacks a tool.
        """
        try:
            return [tool for name in self._files if (tool := self.get_tool(name))]
        except ImportError as error:
            logger.exception("The tools cannot be listed")
            raise MCPError(code=INTERNAL_ERROR, message=str(error)) from error
