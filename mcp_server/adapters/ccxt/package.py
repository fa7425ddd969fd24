"""ccxt, of which only the modules that are asked for are imported: one exchange takes a third of what all take.

The `__init__` files of ccxt import every exchange. Importing this module puts ccxt's two packages into `sys.modules`
before those files have run. A name that such a file imports is then imported when it is first asked for. Any other
name, like `ccxt.exchanges`, runs the file as it is, so whoever else uses ccxt in this process finds all of it.
"""

from __future__ import annotations

import ast
import sys
import threading
from importlib.abc import InspectLoader
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_RUNNING = threading.RLock()
"""Held while an `__init__` file runs: another thread that misses a name waits for the end."""


class _DeferredPackage(ModuleType):
    """A package whose `__init__` file has not run; `loader_state` of its spec is what `_imports` returns."""

    def __getattr__(self, name: str) -> Any:
        """Import a missing name from where the `__init__` file would; where that fails, run the file."""
        try:
            module, attribute = self.__spec__.loader_state[name]  # type: ignore[union-attr]
            value = getattr(__import__(module, fromlist=[attribute]), attribute)
        except (KeyError, ImportError, AttributeError):
            self._run()
            return ModuleType.__getattribute__(self, name)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Take a submodule from the import system, unless the `__init__` file gives that name to the class in it."""
        if value is not sys.modules.get(f"{self.__name__}.{name}"):
            self._run()
        elif name in self.__spec__.loader_state:  # type: ignore[union-attr]
            return
        ModuleType.__setattr__(self, name, value)  # which is its class once the file has run

    def __dir__(self) -> list[str]:
        self._run()
        return sorted(self.__dict__)

    def _run(self) -> None:
        """Run the `__init__` file in this very module, once. If it raises, the next missing name runs it again."""
        with _RUNNING:
            if self.__name__ in _running or self.__class__ is ModuleType:
                return
            _running.add(self.__name__)
            try:
                self.__spec__.loader.exec_module(self)  # type: ignore[union-attr]
                ModuleType.__setattr__(self, "__class__", ModuleType)
            finally:
                _running.discard(self.__name__)


_running: set[str] = set()


def defer(name: str) -> None:
    """Put a package into `sys.modules` without running its `__init__` file, unless it is there or has no source."""
    spec = None if name in sys.modules else find_spec(name)
    source = spec.loader.get_source(name) if spec and isinstance(spec.loader, InspectLoader) else None
    if spec is None or source is None:
        return
    spec.loader_state = _imports(source)
    module = module_from_spec(spec)
    module.__class__ = _DeferredPackage
    parent, _, child = name.rpartition(".")
    if sys.modules.setdefault(name, module) is module and parent:
        setattr(sys.modules[parent], child, module)


def _imports(source: str) -> dict[str, tuple[str, str]]:
    """Return each name that a file takes from a module at its top, and binds only there → module, name there."""
    tree = ast.parse(source)
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return {
        name: (statement.module, alias.name)
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level
        for alias in statement.names
        if (name := alias.asname or alias.name) not in bound
    }


defer("ccxt")
defer("ccxt.async_support")

from ccxt import async_support  # noqa: E402 (as are these, the packages having been put there)
from ccxt.base import errors  # noqa: E402

__all__ = ["async_support", "defer", "errors"]
