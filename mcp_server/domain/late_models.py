"""Imports a library whose models pydantic builds when they are first used, and not all of them at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter

_made = TypeAdapter.__init__

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
        try:
            yield
        finally:
            BaseModel.model_config["defer_build"] = before
            TypeAdapter.__init__ = _made  # type: ignore[method-assign]


def _made_late(
    adapter: TypeAdapter[Any], *of: Any, config: ConfigDict | None = None, _parent_depth: int = 2, **more: Any
) -> None:
    depth = _parent_depth + 1  # names are looked up where the adapter is made, which is one call further up
    try:
        _made(adapter, *of, config={"defer_build": True, **(config or {})}, _parent_depth=depth, **more)
    except PydanticUserError:  # the type is a model, say, and goes by its own configuration
        _made(adapter, *of, config=config, _parent_depth=depth, **more)
