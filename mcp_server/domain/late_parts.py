"""Imports a library without parts that it names and hardly ever uses: each is imported when it is first called."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

NEEDS_MORE = (ImportError, AttributeError, TypeError)
"""What an import raises that cannot do with what stands for a part."""


class LatePart:
    """Stands for a class or a function of a module."""

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
def late_parts(parts: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
    """Let who imports these parts meanwhile have what stands for them, unless one of the modules is imported already.

    Nobody imports one of the modules in another thread meanwhile.

    Args:
        parts: what is imported of each module.
    """
    missing = {} if any(module in sys.modules for module in parts) else parts
    sys.modules.update({module: _standing_for(module, names) for module, names in missing.items()})
    try:
        yield
    finally:
        for module in missing:  # who imports one of these now gets it itself
            sys.modules.pop(module, None)


def import_with_late_parts(module: str, parts: Mapping[str, tuple[str, ...]]) -> None:
    """Import a module to which these parts come late; a version that needs more of them is to be imported anew."""
    with late_parts(parts):
        try:
            import_module(module)
        except NEEDS_MORE:
            library = module.partition(".")[0]
            for name in [name for name in sys.modules if name.partition(".")[0] == library]:
                del sys.modules[name]


def _standing_for(module: str, names: tuple[str, ...]) -> ModuleType:
    stand_in = ModuleType(module)
    vars(stand_in).update({name: LatePart(module, name) for name in names})
    return stand_in
