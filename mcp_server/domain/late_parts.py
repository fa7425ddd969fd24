"""Imports a library without parts that it names and hardly ever uses: each is imported when it is first called."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any

NEEDS_MORE = (ImportError, AttributeError, TypeError)
"""What an import raises that cannot do with what stands for a part."""


class LatePart:
    """Stands for a class or a function of a module."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it itself."""
        return self._itself()(*arguments, **named)

    def __instancecheck__(self, instance: object) -> bool:
        """Return whether something is an instance of it: nothing is, before it has been imported."""
        module = sys.modules.get(self._module)
        return module is not None and isinstance(instance, getattr(module, self._name))

    def _itself(self) -> Any:
        return getattr(import_module(self._module), self._name)


class LateModel(LatePart):
    """Stands for a model of pydantic, or a type of several, that checks data and is asked for nothing else.

    The models of its module are imported with the first that is used, and each is built when it is used itself.
    """

    def model_validate(self, *arguments: Any, **named: Any) -> Any:
        """Check data by the model itself."""
        return self._itself().model_validate(*arguments, **named)

    def __get_pydantic_core_schema__(self, _: object, schema_of: Callable[[Any], Any]) -> Any:
        """Return the schema of the type itself, for an adapter that is first used."""
        return schema_of(self._itself())

    def _itself(self) -> Any:
        if self._module not in sys.modules:
            from mcp_server.domain.late_models import built_when_used  # who has no late models imports no pydantic

            with built_when_used():
                import_module(self._module)
        return super()._itself()


Parts = Mapping[str, tuple[str, ...]]
"""What is imported of each module, by the module's name."""

MODELS: tuple[str, ...] = ("models",)
"""In place of names: all names of the module, each of which is a `LateModel`."""

Others = Mapping[str, str]
"""Modules whose other names are those of a second one, which is imported when one of them is asked for."""

NO_OTHERS: Others = MappingProxyType({})


@contextmanager
def late_parts(parts: Parts, others: Others = NO_OTHERS) -> Iterator[None]:
    """Let who imports these parts meanwhile have what stands for them, unless one of the modules is imported already.

    Nobody imports one of the modules in another thread meanwhile.
    """
    modules = {*parts, *others}
    missing = () if any(module in sys.modules for module in modules) else modules
    sys.modules.update({name: _standing_for(name, parts.get(name, ()), others.get(name)) for name in missing})
    try:
        yield
    finally:
        for module in missing:  # who imports one of these now gets it itself
            sys.modules.pop(module, None)


def import_with_late_parts(module: str, parts: Parts, others: Others = NO_OTHERS) -> None:
    """Import a module to which these parts come late; a version that needs more of them is to be imported anew."""
    library = module.partition(".")[0]
    with late_parts(parts, others):
        try:
            import_module(module)
        except NEEDS_MORE:
            for name in [name for name in sys.modules if name.partition(".")[0] == library]:
                del sys.modules[name]


def given_when_asked(package: ModuleType, parts: Parts) -> None:
    """Take what stands for parts out of a package that was imported with it: who asks for one now gets it itself.

    The same holds for the modules within the package that have them.
    """
    for name in [name for names in parts.values() for name in names]:
        if isinstance(vars(package).get(name), LatePart):
            del vars(package)[name]

    def asked(name: str) -> Any:
        within = f"{package.__name__}.{name}."
        for module, names in parts.items():
            if name in names or f"{module}.".startswith(within):
                imported = import_module(module)
                vars(package).update({part: getattr(imported, part) for part in names})  # a module may have its name
        if name not in vars(package):
            raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}")
        return vars(package)[name]

    vars(package)["__getattr__"] = asked


def _standing_for(module: str, names: tuple[str, ...], other: str | None) -> ModuleType:
    stand_in = ModuleType(module)
    if names is MODELS:
        vars(stand_in)["__getattr__"] = partial(_late_model, module)
        return stand_in
    vars(stand_in).update({name: LatePart(module, name) for name in names})
    if other is not None:
        vars(stand_in)["__getattr__"] = partial(_of_another, stand_in, other)
    return stand_in


@cache
def _late_model(module: str, name: str) -> LateModel:
    if name.startswith("__"):  # what Python's own import asks a module for
        raise AttributeError(name)
    return LateModel(module, name)


def _of_another(stand_in: ModuleType, other: str, name: str) -> Any:
    """Return what a name stands for in another module. As long as that is the one that stands for it, it has none."""
    if (module := import_module(other)) is stand_in:
        raise AttributeError(f"module {other!r} comes late, and has no {name!r} yet")
    return getattr(module, name)
