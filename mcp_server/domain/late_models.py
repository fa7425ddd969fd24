"""Imports a library whose models pydantic builds when they are first used, and not all of them at once."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter

_made = TypeAdapter.__init__
_rebuilt = BaseModel.__dict__["model_rebuild"]

_ONE_THREAD = RLock()
"""Of two at once, the one that ends last would leave all models late that the other has made so."""


@contextmanager
def built_when_used() -> Iterator[None]:
    """Let each model and each adapter that is defined meanwhile get its validator when it is first used.

    MCP's types are some five hundred models for all versions of the protocol, of which a process uses a dozen.
    """
    with _ONE_THREAD:
        before = BaseModel.model_config.get("defer_build", False)
        BaseModel.model_config["defer_build"] = True  # which a model takes over when it is defined
        TypeAdapter.__init__ = _made_late  # type: ignore[method-assign, assignment]
        BaseModel.model_rebuild = classmethod(_rebuilt_late)  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            BaseModel.model_config["defer_build"] = before
            TypeAdapter.__init__ = _made  # type: ignore[method-assign]
            BaseModel.model_rebuild = _rebuilt  # type: ignore[method-assign]


def _made_late(
    adapter: TypeAdapter[Any], *of: Any, config: ConfigDict | None = None, _parent_depth: int = 2, **more: Any
) -> None:
    depth = _parent_depth + 1  # names are looked up where the adapter is made, which is one call further up
    try:
        _made(adapter, *of, config={"defer_build": True, **(config or {})}, _parent_depth=depth, **more)
    except PydanticUserError:  # the type is a model, say, and goes by its own configuration
        _made(adapter, *of, config=config, _parent_depth=depth, **more)


def _rebuilt_late(model: type[BaseModel], /, *, _parent_namespace_depth: int = 2, **more: Any) -> bool | None:
    """Leave it to the first use where a module asks for it of its own model: all that this names is in the module."""
    asking = sys._getframe(1)
    of_module = asking.f_locals is asking.f_globals and asking.f_globals.get("__name__") == model.__module__
    if of_module and not more and model.model_config.get("defer_build"):
        return None
    depth = _parent_namespace_depth + 1  # as for an adapter
    rebuilt: bool | None = _rebuilt.__get__(None, model)(_parent_namespace_depth=depth, **more)
    return rebuilt
